"""What the scheduler hands out, and what comes back. All of it can be pickled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vepe.inference.batch import SharedSettings
from vepe.inference.segment import Segment
from vepe.inference.track_job import TrackReport
from vepe.video.sources import NamedSource

if TYPE_CHECKING:
    from vepe.inference.predictor import Predictor

Step = Literal["track", "infer", "join"]
"""A whole video, which a worker may find to be worth dividing; a segment of one; all segments."""


@dataclass(frozen=True)
class Task:
    """Work for one worker at a time.

    Attributes:
        source: the video.
        overwrite: whether its results may be replaced.
        step: what to do with it.
        segments: with `infer` the one to infer, with `join` all of them.
    """

    source: NamedSource
    overwrite: bool
    step: Step = "track"
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class Result:
    """What became of a task.

    Attributes:
        report: of a video that is done.
        segments: those into which a video was divided; nothing else was done then.
        frames: number of frames that went through the network.
        seconds: how long it took.
        seams: with `join`, how many ends of segments were compared with the next one, and at how
            many of those the poses agree.
        stopped: whether it was ended early on request, and nothing was written.
    """

    report: TrackReport | None = None
    segments: tuple[Segment, ...] = ()
    frames: int = 0
    seconds: float = 0.0
    seams: tuple[int, int] = (0, 0)
    stopped: bool = False


@dataclass(frozen=True)
class Event:
    """News of a task from the engine that runs it.

    Attributes:
        task: the task.
        kind: `done`; `failed`, with a reason; `lost`, where its worker died.
        result: of a task that is done.
        reason: one sentence.
        fatal: whether all other tasks would fail, too, as on a full disk.
        begun: whether a lost task had begun, as far as is known; it may be to blame then.
        worker: where it ran.
    """

    task: Task
    kind: Literal["done", "failed", "lost"]
    result: Result = field(default_factory=Result)
    reason: str = ""
    fatal: bool = False
    begun: bool = True
    worker: str = ""


@dataclass(frozen=True)
class WorkSettings:
    """What all tasks share.

    Attributes:
        shared: what to write of every video, and how.
        load: loads the model; called once by each worker.
        segment_s: longest segment in seconds; None divides no video.
    """

    shared: SharedSettings
    load: Callable[[], Predictor]
    segment_s: float | None = None
