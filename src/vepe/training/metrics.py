"""Metrics of evaluations as people read them: in order, spelt and rounded."""

from __future__ import annotations

import math
from collections.abc import Iterable

from vepe.training.log_lines import Line

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
