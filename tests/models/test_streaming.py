"""Streaming frame by frame gives the same poses as the clip pass; the design rests on this."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from tiny_networks import lively_model

from vepe.models.streaming import (
    PAST_OFFSETS,
    StreamState,
    stream_flush,
    stream_step,
    window_indices,
    window_reads,
)
from vepe.models.vepe import Vepe

FRAMES = 7
TOLERANCE_PX = 1e-4


def clip() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A still, smooth texture with noise: its frames can be aligned and their people matched."""
    torch.manual_seed(3)
    texture = F.interpolate(torch.rand(1, 1, 3, 8, 12), (3, 64, 96), mode="trilinear")
    images = (texture + 0.05 * torch.randn(1, FRAMES, 3, 64, 96)).clamp(0, 1)
    times = torch.tensor([[0.0, 0.04, 0.08, 0.15, 0.16, 0.31, 0.5]], dtype=torch.float64)
    padding = torch.zeros(1, FRAMES, 64, 96, dtype=torch.bool)
    padding[..., 80:] = True
    return images, times, padding


def streamed(model: Vepe, images, times, padding) -> list:
    state, outputs = StreamState(), []
    for t in range(images.shape[1]):
        state, output = stream_step(model, state, images[:, t], float(times[0, t]), padding[:, t])
        assert len(state.frames) <= model.window + max(PAST_OFFSETS)
        if output is not None:
            outputs.append(output)
    return outputs + stream_flush(model, state)


@pytest.mark.parametrize("memory_interval_s", [0.0, 0.08])
@pytest.mark.parametrize(
    ("window", "lookahead"),
    [(1, 0), (1, 2), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (5, 0), (6, 2)],
)
def test_streaming_equals_the_clip_pass(
    window: int, lookahead: int, memory_interval_s: float
) -> None:
    model = lively_model(high_resolution_dim=8)
    model.window, model.lookahead, model.memory_interval_s = window, lookahead, memory_interval_s
    with torch.inference_mode():
        whole = model(*clip())
        stream = streamed(model, *clip())
    assert len(stream) == len(whole) == FRAMES
    for t, (a, b) in enumerate(zip(whole, stream, strict=True)):
        off = (a.keypoints_px - b.keypoints_px).abs().max().item()
        assert off < TOLERANCE_PX, f"frame {t}: {off} px"
        torch.testing.assert_close(a.score_logits, b.score_logits, atol=1e-4, rtol=0)
        torch.testing.assert_close(a.confidence_logits, b.confidence_logits, atol=1e-4, rtol=0)
        torch.testing.assert_close(a.identity, b.identity, atol=1e-5, rtol=0)


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


@pytest.mark.parametrize(
    ("key", "available", "window", "lookahead", "reads"),
    [
        (0, 9, 3, 0, []),
        (1, 9, 3, 0, [0]),
        (5, 9, 3, 0, [3, 4]),
        (5, 9, 9, 0, [1, 3, 4]),  # no more than three past frames
        (0, 9, 3, 1, [1]),
        (5, 9, 3, 1, [4, 6]),
        (8, 9, 3, 1, [7]),
        (5, 9, 6, 2, [1, 3, 4, 6, 7]),
        (5, 9, 1, 4, []),  # a window of one has no future
    ],
)
def test_window_reads(
    key: int, available: int, window: int, lookahead: int, reads: list[int]
) -> None:
    assert window_reads(key, available, window, lookahead) == reads


@pytest.mark.parametrize(
    ("key", "lookahead", "memory_interval_s", "frames", "index", "reads"),
    [
        (5, 0, 0.0, [3, 4, 5], 2, [0, 1]),
        (5, 0, 0.1, [0, 3, 5], 2, [0, 1]),
        (6, 0, 0.1, [3, 5, 6], 2, [0, 1]),
        (6, 0, 0.08, [4, 5, 6], 2, [0, 1]),
        (2, 0, 0.08, [0, 2], 1, [0]),
        (3, 0, 0.08, [0, 2, 3], 2, [0, 1]),
        (5, 1, 0.1, [3, 5, 6], 1, [0, 2]),
        (0, 2, 0.1, [0, 1, 2], 0, [1, 2]),
        (0, 0, 0.0, [0], 0, []),
    ],
)
def test_window_indices(
    key: int,
    lookahead: int,
    memory_interval_s: float,
    frames: list[int],
    index: int,
    reads: list[int],
) -> None:
    times = [0.0, 0.04, 0.08, 0.15, 0.16, 0.31, 0.5]
    assert window_indices(times, key, 3, lookahead, memory_interval_s) == (frames, index, reads)


@pytest.mark.parametrize(("lookahead", "kept"), [(0, 2), (2, 2)])
def test_a_stream_keeps_nothing_but_the_frames_of_its_window(lookahead: int, kept: int) -> None:
    """Outputs of frames, which only losses read, are not part of the state."""
    model = lively_model()
    model.window, model.lookahead, model.memory_interval_s = 3, lookahead, 0.0
    images, times, padding = clip()
    state = StreamState()
    with torch.inference_mode():
        for t in range(FRAMES):
            state, _ = stream_step(model, state, images[:, t], float(times[0, t]), padding[:, t])
    assert len(state.frames) == len(state.times_s) == len(state.motions) + 1 == kept
    assert state.pending == lookahead
    assert not any(hasattr(frame, "layers") for frame in state.frames)


def test_a_stream_may_have_a_lookahead_of_its_own() -> None:
    model = lively_model()
    model.window, model.lookahead = 3, 2
    images, _, padding = clip()
    with torch.inference_mode():
        _, output = stream_step(model, StreamState(lookahead=0), images[:, 0], 0.0, padding[:, 0])
        _, waiting = stream_step(model, StreamState(), images[:, 0], 0.0, padding[:, 0])
    assert output is not None
    assert waiting is None


def test_rows_of_frame_memory_are_the_frames_encoded_alone() -> None:
    model = lively_model(high_resolution_dim=8)
    images, _, padding = clip()
    with torch.inference_mode():
        both, _ = model.encode_frame(images[0, :2], padding[0, :2])
        alone, _ = model.encode_frame(images[0, 1:2], padding[0, 1:2])
    row = both[1:2]
    assert (row.poses.keypoints_px - alone.poses.keypoints_px).abs().max() < 1e-2
    assert torch.equal(row.grey, alone.grey)
