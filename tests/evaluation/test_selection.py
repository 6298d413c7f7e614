"""The even-odd rule without the boundary."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.evaluation.selection import inside_any

SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
STAR = np.array([[5, 0], [8, 10], [0, 4], [10, 4], [2, 10]], float)  # crosses itself
NOTCH = np.array([[0, 0], [10, 0], [10, 10], [5, 5], [0, 10]], float)


@pytest.mark.parametrize(
    ("polygon", "point", "inside"),
    [
        (SQUARE, (5, 5), True),
        (SQUARE, (0, 5), False),  # on the left edge
        (SQUARE, (10, 5), False),
        (SQUARE, (5, 10), False),
        (SQUARE, (0, 0), False),  # a corner
        (SQUARE, (11, 5), False),
        (SQUARE, (-1, 0), False),  # level with an edge
        (STAR, (5, 5), False),  # the middle of a star is wound twice
        (STAR, (5, 2), True),
        (NOTCH, (5, 6), False),
        (NOTCH, (5, 4), True),
        (NOTCH, (2, 5), True),
        (NOTCH[::-1], (2, 5), True),
    ],
)
def test_one_point(polygon: np.ndarray, point: tuple[float, float], inside: bool) -> None:
    assert inside_any(np.array(point, float), [polygon]) == inside


def test_shape_and_several_polygons() -> None:
    points = np.array([[[5.0, 5.0], [25.0, 5.0]], [[50.0, 5.0], [21.0, 9.0]]])
    result = inside_any(points, [SQUARE, SQUARE + np.array([20, 0])])
    assert result.tolist() == [[True, True], [False, True]]


def test_polygons_without_area() -> None:
    points = np.array([[1.0, 1.0]])
    assert not inside_any(points, [np.zeros((0, 2))]).any()
    assert not inside_any(points, []).any()
    for corners in (1, 2):
        with pytest.raises(ValueError, match="three corners"):
            inside_any(points, [SQUARE[:corners]])
