"""The log of a run: `log.jsonl`, and the same values for the display and the trackers.

`log.jsonl` has one JSON object per line. Every line has `stage`, `stage_index` (from 0), `step` (of
the stage, from 0), `run_step` (of the whole run) and `elapsed_s` (seconds of training without
pauses). A line of losses has means over the steps since the line before: `loss`, its parts
(`name/part`), `lr` or `lr/group`, `clips_per_s`, `frames_per_s`, `memory_gib`, with a GPU
`gpu_gib`, and `unreadable` (images so far that could not be read) if there are any. A line of an
evaluation has `evaluation` instead, the metrics by name. The report and grids read this file.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8
from rich.console import Console

from vepe.config.documents import parse_json
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.training.checkpoint import Progress
from vepe.training.display import Display, TimeLeft, memory_gib
from vepe.training.report_images import save_jpeg
from vepe.training.trackers import Trackers

LOG_NAME = "log.jsonl"
IMAGE_FOLDER = "images"
MAX_STEPS = 20
"""Most steps between two lines of the log."""
MAX_S = 60.0
"""Most seconds between two lines of the log."""
PLACE = ("stage", "stage_index", "step", "run_step", "elapsed_s")
"""Keys of every line; all others are values."""
MAX_ELAPSED_S = 1e10

Line = dict[str, Any]


class RunLog:
    """Averages the losses of a run over some steps and writes them to file, display and trackers.

    A context manager: it starts the display, and closes everything at the end.

    Args:
        folder: for `log.jsonl`, TensorBoard files and images; None shows and writes nothing (all
            processes but the first).
        config: the run.
        start: where the run resumes; lines of later steps from an earlier session are removed.
        console: for progress; default: stderr.
        quiet: show warnings alone.

    Attributes:
        num_unreadable: images so far that could not be read; the training loop adds to it.

    Raises:
        VepeError: if a tracker of `config.logging` is not installed or does not start.
    """

    def __init__(
        self,
        folder: Path | None,
        config: TrainConfig,
        start: Progress | None = None,
        console: Console | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        start = start or Progress()
        self.folder, self.config = folder, config
        self.sums: dict[str, float] = defaultdict(float)
        self.num_steps, self.num_clips, self.num_frames = 0, 0, 0
        self.num_unreadable = 0
        self.stage, self.stage_index, self.at = "", start.stage, 0
        if start.step:
            self.stage, self.at = config.stages[start.stage].name, start.step - 1
        self.lrs: dict[str, float] = {}
        self.earlier_steps = 0  # of finished stages
        self.earlier_s, self.began = 0.0, time.monotonic()
        self.last_line = self.began
        self.time_left = TimeLeft(config.stages)
        self.display = Display(config.stages, console, silent=folder is None, quiet=quiet)
        self.trackers: Trackers | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._resume(truncate(folder / LOG_NAME, start.stage, start.step), start)
            self.trackers = Trackers(
                config.logging,
                folder,
                config.model_dump(mode="json"),
                self.earlier_steps + start.step,
                self.display.warn,
            )
            self.file = (folder / LOG_NAME).open("a", encoding="utf-8")

    def _resume(self, lines: list[Line], start: Progress) -> None:
        """Takes the counts of steps, seconds and unreadable images from an earlier session."""
        if lines:
            self.earlier_s = float(lines[-1].get("elapsed_s", 0.0))
            self.num_unreadable = max(int(line.get("unreadable", 0)) for line in lines)
        earlier = [line for line in lines if line.get("stage_index", 0) < start.stage]
        if earlier:
            self.earlier_steps = int(earlier[-1]["run_step"]) + 1

    def __enter__(self) -> RunLog:
        self.display.start()
        self.began = self.last_line = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
        self.display.stop()
        if self.trackers is not None:
            self.file.close()
            self.trackers.close(failed=kind is not None)

    @property
    def run_step(self) -> int:
        """The current step, counted over all stages."""
        return self.earlier_steps + self.at

    def losses(
        self,
        stage: str,
        step: int,
        progress: float,
        parts: Mapping[str, float],
        num_clips: int,
        lr: float | Mapping[str, float],
        num_frames: int = 1,
    ) -> None:
        """Adds one optimiser step.

        Args:
            stage: name of the stage.
            step: of the stage, from 0.
            progress: of the stage in 0..1.
            parts: weighted losses by name.
            num_clips: clips of the step, over all processes.
            lr: learning rate, or rates by name of their parameter group.
            num_frames: frames per clip.
        """
        if stage != self.stage:
            self._begin_stage(stage)
        for name, value in parts.items():
            self.sums[name] += value
        self.num_steps += 1
        self.num_clips += num_clips
        self.num_frames += num_clips * num_frames
        self.at = step
        self.lrs = (
            {f"lr/{name}": value for name, value in lr.items()}
            if isinstance(lr, Mapping)
            else {"lr": lr}
        )
        left_s = self.time_left.seconds(self.stage_index, step, progress)
        self.display.move(self.stage_index, step, progress, left_s)
        if self.num_steps >= MAX_STEPS or time.monotonic() - self.last_line > MAX_S:
            self.flush()

    def _begin_stage(self, stage: str) -> None:
        self.flush()
        if self.stage:
            self.earlier_steps += self.at + 1
        self.stage = stage
        self.stage_index = [s.name for s in self.config.stages].index(stage)

    def flush(self) -> None:
        """Writes the means of the steps since the last line, if there are any.

        Also called before a checkpoint, so that the log of a resumed run has no gap.
        """
        if not self.num_steps:
            return
        seconds = max(time.monotonic() - self.last_line, 1e-9)
        means = {name: value / self.num_steps for name, value in self.sums.items()}
        values = {
            "loss": sum(means.values()),
            **means,
            **self.lrs,
            "clips_per_s": self.num_clips / seconds,
            "frames_per_s": self.num_frames / seconds,
            **memory_gib(),
        }
        if self.num_unreadable:
            values["unreadable"] = self.num_unreadable
        self._write({name: _rounded(value) for name, value in values.items()})
        self.display.values(values)
        if self.trackers is not None:
            self.trackers.log(self.run_step, values)
        self.sums.clear()
        self.num_steps, self.num_clips, self.num_frames = 0, 0, 0
        self.last_line = time.monotonic()

    def evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the metrics of the EMA weights after `step` of the current stage."""
        self.flush()
        self.at = step
        self._write({"evaluation": {name: _rounded(value) for name, value in metrics.items()}})
        text = "  ".join(f"{name} {value:.3g}" for name, value in metrics.items())
        self.display.note(f"Evaluation after step {self.run_step + 1}: {text}")
        if self.trackers is not None:
            finite = {f"evaluation/{n}": v for n, v in metrics.items() if math.isfinite(v)}
            self.trackers.log(self.run_step, finite)
        self.last_line = time.monotonic()  # throughput does not count the evaluation

    def image(self, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Saves an RGB image of the current step as `images/STEP_NAME.jpg`, and logs it."""
        if self.folder is None or self.trackers is None:
            return
        path = self.folder / IMAGE_FOLDER / f"{self.run_step:07d}_{name}.jpg"
        save_jpeg(path, image)
        self.trackers.image(self.run_step, f"{IMAGE_FOLDER}/{name}", path, image)

    def _write(self, values: Mapping[str, object]) -> None:
        """Writes one line."""
        if self.folder is None:
            return
        elapsed_s = self.earlier_s + time.monotonic() - self.began
        place = (self.stage, self.stage_index, self.at, self.run_step, round(elapsed_s, 2))
        self.file.write(as_text([{**dict(zip(PLACE, place, strict=True)), **values}]))
        self.file.flush()


def _rounded(value: float) -> float | None:
    """Six digits; None for NaN and infinity, which JSON does not have."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def read_log(path: Path) -> list[Line]:
    """All lines of a log in order; empty if there is no file.

    An incomplete last line, as a crash leaves it, is ignored.

    Raises:
        VepeError: if any other line is not a JSON object, or a line's values are no numbers.
    """
    if not path.is_file():
        return []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    lines: list[Line] = []
    for number, text in enumerate(texts, start=1):
        try:
            line = parse_json(text, f"Line {number}")
            if not isinstance(line, dict):
                raise VepeError("not a JSON object")
        except VepeError:
            if number == len(texts):
                break
            raise VepeError(
                f"Line {number} of '{path}' is not a JSON object; remove it to continue."
            ) from None
        lines.append(_checked(line, f"Line {number} of '{path}'"))
    return lines


def _checked(line: Line, place: str) -> Line:
    """The line itself. Raises VepeError where a value has another type than the log writes."""
    for key, value in line.items():
        if key == "stage":
            valid = isinstance(value, str)
        elif key in ("stage_index", "step", "run_step"):
            valid = type(value) is int and 0 <= value <= 1 << 53
        elif key == "elapsed_s":
            valid = value is not None and _is_number(value) and 0 <= value <= MAX_ELAPSED_S
        elif key == "evaluation":
            valid = isinstance(value, dict) and all(map(_is_number, value.values()))
        else:
            valid = _is_number(value)
        if not valid:
            shown = repr(value)[:40]
            raise VepeError(f"{place}: '{key}' is {shown}; remove the line to continue.")
    return line


def _is_number(value: Any) -> bool:
    """Whether it is a number that sums and charts can take, or None for an undefined one."""
    if value is None:
        return True
    return type(value) in (int, float) and abs(value) < 1e100


def truncate(path: Path, stage_index: int, step: int) -> list[Line]:
    """Removes the lines of `step` of a stage and of everything later; returns the others.

    A run that is resumed from a checkpoint repeats those steps.
    """
    lines = [line for line in read_log(path) if _position(line) < (stage_index, step)]
    if path.is_file():
        with replacing(path) as partial:
            partial.write_text(as_text(lines), encoding="utf-8")
    return lines


def as_text(lines: Iterable[Line]) -> str:
    """The lines as they are in the file."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def _position(line: Line) -> tuple[int, int]:
    return int(line.get("stage_index", 0)), int(line.get("step", 0))


FIRST_METRICS = ("ap", "mota", "hota", "assa", "deta", "ap50", "ap75")
_SPELLING = {"deta": "DetA", "assa": "AssA", "loca": "LocA"}


def metric_names(evaluations: Iterable[Line]) -> list[str]:
    """Names of the metrics in lines of evaluations, those that papers report first."""
    names = dict.fromkeys(name for line in evaluations for name in line["evaluation"])
    first = [name for name in FIRST_METRICS if name in names]
    return [*first, *(name for name in names if name not in first)]


def metric_label(metric: str) -> str:
    """The name of a metric as papers write it: `ap_medium` is AP medium."""
    short, _, rest = metric.partition("_")
    name = _SPELLING.get(short, short.upper() if len(short) < 5 else short)
    return f"{name} {rest}".rstrip()
