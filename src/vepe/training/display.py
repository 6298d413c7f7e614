"""The live display of a run: a bar for the stage, the loss and its parts, pace and memory.

Where there is no terminal (a log file, a batch job) a plain line now and then takes its place.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from vepe.config.training import StageConfig

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
