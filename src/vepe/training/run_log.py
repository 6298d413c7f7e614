"""Metrics of evaluations as people read them: in order, spelt and rounded.

`log.jsonl`: one JSON object a line, written as a run goes, read by the page and the grid.

A line of losses holds `stage`, `stage_index` (from 0), `step` (of the stage, from 0), `run_step`
(of the whole run), `elapsed_s` (seconds of training, pauses left out), and means over the steps
since the line before: `loss`, its parts (`name/part`), `lr`, `clips_per_s`, `frames_per_s`,
`memory_gib`, `gpu_gib` where there is a GPU, and `unreadable` where pictures could not be read (how
many so far). A line of an evaluation holds `evaluation`, a mapping of metrics, in place of the
losses.

What a run tells while it goes: a live display, JSON lines, TensorBoard, and boards asked for.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8
from rich.console import Console

from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.training.boards import Board, open_boards
from vepe.training.checkpoint import Progress
from vepe.training.display import Display, TimeLeft, memory_gib

FIRST_METRICS = ("ap", "mota", "hota", "assa", "deta", "ap50", "ap75")


def metric_names(tests: Iterable[Line]) -> list[str]:
    """The metrics of evaluations by name, those that papers report first."""
    names = dict.fromkeys(name for line in tests for name in line["evaluation"])
    first = [name for name in FIRST_METRICS if name in names]
    return [*first, *(name for name in names if name not in first)]


def label(metric: str) -> str:
    """`ap_medium` as papers write it: AP medium."""
    short, _, rest = metric.partition("_")
    name = _SPELLED.get(short, short.upper() if len(short) < 5 else short)
    return f"{name} {rest}".rstrip()


_SPELLED = {"deta": "DetA", "assa": "AssA", "loca": "LocA"}


def score(value: float | None) -> str:
    """A metric in percent, one digit behind the point; `n/a` for nothing."""
    return "n/a" if value is None or not math.isfinite(value) else f"{value:.1f}"


LOG_NAME = "log.jsonl"
Line = dict[str, Any]


def read_log(path: Path) -> list[Line]:
    """All lines of a log in order; empty where there is none.

    A last line that a crash cut off is left out.

    Raises:
        VepeError: where any other line is not a JSON object.
    """
    if not path.is_file():
        return []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    lines: list[Line] = []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            if not isinstance(line, dict):
                raise ValueError
        except ValueError:
            if number == len(texts):
                break
            raise VepeError(
                f"Line {number} of '{path}' is not a JSON object; take it out to go on."
            ) from None
        lines.append(line)
    return lines


def keep_before(path: Path, stage_index: int, step: int) -> list[Line]:
    """Cuts off what a log says of `step` of a stage and later, and returns what stays.

    A run that goes on from a checkpoint does those steps once more.
    """
    lines = read_log(path)
    kept = [line for line in lines if (_at(line)) < (stage_index, step)]
    if path.is_file():
        with replacing(path) as beside:
            beside.write_text(as_text(kept), encoding="utf-8")
    return kept


def as_text(lines: Iterable[Line]) -> str:
    """The lines as they stand in the file; what is not finite becomes null."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def _at(line: Line) -> tuple[int, int]:
    return int(line.get("stage_index", 0)), int(line.get("step", 0))


EVERY = 20
"""Most steps between two lines of the log."""
EVERY_S = 60.0
"""Most seconds between two lines of the log."""
PLACES = ("stage", "stage_index", "step", "run_step", "elapsed_s")
"""Keys of a line that say where it is; all others are values."""


class RunLog:
    """Collects the losses of a run and shows them.

    Args:
        folder: where `log.jsonl`, TensorBoard's files and pictures go; None shows and writes
            nothing (all processes but the first).
        config: the run.
        start: where it goes on; what an earlier session logged of later steps is cut off.
        console: where progress is shown; stderr unless given.

    Attributes:
        unreadable: pictures so far that could not be read; whoever loads them counts them here.

    Raises:
        VepeError: where a board of `config.logging` is not installed or does not start.
    """

    def __init__(
        self,
        folder: Path | None,
        config: TrainConfig,
        start: Progress | None = None,
        console: Console | None = None,
    ) -> None:
        start = start or Progress()
        self.folder, self.config = folder, config
        self.sums: dict[str, float] = defaultdict(float)
        self.count, self.clips, self.frames = 0, 0, 0
        self.unreadable = 0
        self.stage, self.stage_index, self.at = "", start.stage, 0
        if start.step:
            self.stage, self.at = config.stages[start.stage].name, start.step - 1
        self.rates: dict[str, float] = {}
        self.before = 0  # steps of the stages that are over
        self.earlier_s, self.began = 0.0, time.monotonic()
        self.since = self.began
        self.left = TimeLeft(config.stages)
        self.boards: list[Board] = []
        self.display = Display(config.stages, console, silent=folder is None)
        self.console = self.display.console
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            kept = keep_before(folder / LOG_NAME, start.stage, start.step)
            self._go_on(kept, start)
            recipe = config.model_dump(mode="json")
            self.boards = open_boards(
                config.logging, folder, recipe, start=self.before + start.step
            )
            self.file = (folder / LOG_NAME).open("a", encoding="utf-8")

    def _go_on(self, kept: list[Line], start: Progress) -> None:
        """Takes the counts of steps and seconds from what an earlier session wrote."""
        if kept:
            self.earlier_s = float(kept[-1].get("elapsed_s", 0.0))
            self.unreadable = max(int(line.get("unreadable", 0)) for line in kept)
        over = [line for line in kept if line.get("stage_index", 0) < start.stage]
        if over:
            self.before = int(over[-1]["run_step"]) + 1

    def __enter__(self) -> RunLog:
        self.display.start()
        self.began = self.since = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
        self.display.stop()
        if self.folder is not None:
            self.file.close()
        for board in list(self.boards):
            self._tell(board, lambda b: b.close(failed=kind is not None))

    @property
    def run_step(self) -> int:
        """The present step, counted over all stages."""
        return self.before + self.at

    def step(
        self,
        stage: str,
        step: int,
        done: float,
        parts: Mapping[str, float],
        clips: int,
        rate: float | Mapping[str, float],
        frames: int = 1,
    ) -> None:
        """Notes one step.

        Args:
            stage: name of the stage.
            step: of the stage, from 0.
            done: progress of the stage in 0..1.
            parts: weighted losses by name.
            clips: how many the step was made of, on all processes.
            rate: the learning rate, or several by the name of their group.
            frames: of a clip.
        """
        if stage != self.stage:
            self._turn_to(stage)
        for name, value in parts.items():
            self.sums[name] += value
        self.count += 1
        self.clips += clips
        self.frames += clips * frames
        self.at = step
        self.rates = (
            {f"lr/{name}": value for name, value in rate.items()}
            if isinstance(rate, Mapping)
            else {"lr": rate}
        )
        left_s = self.left.seconds(self.stage_index, step, done)
        self.display.move(self.stage_index, step, done, left_s)
        if self.count >= EVERY or time.monotonic() - self.since > EVERY_S:
            self.flush()

    def _turn_to(self, stage: str) -> None:
        """Closes the stage that is over and begins another."""
        self.flush()
        if self.stage:
            self.before += self.at + 1
        self.stage = stage
        names = [s.name for s in self.config.stages]
        self.stage_index = names.index(stage)

    def flush(self) -> None:
        """Writes the means of the steps since the last line, where there are any.

        Called before a checkpoint too, so that a resumed log has no gap.
        """
        if not self.count:
            return
        seconds = max(time.monotonic() - self.since, 1e-9)
        means = {name: value / self.count for name, value in self.sums.items()}
        values = {
            "loss": sum(means.values()),
            **means,
            **self.rates,
            "clips_per_s": self.clips / seconds,
            "frames_per_s": self.frames / seconds,
            **memory_gib(),
        }
        if self.unreadable:
            values["unreadable"] = self.unreadable
        self._write({name: _rounded(value) for name, value in values.items()})
        self.display.tell(values, self.run_step)
        for board in list(self.boards):
            self._tell(board, lambda b: b.numbers(self.run_step, values))
        self.sums.clear()
        self.count, self.clips, self.frames, self.since = 0, 0, 0, time.monotonic()

    def evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Notes metrics of the averaged weights after `step` of the present stage."""
        self.flush()
        self.at = step
        found = {name: float(value) for name, value in metrics.items()}
        self._write({"evaluation": {name: _rounded(value) for name, value in found.items()}})
        shown = "  ".join(f"{name} {value:.3g}" for name, value in found.items())
        self.display.note(f"Evaluation after step {self.run_step + 1}: {shown}")
        numbers = {f"evaluation/{n}": v for n, v in found.items() if math.isfinite(v)}
        for board in list(self.boards):
            self._tell(board, lambda b: b.numbers(self.run_step, numbers))
        self.since = time.monotonic()  # the pace of training leaves the evaluation out

    def picture(self, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Keeps a picture of the present step as `pictures/STEP_NAME.jpg`, and shows it."""
        if self.folder is None:
            return
        from vepe.training.report_images import save_picture

        save_picture(self.folder / "pictures" / f"{self.run_step:07d}_{name}.jpg", image)
        for board in list(self.boards):
            self._tell(board, lambda b: b.picture(self.run_step, f"pictures/{name}", image))

    def _write(self, values: Mapping[str, object]) -> None:
        """One line, with its place."""
        if self.folder is None:
            return
        elapsed_s = self.earlier_s + time.monotonic() - self.began
        place = (self.stage, self.stage_index, self.at, self.run_step, round(elapsed_s, 2))
        self.file.write(as_text([{**dict(zip(PLACES, place, strict=True)), **values}]))
        self.file.flush()

    def _tell(self, board: Board, say: Callable[[Board], None]) -> None:
        """Tells a board; one that fails is left alone from then on, and the run goes on."""
        try:
            say(board)
        except Exception as error:  # theirs, of any kind
            self.boards.remove(board)
            name = type(board).__name__.lstrip("_")
            self.display.note(f"{name} failed ({error}); the run goes on without it.")


def _rounded(value: float) -> float | None:
    """Six digits; None for what JSON cannot say."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
