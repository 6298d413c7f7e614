"""The charts of a run's page, from the lines of its log.

The page of a run: curves, metrics, the worst clips, the recipe; one file that needs no network.

It is made of what lies in the run's folder, so it can be written again at any time, also while
the run goes.

What is seen of a run besides its numbers: pictures on the way, and the page at the end.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vepe.config.training import TrainConfig
from vepe.data.batch import Batch
from vepe.errors import VepeError
from vepe.formats.files import load_json, replacing
from vepe.losses.criterion import Criterion
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton
from vepe.training.display import grouped
from vepe.training.report_images import WORST_FOLDER, draw_batch, save_worst, worst_clips
from vepe.training.run_log import LOG_NAME, Line, RunLog, label, metric_names, read_log, score
from vepe.training.setup import ENVIRONMENT_NAME, RECIPE_NAME
from vepe.viz.html_page import PageFigure, cards, data_address, document, pictures, table
from vepe.viz.plots import Line as Curve
from vepe.viz.plots import line_chart

MOST_POINTS = 300
"""Points of a line; longer logs are drawn as means."""
_STEPS = "step of the run"


def loss_charts(losses: Sequence[Line]) -> Iterator[str]:
    """The loss and what it is made of, and the parts of each of these."""
    if not losses:
        return
    groups = [grouped(line) for line in losses]
    sums = {"loss": _curve(losses, [line["loss"] for line in losses])}
    for name in dict.fromkeys(name for group in groups for name in group):
        sums[name] = _curve(losses, [group.get(name) for group in groups])
    above_zero = all(min(y, default=1) > 0 for _, y in sums.values())
    yield _chart("Loss and where it comes from", sums, losses, logarithmic=above_zero)
    for owner in list(sums)[1:]:
        kinds = [_kinds(line, owner) for line in losses]
        names = dict.fromkeys(name for kind in kinds for name in kind)
        lines = {name: _curve(losses, [kind.get(name) for kind in kinds]) for name in names}
        yield _chart(owner, lines, losses)


def _kinds(line: Line, owner: str) -> dict[str, float]:
    """The parts of one owner by kind, summed over layers: `spatial0/l1` and `spatial1/l1`."""
    sums: dict[str, float] = defaultdict(float)
    for name, value in line.items():
        before, slash, kind = name.partition("/")
        if slash and before.rstrip("0123456789") == owner and value is not None:
            sums[kind] += value
    return dict(sums)


def pace_charts(losses: Sequence[Line]) -> Iterator[str]:
    """Learning rates, throughput and memory."""
    if not losses:
        return
    rates = [n for n in _names(losses) if n == "lr" or n.startswith("lr/")]
    charts = {
        "Learning rate": {name.removeprefix("lr/"): name for name in rates},
        "Throughput, a second": {"frames": "frames_per_s", "clips": "clips_per_s"},
        "Memory, GiB": {"process": "memory_gib", "GPU": "gpu_gib"},
    }
    for title, keys in charts.items():
        lines = {
            name: _curve(losses, [line.get(key) for line in losses]) for name, key in keys.items()
        }
        lines = {name: curve for name, curve in lines.items() if len(curve[0])}
        if lines:
            yield _chart(title, lines, losses)


def evaluation_charts(tests: Sequence[Line], names: Sequence[str]) -> Iterator[str]:
    """Each of the first four metrics over the steps."""
    for name in names[:4]:
        curve = _curve(tests, [line["evaluation"].get(name) for line in tests])
        if len(curve[0]):
            yield _chart(label(name), {name: curve}, tests)


def _chart(
    title: str, curves: Mapping[str, Curve], lines: Sequence[Line], *, logarithmic: bool = False
) -> str:
    """A chart over all steps of the run, with the stages marked."""
    last = max(float(line["run_step"]) + 1 for line in lines)
    return line_chart(
        title,
        curves,
        x_label=_STEPS,
        x_range=(0, 1.03 * last),
        marks=stage_marks(lines),
        logarithmic=logarithmic,
    )


def stage_marks(lines: Sequence[Line]) -> list[tuple[float, str]]:
    """The first step and the name of every stage; none where there is only one."""
    first: dict[str, float] = {}
    for line in lines:
        first.setdefault(str(line.get("stage", "")), float(line["run_step"] - line["step"]))
    return [(step, name) for name, step in first.items()] if len(first) > 1 else []


def _names(losses: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(name for line in losses for name in line))


def _curve(lines: Sequence[Line], values: Sequence[float | None]) -> Curve:
    """Steps and values where there are any, as means of neighbours where they are many."""
    points = [
        (float(line["run_step"] + 1), float(value))
        for line, value in zip(lines, values, strict=True)
        if value is not None
    ]
    if not points:
        return [], []
    blocks = np.array_split(np.asarray(points), min(len(points), MOST_POINTS))
    means = np.stack([block.mean(axis=0) for block in blocks])
    return means[:, 0].tolist(), means[:, 1].tolist()


PAGE_NAME = "index.html"
SHOWN_PICTURES = 3
_KEY = (
    "White: labels; over them, in colours, predictions with their person scores; yellow: how far "
    "a keypoint is off. Faded: a prediction that nobody is labelled for. By the averaged weights."
)


def write_page(folder: str | Path) -> Path:
    """Writes `index.html` into a run's folder and returns its path.

    Raises:
        VepeError: where there is no log, matplotlib is missing, or the folder cannot be written.
    """
    folder = Path(folder)
    lines = read_log(folder / LOG_NAME)
    if not lines:
        raise VepeError(f"'{folder}' holds no '{LOG_NAME}' of a run; give a run's output folder.")
    if find_spec("matplotlib") is None:
        raise VepeError("The page needs matplotlib; install it with: pip install 'vepe[train]'.")
    losses = [line for line in lines if "loss" in line]
    tests = [line for line in lines if "evaluation" in line]
    parts = [
        f"<h1>Training: {escape(folder.resolve().name)}</h1>",
        f"<p class=quiet>{escape(_headline(lines))}</p>",
        cards(_numbers(losses, tests)),
        _tests(tests),
        "<h2>Losses</h2><p class=quiet>Weighted, as they are summed; means over some steps.</p>",
        f"<div class=pair>{_charts(loss_charts(losses))}</div>",
        "<h2>Pace</h2>",
        f"<div class=pair>{_charts(pace_charts(losses))}</div>",
        _worst(folder),
        _latest(folder),
        _recipe(folder),
        _environment(folder),
    ]
    path = folder / PAGE_NAME
    with replacing(path) as beside:
        beside.write_text(document(f"Training: {folder.resolve().name}", parts), encoding="utf-8")
    return path


def _headline(lines: Sequence[Line]) -> str:
    stages = list(dict.fromkeys(str(line.get("stage", "")) for line in lines))
    last = lines[-1]
    steps = int(last.get("run_step", 0)) + 1
    time = timedelta(seconds=round(float(last.get("elapsed_s", 0))))
    return f"{steps} steps in {time}; stages: {', '.join(stages)}."


def _numbers(losses: Sequence[Line], tests: Sequence[Line]) -> list[tuple[str, str]]:
    """The cards: the metrics of the last evaluation, the last loss, pace and memory."""
    found: list[tuple[str, str]] = []
    if tests:
        metrics = tests[-1]["evaluation"]
        for name in metric_names([tests[-1]])[:4]:
            found.append((label(name), score(metrics[name])))
    if losses:
        last = losses[-1]
        found.append(("loss at the end", number(last["loss"])))
        if "frames_per_s" in last:
            found.append(("frames/s, median", number(_middle(losses, "frames_per_s"))))
        for key, name in (("memory_gib", "GiB memory"), ("gpu_gib", "GiB GPU memory")):
            if key in last:
                found.append((name, number(max(line.get(key) or 0 for line in losses))))
    return found


def _middle(losses: Sequence[Line], key: str) -> float:
    values = sorted(float(line[key]) for line in losses if line.get(key) is not None)
    return values[len(values) // 2] if values else math.nan


def _tests(tests: Sequence[Line]) -> str:
    if not tests:
        return "<p class=quiet>The run was not evaluated; see `evaluation:` of the recipe.</p>"
    names = metric_names(tests)
    head = ["after step", *map(label, names)]
    rows = [
        [str(line["run_step"] + 1), *(score(line["evaluation"].get(name)) for name in names)]
        for line in tests[-10:]
    ]
    charts = _charts(evaluation_charts(tests, names))
    note = "" if len(tests) <= 10 else "<p class=quiet>The last ten.</p>"
    return f"<h2>Evaluation</h2><div class=pair>{charts}</div>{table(head, rows)}{note}"


def _charts(charts: Iterable[str]) -> str:
    return "".join(f"<figure>{chart}</figure>" for chart in charts)


def _worst(folder: Path) -> str:
    place = folder / WORST_FOLDER
    if not (place / "worst.json").is_file():
        return ""
    figures = [
        PageFigure(_jpeg(place / entry["file"]), escape(_worst_caption(entry)))
        for entry in load_json(place / "worst.json")
        if (place / entry["file"]).is_file()
    ]
    if not figures:
        return ""
    head = "<h2>Worst clips</h2><p class=quiet>Of fresh clips after the last step, those with the "
    return f"{head}highest loss. {_KEY}</p>{pictures(figures)}"


def _worst_caption(entry: dict[str, Any]) -> str:
    name = f"{entry['clip']}: " if entry.get("clip") else ""
    return f"{name}loss {entry['loss']:.2f}"


def _latest(folder: Path) -> str:
    paths = sorted((folder / "pictures").glob("*.jpg"))[-SHOWN_PICTURES:]
    if not paths:
        return ""
    figures = [
        PageFigure(_jpeg(path), f"After step {int(path.stem.split('_')[0]) + 1}") for path in paths
    ]
    return f"<h2>On the way</h2><p class=quiet>{_KEY}</p>{pictures(figures)}"


def _jpeg(path: Path) -> str:
    return data_address(path.read_bytes(), "jpeg")


def _recipe(folder: Path) -> str:
    path = folder / RECIPE_NAME
    if not path.is_file():
        return ""
    text = escape(path.read_text(encoding="utf-8"))
    return f"<h2>Recipe</h2><details><summary>As resolved</summary><pre>{text}</pre></details>"


def _environment(folder: Path) -> str:
    path = folder / ENVIRONMENT_NAME
    if not path.is_file():
        return ""
    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in json.loads(path.read_text(encoding="utf-8")).items()
    )
    return f"<h2>Environment</h2><table class=words>{rows}</table>"


def number(value: float | None) -> str:
    """Three or more digits for people; `n/a` for nothing."""
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Watch:
    """Draws what the averaged weights make of clips. Of many processes, the first one does.

    Args:
        folder: of the run.
        config: the run; says how often.
        model: the averaged weights, in evaluation mode; looked at whenever something is drawn.
        criterion: matches people and gives the losses.
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
        self.folder, self.every = folder, config.pictures_every
        self.model, self.criterion, self.skeleton = model, criterion, skeleton

    def step(self, journal: RunLog, batch: Batch) -> None:
        """Draws the batch of the present step where its turn has come."""
        if self.every and journal.folder is not None and (journal.run_step + 1) % self.every == 0:
            image = draw_batch(self.model, self.criterion, batch, self.skeleton)
            journal.picture("batch", image)

    def finish(self, batches: Iterable[Batch]) -> Path:
        """Draws the worst clips of some batches and writes the run's page; returns its path."""
        worst = worst_clips(self.model, self.criterion, batches)
        save_worst(self.folder, worst, self.skeleton)
        return write_page(self.folder)
