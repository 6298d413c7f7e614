"""Lines and dots have the width and the place that was asked for, and leave the rest alone."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.viz.colours import DARK, WHITE
from vepe.viz.strokes import Strokes, paint


def dot(at: tuple[float, float], width: float, alpha: float | None = None) -> Strokes:
    alphas = None if alpha is None else np.array([alpha])
    return Strokes(np.array([at]), np.array([width]), [WHITE], alphas)


@pytest.mark.parametrize("width", [1.0, 1.6, 2.5, 3.3, 5.0, 9.0, 20.0])
def test_dots_have_their_area_and_centre(width: float) -> None:
    canvas = np.zeros((60, 60, 3), np.uint8)
    paint(canvas, [dot((30.3, 29.6), width)])
    weight = canvas[..., 0] / 255
    rows, columns = np.mgrid[:60, :60] + 0.5
    assert 2 * np.sqrt(weight.sum() / np.pi) == pytest.approx(width, rel=0.14)
    assert (weight * columns).sum() / weight.sum() == pytest.approx(30.3, abs=0.08)
    assert (weight * rows).sum() / weight.sum() == pytest.approx(29.6, abs=0.08)


@pytest.mark.parametrize("width", [1.0, 1.3, 2.0, 3.5, 6.0, 12.0])
@pytest.mark.parametrize("angle", [0.0, 0.3, 0.785, 1.571])
def test_lines_have_their_width(width: float, angle: float) -> None:
    canvas = np.zeros((200, 200, 3), np.uint8)
    half = 50 * np.array([np.cos(angle), np.sin(angle)])
    paint(canvas, [Strokes(np.array([[100.2 - half, 100.2 + half]]), np.array([width]), [WHITE])])
    assert canvas[..., 0].sum() / 255 / 100 == pytest.approx(width, rel=0.1, abs=0.12)


def test_a_small_dot_is_round() -> None:
    canvas = np.zeros((20, 20, 3), np.uint8)
    paint(canvas, [dot((10.5, 10.5), 3.0)])
    shape = canvas[..., 0].astype(int)
    assert shape[9, 9] == pytest.approx(shape[9, 11], abs=12)
    assert 40 < shape[9, 9] < 245, "its corners are equal, and partly filled"


def test_what_is_not_painted_stays() -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    before = canvas.copy()
    paint(canvas, [dot((20, 20), 2.0, alpha=0.5)], rim_px=1.0)
    changed = (canvas != before).any(axis=-1)
    assert changed[17:24, 17:24].sum() > 8
    changed[16:25, 16:25] = False
    assert not changed.any()


def test_rims_are_dark_and_alpha_mixes() -> None:
    canvas = np.full((40, 40, 3), 128, np.uint8)
    paint(canvas, [dot((20, 20), 8.0)], rim_px=3.0)
    np.testing.assert_array_equal(canvas[20, 20], WHITE)
    np.testing.assert_array_equal(canvas[20, 25], DARK)
    canvas = np.full((40, 40, 3), 128, np.uint8)
    paint(canvas, [dot((20, 20), 8.0, alpha=0.25)])
    assert canvas[20, 20, 0] == pytest.approx(128 + 0.25 * 127, abs=2)


def test_strokes_outside_the_image() -> None:
    canvas = np.zeros((30, 30, 3), np.uint8)
    paint(canvas, [dot((-50, 10), 4.0), dot((1e7, 1e7), 4.0)])
    assert not canvas.any()
    ends = np.array([[[-1e7, 15.0], [1e7, 15.0]]])
    paint(canvas, [Strokes(ends, np.array([2.0]), [WHITE])])
    assert canvas[15, :, 0].all()


def test_a_chain_has_no_gaps_at_its_corners() -> None:
    canvas = np.zeros((60, 60, 3), np.uint8)
    points = np.array([[10.0, 10.0], [50.0, 10.0], [50.0, 50.0]])
    paint(canvas, [Strokes.chain(points, 6.0, WHITE)])
    assert canvas[8, 51, 0] > 100
