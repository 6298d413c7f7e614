"""Video as a stream: the values kept per frame, the window of a key frame, and the stream's steps.

No module holds hidden state: the state of a stream goes in and comes out, so two videos never
interfere, and its size is bounded by the window. The rules for which frames a window holds are the
same for clips and streams; `tests/models/test_streaming.py` checks that both give the same poses.

Dimensions: B batch, T frames, N people, K keypoints, D embedding length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vepe.models.decoder_layer import LayerOutput
from vepe.models.memory import LevelValues, Memory
from vepe.models.pose_encoder import FrameQueries
from vepe.models.proposals import Proposals

if TYPE_CHECKING:
    from vepe.models.vepe import Vepe


@dataclass(frozen=True)
class FrameMemory:
    """What `Vepe.fuse` reads of a frame; a stream keeps it for the frames of its window.

    Attributes:
        memory: the encoded levels.
        values: the memory as each layer of the memory encoder reads it; empty without one.
        queries: the people with their queries, positions and identities.
    """

    memory: Memory
    values: list[LevelValues]
    queries: FrameQueries

    def __getitem__(self, rows: slice) -> FrameMemory:
        """Some rows of the batch."""
        values = [[level[rows] for level in layer] for layer in self.values]
        return FrameMemory(self.memory[rows], values, self.queries[rows])


@dataclass(frozen=True)
class FrameOutput:
    """What a frame's own pass predicts; only losses and analyses read it.

    Attributes:
        layers: the prediction of every layer of the spatial decoder.
        proposals: the poses that the decoder starts from.
    """

    layers: list[LayerOutput]
    proposals: Proposals


@dataclass(frozen=True)
class PoseOutput:
    """The poses of a key frame.

    Attributes:
        score_logits: (B, N) person scores.
        keypoints_px: (B, N, K, 2) in pixels of the network's input.
        confidence_logits: (B, N, K) confidence of every keypoint.
        identity: (B, N, D) unit embeddings.
        layers: the prediction of every layer of the pose decoder; the last one is the output.
    """

    score_logits: Float[Tensor, "B N"]
    keypoints_px: Float[Tensor, "B N K 2"]
    confidence_logits: Float[Tensor, "B N K"]
    identity: Float[Tensor, "B N D"]
    layers: list[LayerOutput]

    @staticmethod
    def of(layers: list[LayerOutput], identity: Float[Tensor, "B N D"]) -> PoseOutput:
        """From the predictions of all layers."""
        last = layers[-1]
        return PoseOutput(
            last.score_logits, last.keypoints_px, last.confidence_logits, identity, layers
        )


# Windows: which frames a key frame reads.


def window_bounds(key: int, available: int, window: int, lookahead: int) -> tuple[int, int]:
    """The window of the key frame at index `key`, as [first, end) among the `available` frames.

    It has `window` frames, of which the last `lookahead` come after the key frame (at most
    `window - 1`), and is cut at both ends of the available frames.
    """
    lookahead = min(lookahead, window - 1)
    first = max(key - (window - 1 - lookahead), 0)
    return first, min(key + lookahead + 1, available)


def keep_in_memory(gap_s: float, memory_interval_s: float) -> bool:
    """Whether a frame `gap_s` after the last one in memory is kept for later windows.

    The tolerance of 0.1 ms is for rounded timestamps.
    """
    return gap_s >= memory_interval_s - 1e-4


def window_indices(
    times_s: Sequence[float], key: int, window: int, lookahead: int, memory_interval_s: float
) -> tuple[list[int], int]:
    """The frames of a clip that frame `key` reads, and the key frame's index among them.

    Frames before the key frame are thinned by `keep_in_memory`, then `window_bounds` applies.
    """
    line: list[int] = []
    for index in range(key):
        if not line or keep_in_memory(times_s[index] - times_s[line[-1]], memory_interval_s):
            line.append(index)
    before = len(line)
    line += range(key, len(times_s))
    first, end = window_bounds(before, len(line), window, lookahead)
    return line[first:end], before - first


def clip_windows(
    times_s: Float[Tensor, "B T"],
    keys: Sequence[int],
    window: int,
    lookahead: int,
    memory_interval_s: float = 0.0,
) -> Iterator[tuple[list[int], int]]:
    """`window_indices` for several key frames of a batch of clips.

    Raises:
        ValueError: if the clips have different times and `memory_interval_s` is not 0: their
            windows would hold different frames.
    """
    if memory_interval_s and not (times_s == times_s[:1]).all():
        raise ValueError("clips of one batch keep the same frames in memory; give them equal times")
    clock: list[float] = times_s[0].tolist()
    for key in keys:
        yield window_indices(clock, key, window, lookahead, memory_interval_s)


def deltas_s(times_s: Float[Tensor, "B T"], key: int) -> Float[Tensor, "B T"]:
    """Seconds from the key frame to every frame of the window, as float32."""
    return (times_s - times_s[:, key : key + 1]).to(torch.float32)


# Streams: one frame at a time.


@dataclass(frozen=True)
class StreamState:
    """The state of a stream: at most `window` frames, oldest first, with their times.

    Attributes:
        frames: frames in memory, then the pending ones.
        times_s: their timestamps in seconds.
        pending: number of the last frames whose poses have not been output yet (lookahead).
    """

    frames: tuple[FrameMemory, ...] = ()
    times_s: tuple[float, ...] = ()
    pending: int = 0


def stream_step(
    model: Vepe,
    state: StreamState,
    image: Float[Tensor, "1 3 H W"],
    time_s: float,
    padding: Bool[Tensor, "1 H W"] | None = None,
) -> tuple[StreamState, PoseOutput | None]:
    """Takes the next frame of a stream.

    Args:
        model: the network, which gives the window too.
        state: of the stream before the frame; `StreamState()` at its start.
        image, padding: as `Vepe.encode_frame` takes them.
        time_s: the frame's timestamp, later than the one before.

    Returns:
        the new state, and the poses of the frame `lookahead` frames ago; None for the first
        `lookahead` frames. `stream_flush` outputs the last ones.
    """
    frame, _ = model.encode_frame(image, padding)
    state = StreamState((*state.frames, frame), (*state.times_s, time_s), state.pending + 1)
    if state.pending <= min(model.lookahead, model.window - 1):
        return state, None
    return _emit(model, state)


def stream_flush(model: Vepe, state: StreamState) -> list[PoseOutput]:
    """The poses of the pending frames at the end of a stream, without their look-ahead frames."""
    outputs = []
    while state.pending:
        state, output = _emit(model, state)
        outputs.append(output)
    return outputs


def _emit(model: Vepe, state: StreamState) -> tuple[StreamState, PoseOutput]:
    """Poses of the oldest pending frame, and the state in which it is no longer pending."""
    frames, times_s = state.frames, state.times_s
    key = len(frames) - state.pending
    first, end = window_bounds(key, len(frames), model.window, model.lookahead)
    window_times_s = torch.tensor([times_s[first:end]], dtype=torch.float64)
    output = model.fuse(frames[first:end], window_times_s, key - first)
    if key and not keep_in_memory(times_s[key] - times_s[key - 1], model.memory_interval_s):
        frames, times_s = frames[:key] + frames[key + 1 :], times_s[:key] + times_s[key + 1 :]
    state = StreamState(frames[-model.window :], times_s[-model.window :], state.pending - 1)
    return state, output
