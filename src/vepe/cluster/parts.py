"""Work that makes parts of a data set, such as rendered videos or shards, each by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vepe.cluster.tasks import Hooks, Result, Task
from vepe.inference.track_job import TrackReport
from vepe.video.sources import NamedSource

Stopped = Callable[[], bool]
MakePart = Callable[[int, Stopped], int | None]
"""Makes a part by its number and returns how many frames, or images, it holds; None if it was
stopped. What it writes must be the same wherever and however often it is called."""


@dataclass(frozen=True)
class PartWork:
    """`Work` of parts.

    Attributes:
        names: of all parts that are to be made, by number.
        open_maker: called once by each worker; can be pickled.
    """

    names: Mapping[str, int]
    open_maker: Callable[[], MakePart]

    @property
    def uses_gpu(self) -> bool:
        return False

    def open(self) -> PartWorker:
        return PartWorker(self)

    def todo(self) -> list[tuple[NamedSource, bool]]:
        """The parts as the scheduler takes them; what a killed worker left may be replaced."""
        return [(NamedSource(name, name), True) for name in self.names]


class PartWorker:
    """Makes parts, one at a time.

    Args:
        work: of all parts.

    Raises:
        VepeError: where this machine lacks something for it.
    """

    def __init__(self, work: PartWork) -> None:
        self._numbers = work.names
        self._make = work.open_maker()

    def do(self, task: Task, hooks: Hooks | None = None) -> Result:
        """Makes a part. Raises VepeError where it cannot be made or written."""
        hooks = hooks or Hooks()
        begun = time.monotonic()
        name = task.source.name
        frames = None if hooks.stopped else self._make(self._numbers[name], lambda: hooks.stopped)
        if frames is None:
            return Result(stopped=True)
        seconds = time.monotonic() - begun
        return Result(TrackReport(frames, 0, 0, seconds), frames=frames, seconds=seconds)

    def close(self) -> None:
        """Frees nothing: what the maker holds goes with it."""
