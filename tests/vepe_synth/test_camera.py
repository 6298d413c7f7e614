"""Views and camera paths: projection, framing, height above the floor."""

from __future__ import annotations

import numpy as np
import pytest

from vepe_synth.camera import plan_camera
from vepe_synth.view import View, look_at


def test_projection_and_its_matrix_agree(rng) -> None:
    eye = np.array([2.0, 1.5, 4.0])
    view = View(eye, look_at(eye, np.array([0.0, 1.0, 0.0]), 0.2), 300.0, 320, 200)
    points = rng.uniform(-1, 1, (20, 3))
    pixels, depth = view.project(points)
    clip = np.concatenate([points, np.ones((20, 1))], 1) @ view.clip_from_world().T
    ndc = clip[:, :2] / clip[:, 3:]
    np.testing.assert_allclose((ndc + 1) / 2 * [320, 200], pixels, atol=1e-6)
    np.testing.assert_allclose(clip[:, 3], depth)
    centre, _ = view.project(np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(centre, [160, 100])
    above, _ = view.project(np.array([0.0, 1.3, 0.0]))
    assert above[1] < 100


@pytest.mark.parametrize("seed", range(8))
def test_cameras_see_people_and_stay_above_the_floor(seed, make_crowd) -> None:
    crowd = make_crowd(3, seed)
    path = plan_camera(np.random.default_rng(seed), crowd, 320, 200)
    seen = 0
    for time_s in (0.0, 0.5, 1.0):
        view = path.at(time_s)
        np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-9)
        assert view.eye[1] >= 0.2
        pixels, depth = view.project(np.concatenate(crowd.middle))
        seen += ((pixels > 0) & (pixels < [320, 200])).all(1)[depth > 0].sum()
    assert seen > 12
