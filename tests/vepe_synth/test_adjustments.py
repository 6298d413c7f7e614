"""Bodies on the floor: soles touch it, leaps stay leaps."""

from __future__ import annotations

import numpy as np
import pytest

from vepe_synth.adjustments import grounded, lowest_m
from vepe_synth.avatars import open_library
from vepe_synth.body import skin_vertices
from vepe_synth.motions import bundled_motions
from vepe_synth.retarget import BodyShape, Rig
from vepe_synth.sequence import cut


@pytest.fixture(scope="module", params=[BodyShape(), BodyShape(0.65, legs=0.92, head=1.3)])
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(open_library().load("White_M_1_Casual"), request.param)


@pytest.mark.parametrize("name", ["walk", "dance_b", "punch", "getup_facedown", "crawl"])
def test_lowest_point_touches_the_floor(rig: Rig, name: str) -> None:
    poses = grounded(rig, rig.sized(cut(bundled_motions()[name])))
    lowest = lowest_m(rig, poses)
    assert lowest.min() > -0.05
    assert np.median(np.abs(lowest)) < 0.02


@pytest.mark.parametrize(("name", "leap_m"), [("jump", 0.2), ("backflip", 0.3), ("spinkick", 0.5)])
def test_leaps_leave_the_floor(rig: Rig, name: str, leap_m: float) -> None:
    lowest = lowest_m(rig, grounded(rig, rig.sized(cut(bundled_motions()[name]))))
    assert lowest.max() > leap_m * rig.metres_per_source_m * 0.9
    assert lowest.min() > -0.05


def test_lowest_point_is_that_of_the_skin(rig: Rig) -> None:
    poses = rig.sized(cut(bundled_motions()["kick"]))
    lowest = lowest_m(rig, poses)
    joints = rig.pose(poses)
    for i in (0, 20):
        expected = skin_vertices(rig.avatar, joints[i])[:, 1].min()
        assert lowest[i] == pytest.approx(expected, abs=0.02)
        assert lowest[i] >= expected - 1e-4
