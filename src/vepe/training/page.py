"""The page of a run: curves, metrics, the worst clips, the recipe; one file that needs no network.

It is made of what lies in the run's folder, so it can be written again at any time, also while
the run goes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vepe.errors import VepeError
from vepe.formats.files import load_json, replacing
from vepe.training.curves import evaluation_charts, loss_charts, pace_charts
from vepe.training.environment import ENVIRONMENT_NAME, RECIPE_NAME
from vepe.training.log_lines import LOG_NAME, Line, read_log
from vepe.training.metrics import label, metric_names, score
from vepe.training.pictures import WORST_FOLDER
from vepe.viz.html_page import PageFigure, cards, data_address, document, pictures, table

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
