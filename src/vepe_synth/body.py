"""Linear blend skinning: from posed joints to the body surface and its 15 keypoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, Int

from vepe_synth.avatars import Avatar


def skinning(
    joint_world: Float[np.ndarray, "J 4 4"], inverse_bind: Float[np.ndarray, "J 4 4"]
) -> Float[np.ndarray, "J 4 4"]:
    """Transforms of points from the bind pose to the world, per joint."""
    return joint_world @ inverse_bind


def skin_vertices(
    avatar: Avatar, joint_world: Float[np.ndarray, "J 4 4"]
) -> Float[np.ndarray, "V 3"]:
    """Vertices of the posed body in world coordinates, metres, float32."""
    blend = _blend(avatar)
    moves = skinning(joint_world, avatar.inverse_bind)[:, :3, :].reshape(-1, 12)
    return blend.apply(moves)


def body_keypoints(
    avatar: Avatar,
    joint_world: Float[np.ndarray, "J 4 4"],
    vertices: Float[np.ndarray, "V 3"],
) -> Float[np.ndarray, "15 3"]:
    """The keypoints of `POSETRACK15` in world coordinates, metres, float32.

    Nose and head top are surface points (`vertices`, from `skin_vertices`). The others are fixed to
    bones, placed where human annotators click: hips slightly outside the rig's joints, the head
    bottom between chin and shoulders (PoseTrack's upper neck).
    """
    marks = _landmarks(avatar)
    points = np.concatenate([marks.local, np.ones((len(marks.local), 1), np.float32)], axis=1)
    fixed = np.einsum("kij,kj->ki", joint_world[marks.joints], points)[:, :3]
    return np.concatenate(
        [vertices[marks.nose][None], fixed[:1], vertices[marks.head_top][None], fixed[1:]]
    ).astype(np.float32)


def face_vertices(avatar: Avatar) -> Int[np.ndarray, "F"]:
    """Indices of the vertices within 4 cm of the nose: always skin."""
    nose = avatar.vertices[_landmarks(avatar).nose]
    return np.nonzero(np.linalg.norm(avatar.vertices - nose, axis=1) < 0.04)[0]


@dataclass(frozen=True, eq=False)
class _Blend:
    """An avatar's skinning weights as a sparse (V, J) matrix, and its homogeneous bind vertices."""

    table: Any
    points: Float[np.ndarray, "V 4"]

    def apply(self, moves: Float[np.ndarray, "J 12"]) -> Float[np.ndarray, "V 3"]:
        mixed = (self.table @ moves).reshape(-1, 3, 4)
        return np.matmul(mixed, self.points[:, :, None])[:, :, 0]


@dataclass(frozen=True, eq=False)
class _Landmarks:
    """Vertices of nose and head top; joint and local position of the other 13 keypoints.

    The 13 are head_bottom and then shoulders to ankles, in the skeleton's order.
    """

    nose: int
    head_top: int
    joints: Int[np.ndarray, "13"]
    local: Float[np.ndarray, "13 3"]


_HIP_SHARES = np.array([0.515, 0.535])
"""Range of a standing person's hip height as a fraction of the body height."""
_BLENDS: WeakKeyDictionary[Avatar, _Blend] = WeakKeyDictionary()
_LANDMARKS: WeakKeyDictionary[Avatar, _Landmarks] = WeakKeyDictionary()


def _blend(avatar: Avatar) -> _Blend:
    if avatar not in _BLENDS:
        from scipy.sparse import csr_matrix

        v, j = len(avatar.vertices), len(avatar.joint_names)
        rows = np.repeat(np.arange(v), 4)
        entries = (avatar.bone_weights.ravel(), (rows, avatar.bone_indices.ravel()))
        table = csr_matrix(entries, shape=(v, j), dtype=np.float32)
        table.eliminate_zeros()
        points = np.concatenate([avatar.vertices, np.ones((v, 1), np.float32)], axis=1)
        _BLENDS[avatar] = _Blend(table, points)
    return _BLENDS[avatar]


def _landmarks(avatar: Avatar) -> _Landmarks:
    if avatar not in _LANDMARKS:
        _LANDMARKS[avatar] = _find_landmarks(avatar)
    return _LANDMARKS[avatar]


def _find_landmarks(avatar: Avatar) -> _Landmarks:
    bind = avatar.bind_world()
    place = {n: bind[i, :3, 3] for i, n in enumerate(avatar.joint_names)}
    head = _head_vertices(avatar)
    points = avatar.vertices[head]
    middle = np.abs(points[:, 0] - place["Head"][0]) < 0.02
    # Between eyes and lips, so that neither caps nor chins are taken for the nose.
    eyes = place["LeftEye"][1] if "LeftEye" in place else place["Head"][1] + 0.06
    face = middle & (points[:, 1] < eyes) & (points[:, 1] > eyes - 0.06)
    nose = head[np.where(face, points[:, 2], -np.inf).argmax()]
    # Of the highest points the one closest to the head's axis: hair has no single peak.
    high = points[:, 1] > points[:, 1].max() - 0.015
    off_centre = np.hypot(points[:, 0] - place["Head"][0], points[:, 2] - place["Head"][2])
    head_top = head[np.where(high, off_centre, np.inf).argmin()]
    upper_neck = place["Neck"] + 0.4 * (place["Head"] - place["Neck"])
    joints, local = [avatar.joint("Neck")], [_in_joint(bind, avatar.joint("Neck"), upper_neck)]
    for part in ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot"):
        for side, sign in (("Left", 1.0), ("Right", -1.0)):
            name = side + part
            spot = place[name].copy()
            owner = name
            if part == "UpLeg":
                owner = "Hips"
                spot += [0.03 * sign, 0.0, -0.02]
                # Rigs differ here by 8 % of the body height; people do not.
                spot[1] = np.clip(spot[1], *(_HIP_SHARES * avatar.vertices[:, 1].max()))
            elif part == "Arm":
                spot += [0.0, 0.01, 0.0]
            joints.append(avatar.joint(owner))
            local.append(_in_joint(bind, avatar.joint(owner), spot))
    return _Landmarks(int(nose), int(head_top), np.array(joints), np.array(local, np.float32))


def _head_vertices(avatar: Avatar) -> np.ndarray:
    """Vertices whose skinning weights belong mostly to the head."""
    names = np.array([n.startswith(("Head", "LeftEye", "RightEye")) for n in avatar.joint_names])
    share = (avatar.bone_weights * names[avatar.bone_indices]).sum(axis=1)
    return np.nonzero(share > 0.5)[0]


def _in_joint(bind: np.ndarray, joint: int, point: np.ndarray) -> np.ndarray:
    return (np.linalg.inv(bind[joint]) @ np.append(point, 1.0))[:3]
