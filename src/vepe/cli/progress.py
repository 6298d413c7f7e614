"""Progress bars: frames of one video, all videos of a call, items of a list."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from vepe.cli.output import shows_progress
from vepe.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress

    from vepe.types import VideoInfo
    from vepe.video.sources import NamedSource

Item = TypeVar("Item")


@contextmanager
def video_progress(info: VideoInfo) -> Iterator[Callable[[int], None]]:
    """A bar with frames per second and remaining time; gives a function of the frames so far."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:.1f} frames/s")

    ends = info.frame_count is not None
    columns = [
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TextColumn("left" if ends else ""),
        TimeRemainingColumn(compact=True) if ends else TimeElapsedColumn(),
    ]
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not shows_progress()) as bar:
        task = bar.add_task(escape(printable(info.name)), total=info.frame_count)
        yield lambda frames: bar.update(task, completed=frames)


class BatchProgress:
    """One bar over all videos: which one runs, frames per second, and the time that is left.

    Videos count by the size of their files, since counting the frames of all would open all.
    """

    def __init__(self, bar: Progress, sources: Sequence[NamedSource], numbered: int) -> None:
        from vepe.video.sources import size_of

        self._weights = {source: float(size_of(source)) for source in sources}
        known = [weight for weight in self._weights.values() if weight] or [1.0]
        mean = sum(known) / len(known)
        self._weights = {source: weight or mean for source, weight in self._weights.items()}
        self._total, self._count = sum(self._weights.values()) or 1.0, numbered
        self._bar, self._task = bar, bar.add_task("", total=self._total, speed="", left="")
        self._done, self._number, self._frame_count = 0.0, 0, 0
        self._weight, self._begun_s = 0.0, time.monotonic()
        self._video_begun_s = self._begun_s

    def begin(self, source: NamedSource) -> None:
        """A video begins."""
        self._number += 1
        self._weight, self._frame_count = self._weights[source], 0
        self._video_begun_s = time.monotonic()
        from rich.markup import escape

        name = escape(printable(source.name))
        self._bar.update(self._task, description=f"{self._number}/{self._count} {name}")

    def opened(self, info: VideoInfo) -> None:
        """Its length is known."""
        self._frame_count = info.frame_count or 0

    def frames(self, count: int) -> None:
        """So many of its frames are done."""
        now_s = time.monotonic()
        share = min(count / self._frame_count, 1.0) if self._frame_count else 0.0
        completed = self._done + share * self._weight
        self._bar.update(
            self._task,
            completed=completed,
            speed=f"{count / max(now_s - self._video_begun_s, 1e-3):.1f} frames/s",
            left=remaining(now_s - self._begun_s, completed / self._total),
        )

    def end(self) -> None:
        """The video is done, or failed."""
        self._done += self._weight
        self._bar.update(self._task, completed=self._done)


@contextmanager
def batch_progress(sources: Sequence[NamedSource]) -> Iterator[BatchProgress]:
    """The bar of a batch. Lines that are printed meanwhile stand above it."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = [
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TextColumn("{task.fields[left]}"),
    ]
    bar = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        disable=not shows_progress(),
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    )
    with bar:
        yield BatchProgress(bar, sources, len(sources))


def progress_over(items: list[Any], what: str) -> Iterable[Any]:
    """The items, with a bar while they are iterated over."""
    return with_bar(items, f"{len(items)} {what}")


def with_bar(items: list[Item], title: str, *, transient: bool = False) -> Iterable[Item]:
    """The items, with a bar of this title; a `transient` one is removed at the end."""
    if not shows_progress():  # a bar that is not shown would start a thread, too
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, title, console=Console(stderr=True), transient=transient)


def remaining(elapsed_s: float, share: float) -> str:
    """The time that is left, as text, after a share (0 to 1) of the work."""
    if share <= 0.001 or elapsed_s < 1:
        return ""
    seconds = round(elapsed_s * (1 - share) / share)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left"
