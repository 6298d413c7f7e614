"""Keeps bodies on the floor: their lowest point is where the motion's lowest point is."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from vepe_synth.motions import PoseTrack
from vepe_synth.retarget import Rig
from vepe_synth.source_body import clearance_m

_CONTACT_M = 0.03
"""A source body nearer to the floor than this stands or lies on it."""
_SMOOTH_POSES = 1.5
_EVERY = 5


def floor_points(rig: Rig, bones: tuple[str, ...] = ()) -> Float[np.ndarray, "S J4"]:
    """A table that gives the heights of the soles' and of every fifth vertex.

    Row s times the second rows of the joints' moves (J x 4, flat) is the height of vertex s.
    With `bones` the vertices are the 200 that move most with these.
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
    rig: Rig, poses: PoseTrack, points: Float[np.ndarray, "S J4"] | None = None
) -> Float[np.ndarray, "N"]:
    """Height of the lowest of the body's `floor_points` in every pose."""
    table = floor_points(rig) if points is None else points
    moves = rig.pose(poses) @ rig.avatar.inverse_bind
    return (moves[:, :, 1, :].reshape(len(poses), -1) @ table.T).min(axis=1)


def grounded(rig: Rig, poses: PoseTrack) -> PoseTrack:
    """The poses raised or lowered so that soles (or whatever is lowest) touch the floor.

    In a leap the body keeps the height of the recorded leap.
    """
    scale = rig.metres_per_source_m
    source = PoseTrack(poses.root_m / scale, poses.rotations)
    leap = np.maximum(clearance_m(source) - _CONTACT_M, 0.0) * scale
    shift = gaussian_filter1d(leap - lowest_m(rig, poses), _SMOOTH_POSES, mode="nearest")
    return PoseTrack(poses.root_m + shift[:, None] * [0.0, 1.0, 0.0], poses.rotations)
