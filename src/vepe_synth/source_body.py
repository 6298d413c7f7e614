"""The body of the recorded motions: where its joints are, and how far it is above the floor.

Measures are DeepMimic's humanoid (x left, y up, z forward; metres), all limbs hanging down.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.motions import BODY_JOINTS, BODY_PARENTS, PoseTrack

_OFFSETS = {
    "root": (0.0, 0.0, 0.0),
    "chest": (0.0, 0.236, 0.0),
    "neck": (0.0, 0.224, 0.0),
    "hip": (0.085, 0.0, 0.0),
    "knee": (0.0, -0.4215, 0.0),
    "ankle": (0.0, -0.4099, 0.0),
    "shoulder": (0.183, 0.2435, -0.024),
    "elbow": (0.0, -0.2748, 0.0),
    "wrist": (0.0, -0.2589, 0.0),
}
# Spheres that stand for the surface: joint, middle, radius.
_SURFACE: tuple[tuple[str, tuple[float, float, float], float], ...] = (
    ("root", (0.0, 0.07, 0.0), 0.09),
    ("chest", (0.0, 0.12, 0.0), 0.11),
    ("neck", (0.0, 0.175, 0.0), 0.10),
    ("knee", (0.0, 0.0, 0.0), 0.05),
    ("ankle", (0.0, -0.05, -0.045), 0.0),
    ("ankle", (0.0, -0.05, 0.13), 0.0),
    ("elbow", (0.0, 0.0, 0.0), 0.045),
    ("wrist", (0.0, 0.0, 0.0), 0.04),
)


def _sided(joint: str) -> list[str]:
    return [n for n in BODY_JOINTS if n == joint or n.endswith(f"_{joint}")]


def _offset(name: str) -> np.ndarray:
    offset = np.array(_OFFSETS[name.rpartition("_")[2]])
    return offset * [-1.0, 1.0, 1.0] if name.startswith("right_") else offset


_OFFSET_TABLE = np.stack([_offset(name) for name in BODY_JOINTS])


def joint_places(poses: PoseTrack) -> tuple[Float[np.ndarray, "N 15 3"], np.ndarray]:
    """Positions of the source body's joints in metres, and their (N, 15, 3, 3) rotations."""
    from vepe_synth.retarget import world_rotations

    turns = rot.to_matrix(world_rotations(poses.rotations))
    places = np.zeros((len(poses), len(BODY_JOINTS), 3))
    places[:, 0] = poses.root_m
    for joint, parent in enumerate(BODY_PARENTS):
        if parent >= 0:
            places[:, joint] = places[:, parent] + turns[:, parent] @ _OFFSET_TABLE[joint]
    return places, turns


def clearance_m(poses: PoseTrack) -> Float[np.ndarray, "N"]:
    """Height of the source body's lowest point above the floor in metres."""
    places, turns = joint_places(poses)
    lowest = np.full(len(poses), np.inf)
    for joint, middle, radius in _SURFACE:
        for name in _sided(joint):
            i = BODY_JOINTS.index(name)
            y = places[:, i, 1] + (turns[:, i] @ np.array(middle))[:, 1] - radius
            lowest = np.minimum(lowest, y)
    return lowest


def feet_m(poses: PoseTrack) -> Float[np.ndarray, "N 3"]:
    """Middle between the ankles in metres."""
    places, _ = joint_places(poses)
    ankles = [BODY_JOINTS.index(n) for n in _sided("ankle")]
    return places[:, ankles].mean(axis=1)
