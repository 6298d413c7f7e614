"""What the scheduler hands out, and what comes back. All of it but hooks can be pickled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from vepe.inference.batch import SharedSettings
from vepe.inference.segment import Segment
from vepe.inference.track_job import TrackReport
from vepe.video.sources import NamedSource

if TYPE_CHECKING:
    from vepe.inference.predictor import Predictor
    from vepe.types import VideoInfo

Step = Literal["track", "infer", "join"]
"""A whole video, which a worker may find to be worth dividing; a segment of one; all segments."""


@dataclass(frozen=True)
class Task:
    """Work for one worker at a time.

    Attributes:
        source: the video; or the part of a data set, of which only the name counts.
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
class Hooks:
    """What a task reports while it runs: its video, as soon as it is open, and its frames so far;
    and how it is asked to stop."""

    opened: Callable[[VideoInfo], None] = lambda info: None
    frames: Callable[[int], None] = lambda count: None
    stop: threading.Event | None = None

    @property
    def stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()


class TaskWorker(Protocol):
    """Does tasks, one at a time."""

    def do(self, task: Task, hooks: Hooks | None = None) -> Result:
        """Does a task. To do it again, or elsewhere at the same time, changes no result."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


class Work(Protocol):
    """What all tasks of a run share."""

    @property
    def uses_gpu(self) -> bool:
        """Whether a worker is given a GPU, where there are any."""
        ...

    def open(self) -> TaskWorker:
        """A worker for this process. Raises VepeError where its machine lacks something."""
        ...


@dataclass(frozen=True)
class WorkSettings:
    """`Work` of tracking videos.

    Attributes:
        shared: what to write of every video, and how.
        load: loads the model; called once by each worker.
        segment_s: longest segment in seconds; None divides no video.
    """

    shared: SharedSettings
    load: Callable[[], Predictor]
    segment_s: float | None = None

    @property
    def uses_gpu(self) -> bool:
        return True

    def open(self) -> TaskWorker:
        """A worker with the model. Raises VepeError where it cannot be loaded."""
        from vepe.cluster.worker import Worker

        return Worker(self)
