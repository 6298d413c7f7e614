"""A part of a video without its past: what the network says of its frames, as in the whole video.

A frame's poses depend on the frames of its window and on whether a shot began between them. So a
segment is read from some frames before its start (`Overlap`), and its poses are those of the whole
video: exactly, unless the network skips frames for its memory (more than 1 / `memory_interval_s`
frames per second) and the last shot cut lies further back than `shots_s`.

Tracker and smoother do depend on all of the past. They take milliseconds where the network takes a
hundred, so they run over all segments in order, see `replay`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vepe.inference.stream import InferredFrame, PlannedStep, StreamRunner, VideoState
from vepe.inference.window import run
from vepe.models.windows import frames_in_memory
from vepe.types import Frame

if TYPE_CHECKING:
    from vepe.inference.predictor import Predictor

SHOTS_S = 5.0
"""What the shot detector remembers has faded to e^-10 by then."""
THINNED_SHOTS_S = 20.0
"""Where memory is thinned, since the last cut decides which frames are kept."""
SEAM_FRAMES = 3
"""Frames behind the end of a segment that it also infers, to compare with the next one."""


@dataclass(frozen=True)
class Segment:
    """The frames with `start_s <= time_s < end_s`, the `index`-th of `count` parts of a video.

    The last part has no `end_s`, so that it reads whatever there is.
    """

    index: int
    count: int
    start_s: float
    end_s: float | None


def split(
    duration_s: float, segment_s: float, *, start_s: float = 0.0, end_s: float | None = None
) -> list[Segment]:
    """Divides a video, or a part of it, into segments of equal length.

    Args:
        duration_s: of the video, as its file states it.
        segment_s: longest segment, in seconds. A video that is less than half longer stays whole.
        start_s, end_s: the part to track.

    Returns:
        The segments in order; a single one where it is not worth it.
    """
    length_s = min(duration_s, math.inf if end_s is None else end_s) - start_s
    if not length_s > 1.5 * segment_s:
        return [Segment(0, 1, start_s, end_s)]
    count = math.ceil(length_s / segment_s)
    starts = [start_s + length_s * i / count for i in range(count)]
    ends = [*starts[1:], end_s]
    return [Segment(i, count, a, b) for i, (a, b) in enumerate(zip(starts, ends, strict=True))]


@dataclass(frozen=True)
class Overlap:
    """What is read before a segment.

    Attributes:
        shots_s: so many seconds before the start only the shot detector sees.
        window_s: and so many the network, too.
        keep_every: the network keeps every n-th frame of the source for later windows,
        first: from this one on, unless a shot cut comes between.
    """

    shots_s: float
    window_s: float
    keep_every: int
    first: int

    @staticmethod
    def of(predictor: Predictor, fps: float, *, stride: int = 1, start_s: float = 0.0) -> Overlap:
        """For a model, and a video with `fps`, read from `start_s`, every `stride`-th frame."""
        temporal = predictor.config.temporal
        gap_s = stride / fps
        interval_s = temporal.memory_interval_s - 1e-4
        kept = max(1, math.ceil(interval_s / gap_s)) if interval_s > 0 else 1
        reach = frames_in_memory(temporal.window, temporal.lookahead) + 2
        window_s = (reach + 1) * kept * gap_s
        first = math.ceil(math.ceil(start_s * fps - 1e-6) / stride) * stride
        return Overlap(THINNED_SHOTS_S if kept > 1 else SHOTS_S, window_s, kept * stride, first)

    @property
    def seconds(self) -> float:
        """How far before the start of the segment its source is to be opened."""
        return self.shots_s + self.window_s


def infer_segment(
    predictor: Predictor,
    source: Iterable[Frame],
    segment: Segment,
    overlap: Overlap,
    *,
    on_frame: Callable[[int], None] = lambda frames: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[InferredFrame]:
    """The frames of a segment, and `SEAM_FRAMES` more, without ids.

    Args:
        predictor: the model.
        source: opened `overlap.seconds` before the segment, or at the start of the video, without
            an end before that of the segment.
        segment, overlap: what to infer, and what to read before.
        on_frame: called with the number of frames that went through the network.
        stop: ends the work early.

    Raises:
        VepeError: where the source breaks.
    """
    runner = predictor.runner
    pushed = 0
    behind = 0
    for step in _steps(runner, source, segment, overlap):
        if stop():
            return
        pushed += step.frame is not None
        on_frame(pushed)
        for frame in step.outputs:
            if frame.poses.time_s < segment.start_s:
                continue
            yield frame
            behind += segment.end_s is not None and frame.poses.time_s >= segment.end_s
            if behind == SEAM_FRAMES:
                return


@dataclass(frozen=True)
class _Step:
    frame: Frame | None
    outputs: list[InferredFrame]


def _steps(
    runner: StreamRunner, source: Iterable[Frame], segment: Segment, overlap: Overlap
) -> Iterator[_Step]:
    """Feeds the frames to the shot detector at first, then to the network."""
    state, kept = runner.start(), overlap.first
    begun = segment.index == 0
    for frame in source:
        if not begun and frame.time_s < segment.start_s - overlap.window_s:
            if runner.shots is not None:
                shots, cut = runner.shots.step(state.shots, frame.image, frame.time_s)
                state = replace(state, shots=shots)
                kept = frame.index if cut else kept
            continue
        planned = runner.plan(state, frame.image, frame.time_s, frame.index)
        begun = begun or planned.frame.info.cut or (frame.index - kept) % overlap.keep_every == 0
        if not begun:  # the network did not keep this frame
            state = replace(state, shots=planned.state.shots)
            continue
        state = planned.state
        yield _Step(frame, _infer(runner, planned))
    yield _Step(None, _finish(runner, state))


def _infer(runner: StreamRunner, step: PlannedStep) -> list[InferredFrame]:
    return runner.inferred(step.due, iter(run(runner.network, [step.frame], step.due)))


def _finish(runner: StreamRunner, state: VideoState) -> list[InferredFrame]:
    _, due = state.network.flush()
    return runner.inferred(due, iter(run(runner.network, [], due)))
