"""Placements are drawn in bounds; the camera begins at rest and moves smoothly."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.data.transforms.affine import draw_motion, draw_placement

BOX = np.array([[60.0, 20, 120, 180]])


def drawn(seed: int, **options: float) -> np.ndarray:
    calm = {"turn_rad": 0.0, "aspect": 0.0} | options
    rng = np.random.default_rng(seed)
    return draw_placement(rng, BOX, (200, 200), (160, 160), person_scale=(0.5, 1.5), **calm)  # type: ignore[arg-type]


def test_people_get_the_sizes_asked_for() -> None:
    sides = np.array([160 * drawn(seed)[1, 1] / 160 for seed in range(200)])
    assert sides.min() >= 0.5 - 1e-9
    assert sides.max() <= 1.5 + 1e-9
    assert sides.max() > 1.3


@pytest.mark.parametrize(("flip", "share"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_mirrors_come_as_often_as_asked(flip: float, share: float) -> None:
    mirrored = [np.linalg.det(drawn(seed, flip=flip)[:2, :2]) < 0 for seed in range(200)]
    assert np.mean(mirrored) == pytest.approx(share, abs=0.1)


def test_aspect_and_turn_vary_where_asked() -> None:
    calm = np.array([drawn(seed)[:2, :2] for seed in range(50)])
    assert np.allclose(calm[:, 0, 1], 0)
    assert np.allclose(calm[:, 0, 0], calm[:, 1, 1])
    squeezed = np.array([drawn(seed, aspect=0.1)[:2, :2] for seed in range(300)])
    assert np.log(squeezed[:, 0, 0] / squeezed[:, 1, 1]).std() == pytest.approx(0.1, rel=0.2)
    turned = np.array([drawn(seed, turn_rad=0.3)[:2, :2] for seed in range(300)])
    assert np.abs(np.arctan2(turned[:, 1, 0], turned[:, 0, 0])).max() > 0.3


def test_motion_begins_at_rest_and_is_smooth() -> None:
    motion = draw_motion(np.random.default_rng(3), 300, 1.0)
    centre = np.array([150.0, 150.0])
    assert np.allclose(motion.at(0.0, centre), np.eye(3))
    path = np.array([motion.at(t, centre)[:2] @ (40, 60, 1) for t in np.arange(0, 1, 1 / 30)])
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps.max() < 30
    assert np.abs(np.diff(steps)).max() < 10
