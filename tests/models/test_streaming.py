"""The clip pass: windows of key frames, and what a window of one gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tiny_networks import lively_model

FRAMES = 7


def clip() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A still, smooth texture with noise: its frames can be aligned and their people matched."""
    torch.manual_seed(3)
    texture = F.interpolate(torch.rand(1, 1, 3, 8, 12), (3, 64, 96), mode="trilinear")
    images = (texture + 0.05 * torch.randn(1, FRAMES, 3, 64, 96)).clamp(0, 1)
    times = torch.tensor([[0.0, 0.04, 0.08, 0.15, 0.16, 0.31, 0.5]], dtype=torch.float64)
    padding = torch.zeros(1, FRAMES, 64, 96, dtype=torch.bool)
    padding[..., 80:] = True
    return images, times, padding


def test_the_window_changes_the_output() -> None:
    """If the temporal parts had no effect, the test above would prove nothing."""
    model = lively_model()
    outputs = []
    with torch.inference_mode():
        for window in (1, 3):
            model.window, model.lookahead = window, 0
            outputs.append(model(*clip())[-1].keypoints_px)
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_the_memory_interval_changes_the_output() -> None:
    model = lively_model()
    model.window, model.lookahead = 3, 0
    outputs = []
    with torch.inference_mode():
        for memory_interval_s in (0.0, 0.1):
            model.memory_interval_s = memory_interval_s
            outputs.append(model(*clip())[-2].keypoints_px)
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_clips_with_different_times_and_a_memory_interval_raise() -> None:
    model = lively_model()
    model.memory_interval_s = 0.1
    images, times, padding = clip()
    two = (images.repeat(2, 1, 1, 1, 1), torch.cat([times, 2 * times]), padding.repeat(2, 1, 1, 1))
    with torch.inference_mode(), pytest.raises(ValueError, match="equal times"):
        model(*two)


def test_other_clips_of_a_batch_change_nothing() -> None:
    model = lively_model()
    images, times, padding = clip()
    other = torch.rand(1, FRAMES, 3, 64, 96)
    with torch.inference_mode():
        alone = model(images, times, padding)
        both = model(torch.cat([images, other]), times.repeat(2, 1), torch.cat([padding, padding]))
    for a, b in zip(alone, both, strict=True):
        # Another batch size means other kernels: rounding differs, and deep layers amplify it.
        assert (a.keypoints_px - b.keypoints_px[:1]).abs().max() < 1e-2


def test_a_window_of_one_is_the_frame_path_bit_for_bit() -> None:
    model = lively_model(high_resolution_dim=8)
    model.window = 1
    images, times, padding = clip()
    with torch.inference_mode():
        for t, output in enumerate(model(images, times, padding)):
            frame, _ = model.encode_frame(images[:, t], padding[:, t])
            torch.testing.assert_close(output, frame.poses, rtol=0, atol=0)


def test_the_origin_of_time_does_not_matter() -> None:
    model = lively_model()
    images, times, padding = clip()
    with torch.inference_mode():
        base = model(images, times, padding)[-1].keypoints_px
        later = model(images, times + 5000, padding)[-1].keypoints_px
    assert (base - later).abs().max() < 1e-3


def test_rows_of_frame_memory_are_the_frames_encoded_alone() -> None:
    model = lively_model(high_resolution_dim=8)
    images, _, padding = clip()
    with torch.inference_mode():
        both, _ = model.encode_frame(images[0, :2], padding[0, :2])
        alone, _ = model.encode_frame(images[0, 1:2], padding[0, 1:2])
    row = both[1:2]
    assert (row.poses.keypoints_px - alone.poses.keypoints_px).abs().max() < 1e-2
    assert torch.equal(row.grey, alone.grey)
