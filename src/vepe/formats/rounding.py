"""Decimals of written results: enough for any metric, few enough for small files."""

from __future__ import annotations

from typing import Any

import numpy as np

COORDINATE_DECIMALS = 3
SCORE_DECIMALS = 6


def rounded(values: Any, decimals: int) -> np.ndarray:
    """The values as float64, rounded so that they print short (float32 noise is gone)."""
    return np.round(np.asarray(values, np.float64), decimals)


def short(values: np.ndarray) -> list[float | int]:
    """All values as one flat list; whole ones without '.0', which keeps v an integer."""
    return [int(v) if v.is_integer() else v for v in values.ravel().tolist()]
