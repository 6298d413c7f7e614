"""The charts of a run's page, from the lines of its log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vepe.training.display import grouped
from vepe.training.log_lines import Line
from vepe.training.metrics import label
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
