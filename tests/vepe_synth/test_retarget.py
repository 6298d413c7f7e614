"""Retargeting: limbs of an avatar point where the recorded limbs point."""

from __future__ import annotations

import numpy as np
import pytest

from vepe_synth import rotations as rot
from vepe_synth.avatars import open_library
from vepe_synth.motions import BODY_JOINTS, HIP_HEIGHT_M, MotionTrack, bundled_motions, joint_places
from vepe_synth.retarget import BodyShape, Rig

LIMBS = [
    (f"{side}_{a}", f"{side}_{b}", f"{side.title()}{c}", f"{side.title()}{d}")
    for side in ("left", "right")
    for a, b, c, d in (
        ("shoulder", "elbow", "Arm", "ForeArm"),
        ("elbow", "wrist", "ForeArm", "Hand"),
        ("hip", "knee", "UpLeg", "Leg"),
        ("knee", "ankle", "Leg", "Foot"),
    )
]


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig(open_library().load("Black_F_1_Casual"))


@pytest.mark.parametrize("name", sorted(bundled_motions()))
def test_limbs_point_where_the_source_points(rig: Rig, name: str) -> None:
    poses = bundled_motions()[name].poses
    source, _ = joint_places(poses)
    places = rig.pose(rig.sized(poses))[:, :, :3, 3]
    for a, b, c, d in LIMBS:
        expected = source[:, BODY_JOINTS.index(b)] - source[:, BODY_JOINTS.index(a)]
        actual = places[:, rig.avatar.joint(d)] - places[:, rig.avatar.joint(c)]
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        actual /= np.linalg.norm(actual, axis=1, keepdims=True)
        assert (expected * actual).sum(axis=1).min() > np.cos(np.radians(1.0)), (name, c)
    hips = places[:, [rig.avatar.joint("LeftUpLeg"), rig.avatar.joint("RightUpLeg")]].mean(axis=1)
    np.testing.assert_allclose(hips, poses.root_m * rig.metres_per_source_m, atol=2e-3)


@pytest.mark.parametrize("shape", [BodyShape(), BodyShape(0.7, 0.93, 1.04, 0.97, 1.25, 1.1)])
def test_bone_lengths_stay(rig: Rig, shape: BodyShape) -> None:
    rig = Rig(rig.avatar, shape)
    places = rig.pose(rig.sized(bundled_motions()["cartwheel"].poses))[:, :, :3, 3]
    for name in ("LeftArm", "LeftForeArm", "LeftHand", "RightLeg", "RightFoot", "Spine1", "Head"):
        joint = rig.avatar.joint(name)
        bone = places[:, joint] - places[:, rig.avatar.joint_parents[joint]]
        length = np.linalg.norm(bone, axis=1)
        assert np.ptp(length) < 1e-4 * length.mean() + 1e-5, name


def test_standing_person_looks_ahead_with_hanging_arms(rig: Rig) -> None:
    upright = MotionTrack(np.array([[0.0, HIP_HEIGHT_M, 0.0]]), rot.identity(1, len(BODY_JOINTS)))
    places = rig.pose(rig.sized(upright))[0, :, :3, 3]

    def at(name: str) -> np.ndarray:
        return places[rig.avatar.joint(name)]

    assert at("LeftHand")[0] > 0.1 > -0.1 > at("RightHand")[0]
    assert at("LeftHand")[1] < at("LeftForeArm")[1] < at("LeftArm")[1]
    assert at("LeftToeBase")[2] > at("LeftFoot")[2] + 0.08
    assert 0.03 < at("LeftFoot")[1] < 0.2
    assert at("Head")[1] > 1.4


def test_knees_bend_back_and_elbows_forward(rig: Rig) -> None:
    turns = rot.identity(1, len(BODY_JOINTS))
    for side in ("left", "right"):
        turns[0, BODY_JOINTS.index(f"{side}_knee")] = rot.from_rotvec(np.array([1.2, 0, 0]))
        turns[0, BODY_JOINTS.index(f"{side}_elbow")] = rot.from_rotvec(np.array([-1.2, 0, 0]))
    places = rig.pose(MotionTrack(np.array([[0.0, 0.9, 0.0]]), turns))[0, :, :3, 3]
    for side in ("Left", "Right"):
        knee, foot, elbow, hand = (
            places[rig.avatar.joint(side + part)] for part in ("Leg", "Foot", "ForeArm", "Hand")
        )
        assert foot[2] < knee[2] - 0.2
        assert hand[2] > elbow[2] + 0.12


def test_size_scales_everything(rig: Rig) -> None:
    half = Rig(rig.avatar, BodyShape(size=0.5))
    assert half.hip_height_m == pytest.approx(rig.hip_height_m / 2)
    poses = bundled_motions()["walk"].poses
    np.testing.assert_allclose(
        half.pose(half.sized(poses))[:, :, :3, 3],
        rig.pose(rig.sized(poses))[:, :, :3, 3] / 2,
        atol=1e-5,
    )
