"""Joint noise, joint limits and floor contact: soles touch the floor, jumps stay jumps."""

from __future__ import annotations

import numpy as np
import pytest

from vepe_synth import rotations as rot
from vepe_synth.adjustments import HINGES, grounded, limited, lowest_m, perturbed
from vepe_synth.avatars import open_library
from vepe_synth.body import skin_vertices
from vepe_synth.motions import BODY_JOINTS, MotionTrack, bundled_motions
from vepe_synth.retarget import BodyShape, Rig
from vepe_synth.sequence import cut

COUNT = 91


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


def test_limits_hold_for_wild_poses(rng: np.random.Generator) -> None:
    wild = rot.normalise(rng.normal(size=(50, len(BODY_JOINTS), 4)))
    tame = limited(wild)
    for i, name in enumerate(BODY_JOINTS):
        vector = np.degrees(rot.to_rotvec(tame[:, i]))
        part = name.rpartition("_")[2]
        if part in HINGES:
            assert np.abs(vector[:, 1:]).max() < 1e-6
            low, high = HINGES[part]
            assert (vector[:, 0] >= low - 1e-6).all()
            assert (vector[:, 0] <= high + 1e-6).all()
        elif part == "neck":
            assert np.linalg.norm(vector, axis=1).max() <= 60 + 1e-6


def test_perturbation_scales_and_is_smooth(rng: np.random.Generator) -> None:
    still = MotionTrack(np.zeros((COUNT, 3)), rot.identity(COUNT, len(BODY_JOINTS)))
    none = perturbed(np.random.default_rng(0), still, 0.0)
    np.testing.assert_allclose(none.rotations, still.rotations, atol=1e-12)
    moved = perturbed(np.random.default_rng(0), still, 1.0).rotations
    turned = np.degrees(np.linalg.norm(rot.to_rotvec(moved), axis=-1))
    assert 2 < np.sqrt((turned**2).mean()) < 15
    steps = rot.multiply(moved[1:], rot.inverse(moved[:-1]))
    assert np.degrees(np.linalg.norm(rot.to_rotvec(steps), axis=-1)).max() < 5
