"""Video as a stream: the values kept per frame, the window of a key frame, and the stream's steps.

No module holds hidden state: the state of a stream goes in and comes out, so two videos never
interfere, and its size is bounded by the window. The rules for which frames a window holds are the
same for clips and streams; `tests/models/test_streaming.py` checks that both give the same poses.

Dimensions: B batch, T frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vepe.models.alignment import FrameMotion, optical_flow
from vepe.models.decoder_layer import LayerOutput, PoseOutput
from vepe.models.proposals import Proposals

if TYPE_CHECKING:
    from vepe.models.vepe import Vepe

PAST_OFFSETS = (1, 2, 4)
"""Which earlier frames in memory a key frame reads, nearest first. Errors of near frames are alike,
far frames are aligned less well."""


@dataclass(frozen=True)
class FrameMemory:
    """What `Vepe.fuse` reads of a frame; a stream keeps it for the frames of its window.

    Attributes:
        poses: the finished poses of the frame alone.
        grey: (B, H, W) what it is aligned by; None without alignment.
    """

    poses: PoseOutput
    grey: UInt8[Tensor, "B H W"] | None

    def __getitem__(self, rows: slice) -> FrameMemory:
        """Some rows of the batch."""
        return FrameMemory(self.poses[rows], None if self.grey is None else self.grey[rows])

    def motion_to(self, later: FrameMemory) -> FrameMotion | None:
        """The motion to the next frame of a window; None without alignment."""
        if self.grey is None or later.grey is None:
            return None
        return optical_flow(self.grey, later.grey)


@dataclass(frozen=True)
class FrameOutput:
    """The predictions of a frame's own pass; only losses and analyses read them.

    Attributes:
        layers: of every layer of the spatial decoder.
        proposals: the poses that the decoder starts from.
        refined: of every layer of the pose decoder (STPD).
    """

    layers: list[LayerOutput]
    proposals: Proposals
    refined: list[LayerOutput]


# Windows: which frames a key frame reads.


def window_reads(key: int, available: int, window: int, lookahead: int) -> list[int]:
    """Indices of the frames that the key frame at index `key` reads, among `available` frames.

    Of the `window - 1` frames, `lookahead` are the next ones; the rest lie `PAST_OFFSETS` before
    the key frame. What does not exist is left out.
    """
    lookahead = min(lookahead, window - 1)
    past = [key - offset for offset in reversed(PAST_OFFSETS[: window - 1 - lookahead])]
    future = range(key + 1, min(key + lookahead + 1, available))
    return [*(index for index in past if index >= 0), *future]


def frames_in_memory(window: int, lookahead: int) -> int:
    """How many frames before the key frame are kept in memory."""
    offsets = PAST_OFFSETS[: window - 1 - min(lookahead, window - 1)]
    return offsets[-1] if offsets else 0


def keep_in_memory(gap_s: float, memory_interval_s: float) -> bool:
    """Whether a frame `gap_s` after the last one in memory is kept for later windows.

    The tolerance of 0.1 ms is for rounded timestamps.
    """
    return gap_s >= memory_interval_s - 1e-4


def window_indices(
    times_s: Sequence[float], key: int, window: int, lookahead: int, memory_interval_s: float
) -> tuple[list[int], int, list[int]]:
    """The window of frame `key` of a clip.

    Frames before the key frame are thinned by `keep_in_memory`, then `window_reads` applies.

    Returns:
        frames: indices of its successive frames, from the first to the last that is read.
        key: index of the key frame among them.
        reads: indices of the frames that it reads among them.
    """
    line: list[int] = []
    for index in range(key):
        if not line or keep_in_memory(times_s[index] - times_s[line[-1]], memory_interval_s):
            line.append(index)
    place = len(line)
    line += range(key, len(times_s))
    reads = window_reads(place, len(line), window, lookahead)
    first, end = min([place, *reads]), max([place, *reads]) + 1
    return line[first:end], place - first, [index - first for index in reads]


def clip_windows(
    times_s: Float[Tensor, "B T"],
    keys: Sequence[int],
    window: int,
    lookahead: int,
    memory_interval_s: float = 0.0,
) -> Iterator[tuple[list[int], int, list[int]]]:
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


def fuse_clips(
    model: Vepe,
    frames: Sequence[FrameMemory],
    times_s: Float[Tensor, "B T"],
    keys: Sequence[int],
    memory_interval_s: float = 0.0,
) -> list[PoseOutput]:
    """`Vepe.fuse` for key frames of a batch of clips, each with its window (`clip_windows`)."""
    motions: dict[tuple[int, int], FrameMotion | None] = {}
    outputs = []
    windows = clip_windows(times_s, keys, model.window, model.lookahead, memory_interval_s)
    for indices, key, reads in windows:
        pairs = list(pairwise(indices))
        for a, b in pairs:
            if (a, b) not in motions:
                motions[a, b] = frames[a].motion_to(frames[b])
        window = [frames[i] for i in indices]
        outputs.append(model.fuse(window, [motions[pair] for pair in pairs], key, reads))
    return outputs


# Streams: one frame at a time.


@dataclass(frozen=True)
class StreamState:
    """The state of a stream: successive frames, oldest first, with their times and motions.

    Attributes:
        frames: frames in memory, then the pending ones.
        motions: between each frame and the next.
        times_s: timestamps in seconds.
        pending: number of the last frames whose poses have not been output yet (lookahead).
        lookahead: of this stream, instead of the model's; None: the model's.
    """

    frames: tuple[FrameMemory, ...] = ()
    motions: tuple[FrameMotion | None, ...] = ()
    times_s: tuple[float, ...] = ()
    pending: int = 0
    lookahead: int | None = None

    def lookahead_of(self, model: Vepe) -> int:
        """How many frames after a frame are read before its poses are output."""
        lookahead = model.lookahead if self.lookahead is None else self.lookahead
        return min(lookahead, model.window - 1)


def stream_step(
    model: Vepe,
    state: StreamState,
    image: Float[Tensor, "1 3 H W"],
    time_s: float,
    padding: Bool[Tensor, "1 H W"] | None = None,
) -> tuple[StreamState, PoseOutput | None]:
    """Takes the next frame of a stream; `image` and `padding` as `Vepe.encode_frame` takes them.

    The other arguments and the result are those of `stream_add`.
    """
    frame, _ = model.encode_frame(image, padding)
    return stream_add(model, state, frame, time_s)


def stream_add(
    model: Vepe, state: StreamState, frame: FrameMemory, time_s: float
) -> tuple[StreamState, PoseOutput | None]:
    """Takes the next frame of a stream, encoded alone or in a batch with others.

    Args:
        model: the network, which gives the window too.
        state: of the stream before the frame; `StreamState()` at its start.
        frame: one row of what `Vepe.encode_frame` returns.
        time_s: the frame's timestamp, later than the one before.

    Returns:
        the new state, and the poses of the frame `lookahead` frames ago; None for the first
        `lookahead` frames. `stream_flush` outputs the last ones.
    """
    motions = state.motions
    if state.frames:
        motions = (*motions, state.frames[-1].motion_to(frame))
    state = replace(
        state,
        frames=(*state.frames, frame),
        motions=motions,
        times_s=(*state.times_s, time_s),
        pending=state.pending + 1,
    )
    if state.pending <= state.lookahead_of(model):
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
    key, lookahead = len(state.frames) - state.pending, state.lookahead_of(model)
    reads = window_reads(key, len(state.frames), model.window, lookahead)
    output = model.fuse(state.frames, state.motions, key, reads)
    frames, motions, times_s = state.frames, state.motions, state.times_s
    end = key + 1  # of the frames in memory
    if key and not keep_in_memory(times_s[key] - times_s[key - 1], model.memory_interval_s):
        later = frames[key + 1 : key + 2]
        bridge = tuple(frames[key - 1].motion_to(frame) for frame in later)
        frames, times_s = frames[:key] + frames[key + 1 :], times_s[:key] + times_s[key + 1 :]
        motions = motions[: key - 1] + bridge + motions[key + 1 :]
        end = key
    first = max(end - frames_in_memory(model.window, lookahead), 0)
    state = replace(
        state,
        frames=frames[first:],
        motions=motions[first:],
        times_s=times_s[first:],
        pending=state.pending - 1,
    )
    return state, output
