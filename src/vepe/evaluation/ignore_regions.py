"""Which points lie in PoseTrack's ignore regions.

Source: poseval and the PoseTrack21 kit ask shapely's `Polygon.contains(Point)`. The even-odd
rule with the boundary left out gives the same answer, for polygons that cross themselves too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float


def inside_any(
    points: Float[np.ndarray, "*n 2"], polygons: Sequence[Float[np.ndarray, "V 2"]]
) -> Bool[np.ndarray, "*n"]:
    """Whether points lie strictly inside at least one polygon. Polygons without corners hold none.

    Raises:
        ValueError: on a polygon of one or two corners, which no evaluator can read.
    """
    result = np.zeros(points.shape[:-1], bool)
    for polygon in polygons:
        if len(polygon):
            result |= _inside(points, np.asarray(polygon, np.float64))
    return result


def _inside(
    points: Float[np.ndarray, "*n 2"], polygon: Float[np.ndarray, "V 2"]
) -> Bool[np.ndarray, "*n"]:
    if len(polygon) < 3:
        raise ValueError(f"a polygon needs three corners, this has {len(polygon)}")
    x, y = points[..., 0, None], points[..., 1, None]
    x1, y1 = polygon[:, 0], polygon[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    # Twice the area of the triangle that an edge and the point span; 0 where it lies on the line.
    area = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
    crosses = (y1 > y) != (y2 > y)
    right = np.where(y2 > y1, area > 0, area < 0)
    odd = (crosses & right).sum(axis=-1) % 2 == 1
    within = (
        (np.minimum(x1, x2) <= x)
        & (x <= np.maximum(x1, x2))
        & (np.minimum(y1, y2) <= y)
        & (y <= np.maximum(y1, y2))
    )
    on_edge = ((area == 0) & within).any(axis=-1)
    return odd & ~on_edge
