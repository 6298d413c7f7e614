"""Which task runs next, and what follows from what became of it.

The scheduler remembers only what it needs for this run. What is done is on disk: a scheduler that
is started again reads it there (`vepe.inference.batch.plan_batch`) and does the rest.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from vepe.cluster.engine import Engine
from vepe.cluster.tasks import Event, Result, Task
from vepe.errors import VepeError
from vepe.inference.batch import Outcome
from vepe.inference.segment import Segment
from vepe.video.sources import NamedSource

_POLL_S = 0.5


@dataclass(frozen=True)
class Patience:
    """How often a video is tried.

    Attributes:
        attempts: a video that fails so often is reported.
        losses: and so is one that takes down its worker so often. Machines that are taken away are
            not a video's fault, so this is larger.
        pause_s: before the second attempt; it doubles with each further one.
        longest_pause_s: at most.
    """

    attempts: int = 3
    losses: int = 6
    pause_s: float = 2.0
    longest_pause_s: float = 60.0

    def pause(self, failures: int) -> float:
        """Seconds to wait after that many failures."""
        return min(self.pause_s * 2 ** (failures - 1), self.longest_pause_s)


ONCE = Patience(attempts=1)
"""For one machine: what fails there would fail again."""


@dataclass
class VideoRun:
    """The way of one video through a run.

    Attributes:
        source: the video.
        overwrite: whether its results may be replaced.
        segments: number of segments that it was divided into; 0: it was not.
        attempts, losses: number of failures and of lost workers so far, of all its tasks.
        frames: number of frames that went through the network, those of overlaps, too.
        seconds: of work, on all workers.
        seams: as `Result.seams`.
        worker: the last one that worked on it.
        outcome: once it is done or given up.
    """

    source: NamedSource
    overwrite: bool
    segments: int = 0
    attempts: int = 0
    losses: int = 0
    frames: int = 0
    seconds: float = 0.0
    seams: tuple[int, int] = (0, 0)
    worker: str = ""
    outcome: Outcome | None = None
    missing: set[Segment] = field(default_factory=set)
    parts: tuple[Segment, ...] = ()


@dataclass
class WorkerTotals:
    """What one worker has done: number of tasks and frames, and seconds of work."""

    tasks: int = 0
    frames: int = 0
    seconds: float = 0.0

    def add(self, result: Result) -> None:
        """Counts a task that is done."""
        self.tasks += 1
        self.frames += result.frames
        self.seconds += result.seconds


class Scheduler:
    """Runs the videos of a plan on an engine.

    Args:
        videos: the videos to track, each with whether results may be replaced. They begin in this
            order; the largest first keeps workers from waiting for a last long one.
        engine: runs the tasks.
        patience: how often a video is tried.
        on_done: called with each video that is done or given up.
        on_poll: called at least twice per second, for a display.

    Attributes:
        videos: in the order of the arguments.
        workers: by the names that the engine gives them.
    """

    def __init__(
        self,
        videos: Sequence[tuple[NamedSource, bool]],
        engine: Engine,
        patience: Patience = ONCE,
        *,
        on_done: Callable[[Outcome], None] = lambda outcome: None,
        on_poll: Callable[[], None] = lambda: None,
    ) -> None:
        self.videos = [VideoRun(source, overwrite) for source, overwrite in videos]
        self.workers: dict[str, WorkerTotals] = {}
        self._of = {video.source.name: video for video in self.videos}
        self._engine, self._patience = engine, patience
        self._on_done, self._on_poll = on_done, on_poll
        self._numbers = count()
        self._ready: list[tuple[int, int, Task]] = []  # rank, number, task
        self._paused: list[tuple[float, int, Task]] = []  # time, number, task
        self._in_work = 0
        for video in self.videos:
            self._queue(Task(video.source, video.overwrite))

    def run(self, stop: threading.Event) -> list[Outcome]:
        """Runs all videos; a failure does not stop the others.

        Args:
            stop: ends the work: no further task begins, and those that run are asked to end.

        Returns:
            What became of the videos, in the order in which they ended; those that were not begun
            are left out.

        Raises:
            VepeError: where no more work is possible, as on a full disk.
        """
        outcomes: list[Outcome] = []
        interrupted = False
        while self._in_work or (not stop.is_set() and (self._ready or self._paused)):
            if stop.is_set() and not interrupted:
                self._engine.interrupt()
                interrupted = True
            if not stop.is_set():
                self._submit()
            for event in self._engine.wait(self._timeout_s()):
                self._in_work -= 1
                video = self._of[event.task.source.name]
                outcome = self._take(video, event)
                if outcome is not None:
                    outcomes.append(outcome)
                    self._on_done(outcome)
            self._on_poll()
        return outcomes

    def _submit(self) -> None:
        now = time.monotonic()
        while self._paused and self._paused[0][0] <= now:
            self._queue(heapq.heappop(self._paused)[2])
        while self._ready and self._engine.room() > 0:
            task = heapq.heappop(self._ready)[2]
            if self._of[task.source.name].outcome is None:  # else another segment gave it up
                self._engine.submit(task)
                self._in_work += 1

    def _timeout_s(self) -> float:
        if not self._in_work and self._paused:
            return max(0.0, min(_POLL_S, self._paused[0][0] - time.monotonic()))
        return _POLL_S

    def _queue(self, task: Task) -> None:
        """Videos that are begun are finished first, so that their segments make room on disk."""
        rank = {"join": 0, "infer": 1, "track": 2}[task.step]
        heapq.heappush(self._ready, (rank, next(self._numbers), task))

    def _take(self, video: VideoRun, event: Event) -> Outcome | None:
        """What follows from an event; the outcome of its video, if that has ended now."""
        video.worker = event.worker or video.worker
        if event.kind == "done":
            self.workers.setdefault(event.worker, WorkerTotals()).add(event.result)
        if event.fatal:
            raise VepeError(event.reason)
        if video.outcome is not None:  # given up, because of another of its segments
            return None
        if event.kind == "done":
            video.outcome = self._advance(video, event.task, event.result)
            return video.outcome
        # What an attempt left half done is ours, and may be replaced.
        task = replace(event.task, overwrite=True)
        if event.kind == "lost":
            video.losses += event.begun
            if video.losses < self._patience.losses:
                self._queue(task)
                return None
            reason = f"{event.reason}; this happened {video.losses} times"
        else:
            video.attempts += 1
            if video.attempts < self._patience.attempts:
                self._pause(task, self._patience.pause(video.attempts))
                return None
            reason = event.reason
        video.outcome = Outcome(video.source, failure=reason)
        return video.outcome

    def _pause(self, task: Task, seconds: float) -> None:
        heapq.heappush(self._paused, (time.monotonic() + seconds, next(self._numbers), task))

    def _advance(self, video: VideoRun, task: Task, result: Result) -> Outcome | None:
        """The next step of a video after one that is done; its outcome after the last one."""
        video.frames += result.frames
        video.seconds += result.seconds
        if result.stopped:
            return None
        if result.report is not None:
            video.seams = result.seams
            report = result.report
            if video.segments:  # joining them took a moment; the work was done before
                report = replace(report, seconds=video.seconds)
            return Outcome(video.source, report)
        if task.step == "track":
            video.segments = len(result.segments)
            video.parts, video.missing = result.segments, set(result.segments)
            for segment in result.segments:
                self._queue(replace(task, step="infer", segments=(segment,)))
        else:
            video.missing -= set(task.segments)
            if not video.missing:
                self._queue(replace(task, step="join", segments=video.parts))
        return None
