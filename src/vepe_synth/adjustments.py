"""Adjustments of planned poses: joint noise, joint limits, and contact with the floor."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.improvise import smooth_noise
from vepe_synth.motions import BODY_JOINTS, MotionTrack, clearance_m
from vepe_synth.retarget import Rig

# Standard deviations in degrees: of a person's constant style, and of the variation over time.
_SPREAD = {
    "root": (0.7, 0.4), "chest": (4.0, 3.0), "neck": (6.0, 7.0), "hip": (2.0, 1.0),
    "knee": (3.0, 1.5), "ankle": (2.0, 1.5), "shoulder": (7.0, 5.0), "elbow": (9.0, 7.0),
    "wrist": (9.0, 9.0),
}  # fmt: skip
_LIMITS = {"chest": 75.0, "neck": 60.0, "hip": 135.0, "ankle": 50.0, "wrist": 70.0}
"""Largest angle from the neutral pose in degrees; shoulders are not limited."""
HINGES = {"knee": (0.0, 150.0), "elbow": (-150.0, 0.0)}
"""Range of hinge joints about x in degrees."""


def perturbed(rng: np.random.Generator, poses: MotionTrack, amount: float = 1.0) -> MotionTrack:
    """Adds a constant and a slowly varying rotation to every joint; `amount` scales both."""
    turns = np.array(poses.rotations)
    for i, name in enumerate(BODY_JOINTS):
        style, change = _SPREAD[name.rpartition("_")[2]]
        vector = rng.normal(size=3) * style + smooth_noise(rng, len(poses), 3) * change
        if name == "root":
            vector = vector * [1.0, 0.0, 1.0]  # leaning only: the heading stays
        turns[:, i] = rot.multiply(turns[:, i], rot.from_rotvec(np.radians(vector) * amount))
    return MotionTrack(poses.root_m, limited(turns))


def limited(turns: Float[np.ndarray, "N 15 4"]) -> Float[np.ndarray, "N 15 4"]:
    """Clamps every joint's rotation to the anatomical limits."""
    result = np.array(turns)
    for i, name in enumerate(BODY_JOINTS):
        part = name.rpartition("_")[2]
        if part in HINGES:
            angle = 2 * np.arctan2(turns[:, i, 1], turns[:, i, 0])
            angle = np.clip(np.mod(angle + np.pi, 2 * np.pi) - np.pi, *np.radians(HINGES[part]))
            result[:, i] = rot.from_rotvec(angle[:, None] * np.array([1.0, 0.0, 0.0]))
        elif part in _LIMITS:
            vector = rot.to_rotvec(turns[:, i])
            size = np.linalg.norm(vector, axis=-1, keepdims=True)
            limit = np.radians(_LIMITS[part])
            result[:, i] = rot.from_rotvec(vector * np.minimum(1.0, limit / np.maximum(size, 1e-9)))
    return result


_CONTACT_M = 0.03
"""A source body closer to the floor than this counts as touching it."""
_SMOOTH_POSES = 1.5
_EVERY = 5


def floor_points(rig: Rig, bones: tuple[str, ...] = ()) -> Float[np.ndarray, "S J4"]:
    """Linear map from joint transforms to the heights of S vertices.

    The dot product of row s with the y rows of the joint transforms (J x 4, flattened) is the
    height of vertex s. The vertices are half of the soles' and every fifth of the rest; with
    `bones`, the 200 that move most with those bones.
    """
    avatar = rig.avatar
    low = np.nonzero(avatar.vertices[:, 1] < 0.03)[0]
    chosen = np.union1d(low[::2], np.arange(0, len(avatar.vertices), _EVERY))
    if bones:
        named = np.isin(avatar.bone_indices, [avatar.joint(n) for n in bones])
        chosen = np.argsort(-(avatar.bone_weights * named).sum(axis=1), kind="stable")[:200]
    s, j = len(chosen), len(avatar.joint_names)
    points = np.concatenate([avatar.vertices[chosen], np.ones((s, 1), np.float32)], axis=1)
    weights = np.zeros((s, j), np.float32)
    rows = np.arange(s)[:, None]
    np.add.at(weights, (rows, avatar.bone_indices[chosen]), avatar.bone_weights[chosen])
    return (weights[:, :, None] * points[:, None, :]).reshape(s, j * 4)


def lowest_m(
    rig: Rig, poses: MotionTrack, points: Float[np.ndarray, "S J4"] | None = None
) -> Float[np.ndarray, "N"]:
    """Height in metres of the lowest of the body's `floor_points` in each pose."""
    table = floor_points(rig) if points is None else points
    moves = rig.pose(poses) @ rig.avatar.inverse_bind
    return (moves[:, :, 1, :].reshape(len(poses), -1) @ table.T).min(axis=1)


def grounded(rig: Rig, poses: MotionTrack) -> MotionTrack:
    """Shifts the poses vertically so that the lowest body part touches the floor.

    Jumps keep their recorded height above the floor.
    """
    from scipy.ndimage import gaussian_filter1d

    scale = rig.metres_per_source_m
    source = MotionTrack(poses.root_m / scale, poses.rotations)
    leap = np.maximum(clearance_m(source) - _CONTACT_M, 0.0) * scale
    shift = gaussian_filter1d(leap - lowest_m(rig, poses), _SMOOTH_POSES, mode="nearest")
    return MotionTrack(poses.root_m + shift[:, None] * [0.0, 1.0, 0.0], poses.rotations)
