"""Retargeting: the bones of an avatar follow the joint rotations of a recorded pose.

In the source's rest pose all limbs hang straight down; an avatar's bind pose has the arms out to
the sides. Each driven bone is first rotated from its bind direction to the source's rest direction,
then by the source's rotation, so that limbs point in the same direction whatever the bone lengths.
Fingers, toes and eyes follow their parent bone. Rotations are relative to the bind pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.avatars import Avatar
from vepe_synth.motions import BODY_JOINTS, HIP_HEIGHT_M, MotionTrack, world_rotations

_DOWN = np.array([0.0, -1.0, 0.0])
_SHOULDER_SHARE = 0.15
"""Fraction of the upper arm's rotation that the collar bone follows."""

# Driven bone: (body joint, joint to blend from, fraction, child bone that gives the direction)
_DRIVEN: dict[str, tuple[str, str, float, str]] = {
    "Hips": ("root", "root", 1.0, ""),
    "Spine": ("chest", "root", 0.3, ""),
    "Spine1": ("chest", "root", 0.7, ""),
    "Spine2": ("chest", "chest", 1.0, ""),
    "Neck": ("neck", "chest", 0.5, ""),
    "Head": ("neck", "neck", 1.0, ""),
} | {
    f"{side}{bone}": (f"{side.lower()}_{joint}", f"{side.lower()}_{joint}", 1.0, tip and side + tip)
    for side in ("Right", "Left")
    for bone, joint, tip in (
        ("UpLeg", "hip", "Leg"),
        ("Leg", "knee", "Foot"),
        ("Foot", "ankle", ""),
        ("Arm", "shoulder", "ForeArm"),
        ("ForeArm", "elbow", "Hand"),
        ("Hand", "wrist", "HandMiddle1"),
    )
}


@dataclass(frozen=True)
class BodyShape:
    """Scale factors of a body relative to its avatar: the whole and its parts."""

    size: float = 1.0
    legs: float = 1.0
    arms: float = 1.0
    torso: float = 1.0
    head: float = 1.0
    girth: float = 1.0


class Rig:
    """An avatar's skeleton with a body shape, ready to be posed.

    Attributes:
        hip_height_m: height of the hips of the upright person.
        metres_per_source_m: size relative to the source body of the motions.
    """

    def __init__(self, avatar: Avatar, shape: BodyShape | None = None) -> None:
        self.avatar = avatar
        self.shape = BodyShape() if shape is None else shape
        self._bind = np.linalg.inv(avatar.inverse_bind.astype(np.float64))
        names = [n for n in avatar.joint_names if n in _DRIVEN or n.endswith("Shoulder")]
        self._names = names
        joints = [avatar.joint(n) for n in names]
        slot = {joint: i for i, joint in enumerate(joints)}
        self._owner = _owners(avatar, slot)
        parents = [avatar.joint_parents[j] for j in joints]
        self._parents = [-1 if p < 0 else int(self._owner[p]) for p in parents]
        position = self._bind[joints, :3, 3]
        self._scales = np.stack([_scale(n, self.shape) for n in names])
        self._position = position
        self._offsets = np.stack(
            [
                self._scales[p] * (position[i] - position[p]) if p >= 0 else np.zeros(3)
                for i, p in enumerate(self._parents)
            ]
        )
        self._targets, self._sources, self._shares = self._plan()
        self._rest = np.stack([self._rest_turn(n) for n in names])
        hips = [names.index("RightUpLeg"), names.index("LeftUpLeg")]
        self._pelvis = position[hips].mean(axis=0) - position[names.index("Hips")]
        leg = [names.index(n) for n in ("RightUpLeg", "RightLeg", "RightFoot")]
        length = sum(np.linalg.norm(self._offsets[leg[i]]) for i in (1, 2))
        ankle = position[leg[2], 1] * self._scales[leg[2], 1]
        self.hip_height_m = float(length + ankle)
        self.metres_per_source_m = self.hip_height_m / HIP_HEIGHT_M

    def sized(self, poses: MotionTrack) -> MotionTrack:
        """The poses with the root position scaled from the source body to this one."""
        return MotionTrack(poses.root_m * self.metres_per_source_m, poses.rotations)

    def _plan(self) -> tuple[list[int], list[int], np.ndarray]:
        """Per driven bone: the body joint it follows, the joint to blend from, the fraction."""
        targets, sources, shares = [], [], []
        for name in self._names:
            if name in _DRIVEN:
                target, source, share, _ = _DRIVEN[name]
            else:  # collar bone: mostly the chest, a little the upper arm
                side = name.removesuffix("Shoulder").lower()
                target, source, share = f"{side}_shoulder", "chest", _SHOULDER_SHARE
            targets.append(BODY_JOINTS.index(target))
            sources.append(BODY_JOINTS.index(source))
            shares.append(share)
        return targets, sources, np.array(shares)

    def _rest_turn(self, name: str) -> np.ndarray:
        tip = _DRIVEN[name][3] if name in _DRIVEN else ""
        if not tip or tip not in self.avatar.joint_names:
            return rot.identity()
        start, end = (self._bind[self.avatar.joint(n), :3, 3] for n in (name, tip))
        return rot.between(end - start, _DOWN)

    def bone_turns(self, rotations: Float[np.ndarray, "N 15 4"]) -> Float[np.ndarray, "N D 4"]:
        """World rotations (N, D, 4) of the D driven bones, relative to the bind pose."""
        world = world_rotations(rotations)
        turns = rot.slerp(world[:, self._sources], world[:, self._targets], self._shares)
        return rot.multiply(turns, np.broadcast_to(self._rest, turns.shape))

    def pose(self, poses: MotionTrack) -> Float[np.ndarray, "N J 4 4"]:
        """World matrices of all joints; root positions are in this body's metres (see `sized`)."""
        turns = rot.to_matrix(self.bone_turns(poses.rotations))
        places = np.zeros((len(poses), len(self._names), 3))
        for i, parent in enumerate(self._parents):
            if parent < 0:
                places[:, i] = poses.root_m - turns[:, i] @ (self._scales[i] * self._pelvis)
            else:
                places[:, i] = places[:, parent] + turns[:, parent] @ self._offsets[i]
        move = np.zeros((len(poses), len(self._names), 4, 4))
        move[..., :3, :3] = turns * self._scales[:, None, :]
        move[..., :3, 3] = places - np.einsum("ndij,dj->ndi", move[..., :3, :3], self._position)
        move[..., 3, 3] = 1.0
        return (move[:, self._owner] @ self._bind).astype(np.float32)


def _owners(avatar: Avatar, slot: dict[int, int]) -> np.ndarray:
    """For each joint the driven bone that moves it: itself or its nearest driven ancestor."""
    owner = np.zeros(len(avatar.joint_names), np.int64)
    for joint, parent in enumerate(avatar.joint_parents):
        owner[joint] = slot[joint] if joint in slot else owner[parent]
    return owner


def _scale(name: str, shape: BodyShape) -> np.ndarray:
    """Scale of the geometry around a bone along the bind pose's x, y and z axes."""
    girth = shape.girth
    if name == "Head":
        factors = [shape.head] * 3
    elif name.endswith(("Arm",)):
        factors = [shape.arms, girth, girth]
    elif name.endswith("Hand"):
        factors = [shape.arms] * 3
    elif name.endswith("Leg"):
        factors = [girth, shape.legs, girth]
    elif name.endswith("Foot"):
        factors = [shape.legs] * 3
    else:
        factors = [girth, shape.torso, girth]
    return shape.size * np.array(factors)
