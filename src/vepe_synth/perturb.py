"""Small random changes of poses, smooth in time and within what joints allow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.improvise import smooth_noise
from vepe_synth.motions import BODY_JOINTS, PoseTrack

# Spread of a performer's own style, and of the change over time, in degrees.
_SPREAD = {
    "root": (0.7, 0.4), "chest": (4.0, 3.0), "neck": (6.0, 7.0), "hip": (2.0, 1.0),
    "knee": (3.0, 1.5), "ankle": (2.0, 1.5), "shoulder": (7.0, 5.0), "elbow": (9.0, 7.0),
    "wrist": (9.0, 9.0),
}  # fmt: skip
_LIMITS = {"chest": 75.0, "neck": 60.0, "hip": 135.0, "ankle": 50.0, "wrist": 70.0}
"""Largest turn from the neutral pose in degrees; shoulders are free."""
HINGES = {"knee": (0.0, 150.0), "elbow": (-150.0, 0.0)}
"""Degrees about x that hinges allow."""


def perturbed(rng: np.random.Generator, poses: PoseTrack, amount: float = 1.0) -> PoseTrack:
    """The poses with a constant and a slowly changing turn at every joint; `amount` scales both."""
    turns = np.array(poses.rotations)
    for i, name in enumerate(BODY_JOINTS):
        style, change = _SPREAD[name.rpartition("_")[2]]
        vector = rng.normal(size=3) * style + smooth_noise(rng, len(poses), 3) * change
        if name == "root":
            vector = vector * [1.0, 0.0, 1.0]  # leaning only: where it goes is not changed
        turns[:, i] = rot.multiply(turns[:, i], rot.from_rotvec(np.radians(vector) * amount))
    return PoseTrack(poses.root_m, limited(turns))


def limited(turns: Float[np.ndarray, "N 15 4"]) -> Float[np.ndarray, "N 15 4"]:
    """The rotations with every joint brought back within a person's limits."""
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
