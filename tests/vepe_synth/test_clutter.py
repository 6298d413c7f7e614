"""Objects around people: nobody walks into them."""

from __future__ import annotations

import numpy as np
import pytest

from vepe_synth.camera import plan_camera
from vepe_synth.clutter import plan_occluders
from vepe_synth.textures import palette


@pytest.mark.parametrize("seed", range(10))
def test_nobody_walks_into_an_occluder(seed, make_crowd) -> None:
    crowd = make_crowd(4, seed)
    rng = np.random.default_rng(seed)
    view = plan_camera(rng, crowd, 320, 200).at(0.5)
    for surface in plan_occluders(rng, palette(rng), crowd, view):
        low, high = surface.corners.reshape(-1, 3).min(0), surface.corners.reshape(-1, 3).max(0)
        for instant in crowd.joints:
            joints = np.concatenate(instant)
            assert not ((joints > low) & (joints < high)).all(1).any()
