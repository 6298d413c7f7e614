"""The report of a run: `index.html` with curves, metrics, the worst clips and the recipe.

It is one file that needs no network. It is built from the files in the run's folder, so that it can
be written again at any time, also during training (`vepe train report`). The page's body is the
template `report.html`.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vepe.config.training import TrainConfig
from vepe.data.batch import Batch
from vepe.errors import VepeError, missing_extra
from vepe.formats.data_paths import is_inside
from vepe.formats.files import load_json, replacing
from vepe.losses.criterion import Criterion
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton
from vepe.training.display import grouped
from vepe.training.report_images import WORST_FOLDER, draw_batch, save_worst, worst_clips
from vepe.training.run_log import (
    IMAGE_FOLDER,
    LOG_NAME,
    Line,
    RunLog,
    metric_label,
    metric_names,
    read_log,
)
from vepe.training.setup import ENVIRONMENT_NAME, RECIPE_NAME
from vepe.viz.html_page import PageFigure, data_address, render_page
from vepe.viz.plots import Line as Curve
from vepe.viz.plots import line_chart

REPORT_NAME = "index.html"
MAX_POINTS = 300
"""Most points of a curve; longer logs are drawn as means of neighbours."""
MAX_EVALUATIONS = 10
"""Most rows in the table of evaluations."""
MAX_IMAGES = 3
"""Most images from during training."""
_TEMPLATE = Path(__file__).with_name("report.html")


class ReportCallback:
    """Draws predictions of the EMA weights during a run, and writes its report at the end.

    Args:
        folder: of the run.
        config: the run; gives the interval.
        model: the EMA weights, in eval mode.
        criterion: matches people and computes the losses.
        skeleton: of both.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        model: Vepe,
        criterion: Criterion,
        skeleton: Skeleton,
    ) -> None:
        self.folder, self.interval = folder, config.image_every_steps
        self.model, self.criterion, self.skeleton = model, criterion, skeleton

    def after_step(self, log: RunLog, batch: Batch) -> None:
        """Draws the batch of the current step if it is due; only in the first process."""
        if self.interval and log.folder is not None and (log.run_step + 1) % self.interval == 0:
            log.image("batch", draw_batch(self.model, self.criterion, batch, self.skeleton))

    def finish(self, batches: Iterable[Batch]) -> Path:
        """Draws the worst clips of some batches and writes the report; returns its path.

        Raises:
            VepeError: as `write_report`.
        """
        save_worst(self.folder, worst_clips(self.model, self.criterion, batches), self.skeleton)
        return write_report(self.folder)


def write_report(folder: str | Path) -> Path:
    """Writes `index.html` into a run's folder and returns its path.

    Raises:
        VepeError: if there is no log, matplotlib is missing, or the folder cannot be written.
    """
    folder = Path(folder)
    start = {"stage": "", "step": 0, "run_step": 0, "elapsed_s": 0}
    lines = [{**start, **line} for line in read_log(folder / LOG_NAME)]
    if not lines:
        raise VepeError(f"'{folder}' has no '{LOG_NAME}'; give the output folder of a run.")
    if find_spec("matplotlib") is None:
        raise missing_extra("The report", "matplotlib", "train")
    losses = [line for line in lines if "loss" in line]
    evaluations = [line for line in lines if "evaluation" in line]
    metrics = metric_names(evaluations)
    page = render_page(
        _TEMPLATE.read_text(encoding="utf-8"),
        title=f"Training: {folder.resolve().name}",
        num_steps=lines[-1]["run_step"] + 1,
        time=timedelta(seconds=round(lines[-1]["elapsed_s"])),
        stages=list(dict.fromkeys(line["stage"] for line in lines)),
        headline=_headline(losses, evaluations),
        num_evaluations=len(evaluations),
        evaluation_head=["after step", *map(metric_label, metrics)],
        evaluation_rows=[
            [str(line["run_step"] + 1), *(_percent(line["evaluation"].get(m)) for m in metrics)]
            for line in evaluations[-MAX_EVALUATIONS:]
        ],
        evaluation_charts=list(evaluation_charts(evaluations, metrics)),
        loss_charts=list(loss_charts(losses)),
        throughput_charts=list(throughput_charts(losses)),
        worst=list(_worst_figures(folder)),
        latest=list(_latest_figures(folder)),
        recipe=_recipe(folder),
        environment=_environment(folder),
    )
    path = folder / REPORT_NAME
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _headline(losses: Sequence[Line], evaluations: Sequence[Line]) -> list[tuple[str, str]]:
    """Name and value of the cards: last metrics and loss, throughput and memory."""
    cards: list[tuple[str, str]] = []
    for metric in metric_names(evaluations[-1:])[:4]:
        cards.append((metric_label(metric), _percent(evaluations[-1]["evaluation"][metric])))
    if losses:
        last = losses[-1]
        cards.append(("final loss", _number(last["loss"])))
        if "frames_per_s" in last:
            cards.append(("frames/s, median", _number(_median(losses, "frames_per_s"))))
        for key, name in (("memory_gib", "GiB memory"), ("gpu_gib", "GiB GPU memory")):
            if key in last:
                cards.append((name, _number(max(line.get(key) or 0 for line in losses))))
    return cards


def _median(losses: Sequence[Line], key: str) -> float:
    values = sorted(float(line[key]) for line in losses if line.get(key) is not None)
    return values[len(values) // 2] if values else math.nan


def _is_own(folder: Path, name: str) -> bool:
    """Whether a run's folder holds this file itself: the page never shows what a link leads to."""
    return (folder / name).is_file() and is_inside(folder, name)


def _worst_figures(folder: Path) -> Iterator[PageFigure]:
    path = folder / WORST_FOLDER / "worst.json"
    if not _is_own(folder, f"{WORST_FOLDER}/worst.json"):
        return
    entries = load_json(path)
    if not isinstance(entries, list):
        raise VepeError(f"'{path}' is not the list of a run's worst clips; remove it.")
    for entry in entries:
        try:
            image = f"{WORST_FOLDER}/{Path(entry['file']).name}"  # never of another folder
            name = f"{entry['clip']}: " if entry.get("clip") else ""
            caption = f"{name}loss {entry['loss']:.2f}"
        except (KeyError, TypeError, ValueError, AttributeError):
            raise VepeError(
                f"'{path}' is not the list of a run's worst clips; remove it."
            ) from None
        if _is_own(folder, image):
            yield _figure(folder / image, caption)


def _latest_figures(folder: Path) -> Iterator[PageFigure]:
    names = [p.name for p in (folder / IMAGE_FOLDER).glob("*.jpg")]
    names = [n for n in names if re.match(r"[0-9]{1,15}_", n)]
    paths = [folder / IMAGE_FOLDER / n for n in names if _is_own(folder, f"{IMAGE_FOLDER}/{n}")]
    for path in sorted(paths)[-MAX_IMAGES:]:
        yield _figure(path, f"After step {int(path.stem.split('_')[0]) + 1}")


def _figure(path: Path, caption: str) -> PageFigure:
    return PageFigure(data_address(path.read_bytes(), "jpeg"), caption)


def _recipe(folder: Path) -> str:
    if not _is_own(folder, RECIPE_NAME):
        return ""
    return (folder / RECIPE_NAME).read_text(encoding="utf-8", errors="replace")


def _environment(folder: Path) -> list[tuple[str, str]]:
    path = folder / ENVIRONMENT_NAME
    if not _is_own(folder, ENVIRONMENT_NAME):
        return []
    values = load_json(path)
    if not isinstance(values, dict):
        raise VepeError(f"'{path}' is not the environment of a run; remove it.")
    return [(str(name), str(value)) for name, value in values.items()]


def _percent(value: float | None) -> str:
    """A metric in percent with one decimal; `n/a` if undefined."""
    return "n/a" if value is None or not math.isfinite(value) else f"{value:.1f}"


def _number(value: float | None) -> str:
    """Three significant digits or more; `n/a` if undefined."""
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def loss_charts(losses: Sequence[Line]) -> Iterator[str]:
    """Charts of the loss with its owners (`spatial`, `identity` ...), and of each owner's parts."""
    if not losses:
        return
    groups = [grouped(line) for line in losses]
    curves = {"loss": _curve(losses, [line["loss"] for line in losses])}
    for owner in dict.fromkeys(name for group in groups for name in group):
        curves[owner] = _curve(losses, [group.get(owner) for group in groups])
    positive = all(min(y, default=1) > 0 for _, y in curves.values())
    yield _chart("Loss and its parts", curves, losses, logarithmic=positive)
    for owner in list(curves)[1:]:
        parts = [_parts(line, owner) for line in losses]
        names = dict.fromkeys(name for line in parts for name in line)
        lines = {name: _curve(losses, [line.get(name) for line in parts]) for name in names}
        yield _chart(owner, lines, losses)


def _parts(line: Line, owner: str) -> dict[str, float]:
    """The parts of one owner, summed over layers: `l1` of `spatial0/l1` and `spatial1/l1`."""
    sums: dict[str, float] = defaultdict(float)
    for name, value in line.items():
        layer, slash, part = name.partition("/")
        if slash and layer.rstrip("0123456789") == owner and value is not None:
            sums[part] += value
    return dict(sums)


def throughput_charts(losses: Sequence[Line]) -> Iterator[str]:
    """Charts of learning rates, throughput and memory."""
    if not losses:
        return
    names = dict.fromkeys(name for line in losses for name in line)
    lrs = [n for n in names if n == "lr" or n.startswith("lr/")]
    charts = {
        "Learning rate": {name.removeprefix("lr/"): name for name in lrs},
        "Throughput per second": {"frames": "frames_per_s", "clips": "clips_per_s"},
        "Memory in GiB": {"process": "memory_gib", "GPU": "gpu_gib"},
    }
    for title, keys in charts.items():
        curves = {
            name: _curve(losses, [line.get(key) for line in losses]) for name, key in keys.items()
        }
        curves = {name: curve for name, curve in curves.items() if len(curve[0])}
        if curves:
            yield _chart(title, curves, losses)


def evaluation_charts(evaluations: Sequence[Line], metrics: Sequence[str]) -> Iterator[str]:
    """One chart for each of the first four metrics."""
    for name in metrics[:4]:
        curve = _curve(evaluations, [line["evaluation"].get(name) for line in evaluations])
        if len(curve[0]):
            yield _chart(metric_label(name), {name: curve}, evaluations)


def _chart(
    title: str, curves: Mapping[str, Curve], lines: Sequence[Line], *, logarithmic: bool = False
) -> str:
    """A chart over all steps of the run, with the starts of its stages."""
    last = max(float(line["run_step"]) + 1 for line in lines)
    return line_chart(
        title,
        curves,
        x_label="step of the run",
        x_range=(0, 1.03 * last),
        marks=_stage_starts(lines),
        logarithmic=logarithmic,
    )


def _stage_starts(lines: Iterable[Line]) -> list[tuple[float, str]]:
    """Step and name of every stage if there are several."""
    first: dict[str, float] = {}
    for line in lines:
        first.setdefault(str(line.get("stage", "")), float(line["run_step"] - line["step"]))
    return [(step, name) for name, step in first.items()] if len(first) > 1 else []


def _curve(lines: Sequence[Line], values: Sequence[float | None]) -> Curve:
    """Steps and values that are not None; at most `MAX_POINTS` means of neighbours."""
    points = [
        (float(line["run_step"] + 1), float(value))
        for line, value in zip(lines, values, strict=True)
        if value is not None
    ]
    if not points:
        return [], []
    blocks = np.array_split(np.asarray(points), min(len(points), MAX_POINTS))
    means = np.stack([block.mean(axis=0) for block in blocks])  # (P, 2)
    return means[:, 0].tolist(), means[:, 1].tolist()
