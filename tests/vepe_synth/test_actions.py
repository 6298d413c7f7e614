"""Actions: feet do not slide, sitting people sit, joints stay within anatomical limits."""

from __future__ import annotations

import numpy as np
import pytest

from vepe_synth import rotations as rot
from vepe_synth.actions import ACTIONS, along_curve
from vepe_synth.adjustments import grounded, limited, lowest_m, perturbed
from vepe_synth.avatars import open_library
from vepe_synth.body import body_keypoints, skin_vertices
from vepe_synth.motions import MotionTrack
from vepe_synth.retarget import BodyShape, Rig

COUNT = 91
PEOPLE = {
    "tall": Rig(open_library().load("White_M_1_Casual"), BodyShape(1.05)),
    "child": Rig(open_library().load("Asian_F_1_Casual"), BodyShape(0.65, legs=0.93, head=1.25)),
}


def act(name: str, rig: Rig, seed: int = 3) -> MotionTrack:
    rng = np.random.default_rng(seed)
    return grounded(rig, perturbed(rng, ACTIONS[name](rng, rig, COUNT)))


def places(rig: Rig, poses: MotionTrack, *names: str) -> np.ndarray:
    joints = [rig.avatar.joint(n) for n in names]
    return rig.pose(poses)[..., :3, 3][:, joints]


@pytest.mark.parametrize("name", sorted(ACTIONS))
@pytest.mark.parametrize("person", sorted(PEOPLE))
def test_every_action_is_smooth_grounded_and_repeatable(name: str, person: str) -> None:
    rig = PEOPLE[person]
    poses = act(name, rig)
    assert len(poses) == COUNT
    np.testing.assert_array_equal(act(name, rig).rotations, poses.rotations)
    assert np.abs(act(name, rig, seed=4).rotations - poses.rotations).max() > 0.02
    assert lowest_m(rig, poses).min() > -0.08
    joints = places(rig, poses, "Head", "Hips", "LeftHand", "RightHand", "LeftFoot", "RightFoot")
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * 30
    assert speed[:, :2].max() < 9
    assert speed.max() < 16
    assert speed.max() > 0.05  # not frozen
    np.testing.assert_allclose(limited(poses.rotations), poses.rotations, atol=1e-9)


@pytest.mark.parametrize("person", sorted(PEOPLE))
@pytest.mark.parametrize("seed", range(4))
def test_standing_foot_does_not_slide_while_walking(person: str, seed: int) -> None:
    rig = PEOPLE[person]
    poses = act("walk", rig, seed)
    travelled = np.linalg.norm(np.diff(poses.root_m[:, [0, 2]], axis=0), axis=1).sum()
    assert travelled / (COUNT / 30) > 0.5
    feet = places(rig, poses, "LeftFoot", "RightFoot")
    speed = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1) * 30
    slower = speed.min(axis=1)  # the foot that carries
    assert np.median(slower) < 0.3 * travelled / (COUNT / 30)


def test_curved_walk_keeps_the_steps() -> None:
    rig = PEOPLE["tall"]
    rng = np.random.default_rng(0)
    straight = ACTIONS["walk"](rng, rig, COUNT)
    bent = along_curve(straight, np.linspace(0, 1.5, COUNT))
    steps = [np.linalg.norm(np.diff(p.root_m[:, [0, 2]], axis=0), axis=1) for p in (straight, bent)]
    np.testing.assert_allclose(steps[1], steps[0], atol=1e-9)
    end = rot.heading(bent.rotations[-1, 0]) - rot.heading(straight.rotations[-1, 0])
    assert np.cos(end - 1.5) > 0.999


def _angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    u, v = a - b, c - b
    return float(np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))))


@pytest.mark.parametrize("seed", range(5))
def test_sitters_bend_hips_and_knees_and_keep_their_seat(seed: int) -> None:
    rig = PEOPLE["tall"]
    poses = act("sit", rig, seed)
    joint_world = rig.pose(poses)
    for i in (0, 60):
        k = body_keypoints(rig.avatar, joint_world[i], skin_vertices(rig.avatar, joint_world[i]))
        for hip, knee, ankle, shoulder in ((9, 11, 13, 3), (10, 12, 14, 4)):
            assert 70 < _angle(k[hip], k[knee], k[ankle]) < 135
            assert 60 < _angle(k[shoulder], k[hip], k[knee]) < 130
            assert k[knee][2] > k[hip][2] + 0.2
            assert 0.25 < k[hip][1] < 0.75
    assert np.ptp(poses.root_m, axis=0).max() < 0.25


def test_fighters_strike_and_return() -> None:
    rig = PEOPLE["tall"]
    poses = act("fight", rig, 1)
    assert np.abs(poses.root_m[:, [0, 2]]).max() < 1.0
    hands_and_feet = places(rig, poses, "LeftHand", "RightHand", "LeftFoot", "RightFoot")
    reach = hands_and_feet[..., 2] - poses.root_m[:, None, 2]
    assert reach.max() > 0.45
