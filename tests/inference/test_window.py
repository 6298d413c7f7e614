"""Streaming frame by frame gives the same poses as the clip pass; the design rests on this."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tiny_networks import lively_model
from vepe.inference.network import Network, NetworkPoses
from vepe.inference.torch_network import TorchNetwork, numpy_poses
from vepe.inference.window import KeyWindow, WindowFrame, WindowState, run
from vepe.models.optical_flow import grey_image
from vepe.models.step import network_input
from vepe.models.vepe import Vepe
from vepe.models.windows import OFFSETS

FRAMES, WIDTH = 7, 80
TIMES_S = (0.0, 0.04, 0.08, 0.15, 0.16, 0.31, 0.5)
TOLERANCE_PX = 1e-4


def images() -> np.ndarray:
    """A still, smooth texture with noise: its frames can be aligned and their people matched."""
    torch.manual_seed(3)
    texture = F.interpolate(torch.rand(1, 1, 3, 8, 12), (3, 64, 96), mode="trilinear")[0]
    clip = (texture + 0.05 * torch.randn(FRAMES, 3, 64, 96)).clamp(0, 1)
    pixels = (clip * 255).round().byte().permute(0, 2, 3, 1).numpy()
    pixels[:, :, WIDTH:] = 128
    return pixels


def whole_clip(model: Vepe) -> list[NetworkPoses]:
    sizes = torch.tensor([[WIDTH, 64]] * FRAMES)
    clip, padding = network_input(torch.from_numpy(images()), sizes)
    with torch.inference_mode():
        outputs = model(clip[None], torch.tensor([TIMES_S], dtype=torch.float64), padding[None])
    return [numpy_poses(output) for output in outputs]


def new_frames() -> list[WindowFrame]:
    return [
        WindowFrame(image, (WIDTH, 64), grey_image(image), time_s)
        for image, time_s in zip(images(), TIMES_S, strict=True)
    ]


def streamed(
    network: Network, state: WindowState, batch: int = 1, frames: list[WindowFrame] | None = None
) -> list[NetworkPoses]:
    """All poses of the clip, `batch` frames at a time."""
    outputs, waiting = [], []
    due: list[KeyWindow] = []
    for frame in new_frames() if frames is None else frames:
        state, keys = state.push(frame)
        assert len(state.frames) <= state.window + max(OFFSETS)
        waiting.append(frame)
        due += keys
        if len(waiting) == batch:
            outputs += run(network, waiting, due)
            waiting, due = [], []
    state, keys = state.flush()
    outputs += run(network, waiting, [*due, *keys])
    return outputs


def assert_close(left: list[NetworkPoses], right: list[NetworkPoses], atol_px: float) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a.keypoints_px, b.keypoints_px, rtol=0, atol=atol_px)
        np.testing.assert_allclose(a.scores, b.scores, rtol=0, atol=1e-4)
        np.testing.assert_allclose(a.confidences, b.confidences, rtol=0, atol=1e-4)
        np.testing.assert_allclose(a.identities, b.identities, rtol=0, atol=1e-4)


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
    network = TorchNetwork(model)
    stream = streamed(network, WindowState(window, lookahead, memory_interval_s))
    assert len(stream) == FRAMES
    assert_close(whole_clip(network.model), stream, TOLERANCE_PX)


def test_a_window_of_one_is_the_frame_path_bit_for_bit() -> None:
    """Also in a step of several frames and key frames."""
    model = lively_model(high_resolution_dim=8)
    network = TorchNetwork(model)
    stream = streamed(network, WindowState(1, 0, 0.0))
    for image, poses in zip(images(), stream, strict=True):
        pixels, padding = network_input(torch.from_numpy(image[None]), torch.tensor([[WIDTH, 64]]))
        with torch.inference_mode():
            frame, _ = network.model.encode_frame(pixels, padding)
        own = numpy_poses(frame.poses)
        for name, value in vars(own).items():
            np.testing.assert_array_equal(getattr(poses, name), value)


@pytest.mark.parametrize("batch", [2, 3, 7])
def test_several_frames_in_a_step_give_the_same(batch: int) -> None:
    network = TorchNetwork(lively_model())
    state = WindowState(6, 2, 0.0)
    # Another batch size means other kernels: rounding differs, and deep layers amplify it.
    assert_close(streamed(network, state, batch), streamed(network, state), 1e-2)


def test_several_streams_in_a_step_give_the_same() -> None:
    network = TorchNetwork(lively_model())
    alone = streamed(network, WindowState(3, 1, 0.0))
    states = [WindowState(3, 1, 0.0), WindowState(3, 1, 0.0)]
    outputs: list[list[NetworkPoses]] = [[], []]
    for pair in zip(new_frames(), new_frames(), strict=True):
        due: list[KeyWindow] = []
        owners = []
        for index, frame in enumerate(pair):
            states[index], keys = states[index].push(frame)
            due += keys
            owners += [index] * len(keys)
        for owner, poses in zip(owners, run(network, pair, due), strict=True):
            outputs[owner].append(poses)
    for both in outputs:
        assert_close(both, alone[: len(both)], 1e-2)


@pytest.mark.parametrize(("lookahead", "kept"), [(0, 2), (2, 2)])
def test_a_stream_keeps_nothing_but_the_frames_of_its_window(lookahead: int, kept: int) -> None:
    state = WindowState(3, lookahead, 0.0)
    network = TorchNetwork(lively_model())
    for frame in new_frames():
        state, due = state.push(frame)
        run(network, [frame], due)
    assert len(state.frames) == len(state.flows) + 1 == kept
    assert state.pending == lookahead
    assert all(frame.image is None for frame in state.frames)
