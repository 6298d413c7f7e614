"""Skinning against its definition, and keypoints where anatomy has them."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.skeleton import POSETRACK15
from vepe_synth import rotations as rot
from vepe_synth.avatars import Avatar, open_library
from vepe_synth.body import body_keypoints, face_vertices, skin_vertices, skinning
from vepe_synth.motions import BODY_JOINTS, HIP_HEIGHT_M, MotionTrack, bundled_motions
from vepe_synth.retarget import Rig

LIBRARY = open_library()


def keypoints(avatar: Avatar, joint_world: np.ndarray) -> dict[str, np.ndarray]:
    points = body_keypoints(avatar, joint_world, skin_vertices(avatar, joint_world))
    assert points.shape == (15, 3)
    assert points.dtype == np.float32
    return dict(zip(POSETRACK15.keypoints, points, strict=True))


def test_skinning_is_the_weighted_sum_of_bone_moves() -> None:
    avatar = LIBRARY.load("Asian_M_3_Casual")
    joint_world = Rig(avatar).pose(bundled_motions()["spinkick"].poses)[30]
    moves = skinning(joint_world, avatar.inverse_bind)
    vertices = skin_vertices(avatar, joint_world)
    for v in (0, 700, 1500, len(avatar.vertices) - 1):
        point = np.append(avatar.vertices[v], 1.0)
        expected = sum(
            w * (moves[j] @ point)
            for j, w in zip(avatar.bone_indices[v], avatar.bone_weights[v], strict=True)
        )
        np.testing.assert_allclose(vertices[v], expected[:3], atol=1e-5)
    assert vertices.dtype == np.float32


def test_bind_pose_gives_the_vertices_back() -> None:
    avatar = LIBRARY.load("MENA_F_2_Casual")
    np.testing.assert_allclose(
        skin_vertices(avatar, avatar.bind_world()), avatar.vertices, atol=1e-4
    )


@pytest.mark.parametrize("name", LIBRARY.names)
def test_keypoints_of_a_standing_person(name: str) -> None:
    avatar = LIBRARY.load(name)
    rig = Rig(avatar)
    upright = MotionTrack(np.array([[0.0, HIP_HEIGHT_M, 0.0]]), rot.identity(1, len(BODY_JOINTS)))
    at = keypoints(avatar, rig.pose(rig.sized(upright))[0])
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        left, right = at[f"left_{part}"], at[f"right_{part}"]
        assert left[0] > 0.03
        np.testing.assert_allclose(left, right * [-1, 1, 1], atol=0.03)
    height = at["head_top"][1]
    assert 1.6 < height < 2.0
    shares = {
        "nose": 0.91, "head_bottom": 0.86, "left_shoulder": 0.81, "left_elbow": 0.68,
        "left_wrist": 0.54, "left_hip": 0.53, "left_knee": 0.29, "left_ankle": 0.05,
    }  # fmt: skip
    for part, share in shares.items():
        assert at[part][1] / height == pytest.approx(share, abs=0.04), part
    assert at["nose"][2] > at["head_bottom"][2] + 0.05
    assert abs(at["nose"][0]) < 0.02
    assert 0.1 < at["left_hip"][0] - at["right_hip"][0] < 0.3
    assert at["left_hip"][0] < at["left_shoulder"][0] + 0.02


def test_face_vertices_are_at_the_face() -> None:
    avatar = LIBRARY.load("White_F_2_Busi")
    face = avatar.vertices[face_vertices(avatar)]
    assert len(face) > 20
    assert np.ptp(face, axis=0).max() < 0.09


def test_keypoints_turn_with_the_body() -> None:
    avatar = LIBRARY.load("NHPI_M_1_Busi")
    rig = Rig(avatar)
    poses = bundled_motions()["dance_a"].sample(np.array([0.7]))
    joint_world = rig.pose(poses)[0]
    turn = np.eye(4, dtype=np.float32)
    turn[:3, :3] = rot.to_matrix(rot.about_y(np.array(1.1)))
    before, after = keypoints(avatar, joint_world), keypoints(avatar, turn @ joint_world)
    for name, point in before.items():
        np.testing.assert_allclose(after[name], turn[:3, :3] @ point, atol=1e-4)
