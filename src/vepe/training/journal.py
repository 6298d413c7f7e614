"""What a run tells: a live progress line, JSON lines, and TensorBoard."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

EVERY = 20
"""Steps between two lines of the log."""


class Journal:
    """Collects the losses of a run and shows them.

    Args:
        folder: where `log.jsonl` and TensorBoard's files go; None shows and writes nothing (all
            processes but the first).
        console: where the progress line is drawn.
    """

    def __init__(self, folder: Path | None, console: Console | None = None) -> None:
        self.file = None
        self.board = None
        self.sums: dict[str, float] = defaultdict(float)
        self.count, self.samples, self.since = 0, 0, time.monotonic()
        self.stage, self.at = "", (0, 0.0)
        self.console = console or Console(stderr=True)
        self.progress = Progress(
            TextColumn("[bold]{task.fields[stage]}[/]"),
            BarColumn(),
            TextColumn("step {task.fields[step]}  loss {task.fields[loss]:.2f}"),
            TextColumn("{task.fields[speed]:.1f} clips/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            disable=folder is None,
        )
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = (folder / "log.jsonl").open("a", encoding="utf-8")
            try:
                from torch.utils.tensorboard import SummaryWriter

                self.board = SummaryWriter(str(folder / "tensorboard"))
            except ImportError:
                self.console.print("TensorBoard is not installed; log.jsonl has all numbers.")
        self.task = self.progress.add_task(
            "", total=1.0, stage="", step=0, loss=float("nan"), speed=0.0
        )

    def __enter__(self) -> Journal:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
        self.progress.stop()
        if self.file is not None:
            self.file.close()
        if self.board is not None:
            self.board.close()

    def step(
        self, stage: str, step: int, done: float, parts: dict[str, float], samples: int, rate: float
    ) -> None:
        """Notes one step: `done` is the stage's progress in 0..1, `rate` the learning rate."""
        if stage != self.stage:
            self.flush()
            self.stage = stage
        for name, value in parts.items():
            self.sums[name] += value
        self.count += 1
        self.samples += samples
        self.at = (step, rate)
        self.progress.update(self.task, completed=done, stage=stage, step=step)
        if self.count >= EVERY:
            self.flush()

    def flush(self) -> None:
        """Writes the means of the steps since the last line, where there are any."""
        if not self.count:
            return
        step, rate = self.at
        means = {name: value / self.count for name, value in self.sums.items()}
        speed = self.samples / max(time.monotonic() - self.since, 1e-9)
        loss = sum(means.values())
        self.progress.update(self.task, loss=loss, speed=speed)
        self.write(self.stage, step, {"loss": loss, **means, "clips_per_s": speed, "lr": rate})
        self.sums.clear()
        self.count, self.samples, self.since = 0, 0, time.monotonic()

    def write(self, stage: str, step: int, values: dict[str, float]) -> None:
        """One line of numbers."""
        if self.file is not None:
            rounded = {name: round(value, 6) for name, value in values.items()}
            line = {"stage": stage, "step": step, **rounded}
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{stage}/{name}", value, step)
