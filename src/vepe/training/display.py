"""The live display of a run: a bar for the stage, the time left, losses, throughput and memory.

Without a terminal (a log file, a batch job) a plain line is printed from time to time instead.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

import psutil
import torch
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from vepe.config.training import StageConfig
from vepe.errors import printable

PLAIN_EVERY_S = 30.0
"""Seconds between two lines if there is no terminal."""
_GIB = 2**30


class TimeLeft:
    """Estimates the rest of a run from the speed of the current stage.

    A stage in minutes takes those. A stage in steps takes as long per pixel as the current one;
    evaluations count as far as they have slowed down the current stage.

    Args:
        stages: of the run.
        clock: monotonic seconds.
    """

    def __init__(
        self, stages: Sequence[StageConfig], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stages, self.clock = stages, clock
        self.index = -1
        self.begin, self.first_progress, self.first_step = 0.0, 0.0, 0

    def seconds(self, index: int, step: int, progress: float) -> float | None:
        """Seconds until the run ends; None before the second step of the stage.

        Args:
            index: of the current stage.
            step: of the stage, the one that has just ended.
            progress: of the stage in 0..1.
        """
        now = self.clock()
        if index != self.index:
            self.index, self.begin = index, now
            self.first_progress, self.first_step = progress, step
        if progress <= self.first_progress or step <= self.first_step:
            return None
        spent = now - self.begin
        left = spent * max(1 - progress, 0.0) / (progress - self.first_progress)
        per_pixel = spent / ((step - self.first_step) * _pixels(self.stages[index]))
        later = self.stages[index + 1 :]
        return left + sum(_stage_seconds(stage, per_pixel) for stage in later)


def _pixels(stage: StageConfig) -> float:
    """Pixels per step."""
    return float(stage.batch * stage.frames * stage.size_px**2)


def _stage_seconds(stage: StageConfig, per_pixel: float) -> float:
    by_step = stage.steps * _pixels(stage) * per_pixel if stage.steps else float("inf")
    by_time = 60 * stage.minutes if stage.minutes else float("inf")
    return min(by_step, by_time)


def memory_gib() -> dict[str, float]:
    """`memory_gib`: resident memory of this process; `gpu_gib`, with a GPU: the peak of its tensors
    since the last call."""
    memory = {"memory_gib": psutil.Process().memory_info().rss / _GIB}
    if torch.cuda.is_available():
        memory["gpu_gib"] = torch.cuda.max_memory_allocated() / _GIB
        torch.cuda.reset_peak_memory_stats()
    return memory


class Display:
    """Shows the progress of a run.

    Args:
        stages: of the run.
        console: default: stderr.
        silent: show nothing.
        quiet: show warnings alone.
    """

    def __init__(
        self,
        stages: Sequence[StageConfig],
        console: Console | None = None,
        *,
        silent: bool = False,
        quiet: bool = False,
    ) -> None:
        self.stages, self.silent, self.quiet = stages, silent, silent or quiet
        self.console = console or Console(stderr=True)
        self.live = self.console.is_terminal and not self.quiet
        self.progress = _Screen(
            TextColumn("[bold]{task.fields[stage]}[/]"),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            TextColumn("step {task.fields[step]}"),
            TimeElapsedColumn(),
            TextColumn("[cyan]{task.fields[left]}[/]"),
            console=self.console,
            disable=not self.live,
        )
        self.task = self.progress.add_task("", total=1.0, stage="", step=0, left="")
        self.position, self.last_line_s = "", -PLAIN_EVERY_S

    def start(self) -> None:
        """Starts the display."""
        self.progress.start()

    def stop(self) -> None:
        """Ends it; the last state stays on the screen."""
        self.progress.stop()

    def move(self, stage_index: int, step: int, progress: float, left_s: float | None) -> None:
        """Shows the current step, and the seconds until the run ends if they are known."""
        stage = self.stages[stage_index]
        name = f"{stage.name} {stage_index + 1}/{len(self.stages)}"
        count = f"{step + 1}" + (f"/{stage.steps}" if stage.steps else "")
        left = "" if left_s is None else f"{timedelta(seconds=round(left_s))} left"
        self.position = f"{name} step {count} {100 * progress:.0f}% {left}".rstrip()
        self.progress.update(self.task, completed=progress, stage=name, step=count, left=left)

    def values(self, values: Mapping[str, float]) -> None:
        """Shows the values of a line of the log."""
        lines = summary(values)
        self.progress.lines = [Text(line) for line in lines]
        if not self.live and time.monotonic() - self.last_line_s >= PLAIN_EVERY_S:
            self.note(" | ".join((self.position, *lines)))
            self.last_line_s = time.monotonic()

    def note(self, text: str) -> None:
        """Prints a line that stays."""
        if not self.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Prints a line that stays, also of a quiet run."""
        if not self.silent:
            self.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


class _Screen(Progress):
    """The bar with lines of numbers below it."""

    lines: Sequence[Text] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from self.lines


def summary(values: Mapping[str, float]) -> list[str]:
    """The values of a line of the log as text: losses; throughput, memory and learning rates."""
    parts = grouped(values)
    losses = f"loss {values['loss']:.3g} = " + " + ".join(
        f"{name} {value:.3g}" for name, value in parts.items()
    )
    lrs = [f"{n} {v:.1e}" for n, v in values.items() if n == "lr" or n.startswith("lr/")]
    gpu = [f"GPU {values['gpu_gib']:.2f} GiB"] if "gpu_gib" in values else []
    skipped = [f"{values['unreadable']:.0f} unreadable images"] if "unreadable" in values else []
    speed = [f"{values['clips_per_s']:.1f} clips/s", f"{values['frames_per_s']:.1f} frames/s"]
    memory = f"memory {values['memory_gib']:.2f} GiB"
    return [losses, "  ".join([*speed, memory, *gpu, *lrs, *skipped])]


def grouped(values: Mapping[str, float | None]) -> dict[str, float]:
    """Loss parts summed by owner: `spatial0/l1` and `spatial1/oks` count for `spatial`."""
    sums: dict[str, float] = defaultdict(float)
    for name, value in values.items():
        owner, slash, _ = name.partition("/")
        if slash and owner != "lr" and value is not None:
            sums[owner.rstrip("0123456789")] += value
    return dict(sums)
