"""How far a stage is.

How long a run will still take, over all of its stages.

How much memory a run takes.

The live display of a run: a bar for the stage, the loss and its parts, pace and memory.

Where there is no terminal (a log file, a batch job) a plain line now and then takes its place.
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


class Clock:
    """Progress of a stage by steps or minutes, whichever is further.

    Args:
        stage: what ends it.
        before_s: seconds that earlier sessions spent in it.
    """

    def __init__(self, stage: StageConfig, before_s: float = 0.0) -> None:
        self.stage, self.before, self.started = stage, before_s, time.monotonic()

    def elapsed_s(self) -> float:
        """Seconds spent in the stage, earlier sessions included."""
        return self.before + time.monotonic() - self.started

    def progress(self, step: int, elapsed_s: float) -> float:
        """0 at the start, 1 at the end. All processes must be given the same seconds."""
        by_step = step / self.stage.steps if self.stage.steps else 0.0
        by_time = elapsed_s / (60 * self.stage.minutes) if self.stage.minutes else 0.0
        return max(by_step, by_time)


class Every:
    """Whether so many minutes have gone by since the last time."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.last = minutes, time.monotonic()

    def due(self) -> bool:
        """Whether it is time."""
        return self.minutes is not None and time.monotonic() - self.last > 60 * self.minutes

    def restart(self) -> None:
        """Counts from now on."""
        self.last = time.monotonic()


class TimeLeft:
    """Reckons from the pace of the present stage what it and the later ones will take.

    A stage in minutes takes those. One in steps takes as long a pixel as the present one does;
    calibration and evaluations count as far as they have slowed down the present stage.

    Args:
        stages: of the run.
        clock: seconds that only grow.
    """

    def __init__(
        self, stages: Sequence[StageConfig], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stages, self.clock = stages, clock
        self.index = -1
        self.begin, self.first_done, self.first_step = 0.0, 0.0, 0

    def seconds(self, index: int, step: int, done: float) -> float | None:
        """Seconds until the run ends; None until two steps of the stage have been seen.

        Args:
            index: number of the present stage.
            step: of the stage, the one that has just ended.
            done: share of the stage in 0..1.
        """
        now = self.clock()
        if index != self.index:
            self.index, self.begin, self.first_done, self.first_step = index, now, done, step
        if done <= self.first_done or step <= self.first_step:
            return None
        spent = now - self.begin
        left = spent * max(1 - done, 0.0) / (done - self.first_done)
        pace = spent / ((step - self.first_step) * _pixels(self.stages[index]))
        return left + sum(_stage_seconds(stage, pace) for stage in self.stages[index + 1 :])


def _pixels(stage: StageConfig) -> float:
    """Pixels of a step."""
    return float(stage.batch * stage.frames * stage.size_px**2)


def _stage_seconds(stage: StageConfig, pace: float) -> float:
    by_step = stage.steps * _pixels(stage) * pace if stage.steps else float("inf")
    by_time = 60 * stage.minutes if stage.minutes else float("inf")
    return min(by_step, by_time)


_GIB = 2**30


def memory_gib() -> dict[str, float]:
    """`memory_gib`: resident memory of this process; `gpu_gib`: the most that tensors took on the
    GPU since the last call, where there is one."""
    found = {"memory_gib": psutil.Process().memory_info().rss / _GIB}
    if torch.cuda.is_available():
        found["gpu_gib"] = torch.cuda.max_memory_allocated() / _GIB
        torch.cuda.reset_peak_memory_stats()
    return found


PLAIN_EVERY_S = 30.0
"""Seconds between two lines where there is no terminal."""


class Display:
    """Shows how far a run is.

    Args:
        stages: of the run.
        console: stderr unless given.
        silent: shows nothing at all.
    """

    def __init__(
        self, stages: Sequence[StageConfig], console: Console | None = None, *, silent: bool = False
    ) -> None:
        self.stages, self.silent = stages, silent
        self.console = console or Console(stderr=True)
        self.live = self.console.is_terminal and not silent
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
        self.where, self.last_line = "", -PLAIN_EVERY_S

    def start(self) -> None:
        """Begins to show."""
        self.progress.start()

    def stop(self) -> None:
        """Ends it; the last state stays on the screen."""
        self.progress.stop()

    def move(self, stage_index: int, step: int, done: float, left_s: float | None) -> None:
        """The present step, and the seconds until the run ends, where they can be told."""
        stage = self.stages[stage_index]
        name = f"{stage.name} {stage_index + 1}/{len(self.stages)}"
        count = f"{step + 1}" + (f"/{stage.steps}" if stage.steps else "")
        left = "" if left_s is None else f"{_clock(left_s)} left"
        self.where = f"{name} step {count} {100 * done:.0f}% {left}".rstrip()
        self.progress.update(self.task, completed=done, stage=name, step=count, left=left)

    def tell(self, values: Mapping[str, float], run_step: int) -> None:
        """New means: those of a line of the log."""
        lines = summary(values)
        self.progress.lines = [Text(line) for line in lines]
        if not self.live and time.monotonic() - self.last_line >= PLAIN_EVERY_S:
            self.note(" | ".join((self.where, *lines)))
            self.last_line = time.monotonic()

    def note(self, text: str) -> None:
        """One line that stays."""
        if not self.silent:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Screen(Progress):
    """The bar with lines of numbers below it."""

    lines: Sequence[Text] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from self.lines


def summary(values: Mapping[str, float]) -> list[str]:
    """The values of a line of the log for people: losses; pace, memory and rate."""
    parts = grouped(values)
    losses = f"loss {values['loss']:.3g} = " + " + ".join(
        f"{name} {value:.3g}" for name, value in parts.items()
    )
    rates = [f"{n} {v:.1e}" for n, v in values.items() if n == "lr" or n.startswith("lr/")]
    gpu = [f"GPU {values['gpu_gib']:.2f} GiB"] if "gpu_gib" in values else []
    lost = [f"{values['unreadable']:.0f} unreadable pictures"] if "unreadable" in values else []
    pace = [f"{values['clips_per_s']:.1f} clips/s", f"{values['frames_per_s']:.1f} frames/s"]
    memory = f"memory {values['memory_gib']:.2f} GiB"
    return [losses, "  ".join([*pace, memory, *gpu, *rates, *lost])]


def grouped(values: Mapping[str, float]) -> dict[str, float]:
    """Loss parts summed by what they belong to: `spatial0/l1` and `spatial1/oks` to `spatial`."""
    sums: dict[str, float] = defaultdict(float)
    for name, value in values.items():
        owner, slash, _ = name.partition("/")
        if slash and owner != "lr":
            sums[owner.rstrip("0123456789")] += value
    return dict(sums)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
