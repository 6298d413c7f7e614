"""Soft dark spots on the floor under bodies: without them people seem to float."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_JOINTS = (
    "Hips", "Spine1", "Head", "LeftFoot", "RightFoot", "LeftToeBase", "RightToeBase", "LeftHand",
    "RightHand", "LeftLeg", "RightLeg", "LeftForeArm", "RightForeArm",
)  # fmt: skip
SPOTS_PER_PERSON = len(_JOINTS)
VERTEX_FLOATS = 5
_REACH_M = 0.6
_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, -1], [1, 1], [-1, 1]], np.float32)


def touching(joint_names: tuple[str, ...]) -> np.ndarray:
    """Indices of the joints that may cast a spot."""
    return np.array([i for i, name in enumerate(joint_names) if name in _JOINTS], np.int64)


def contact_spots(places: Float[np.ndarray, "N 3"], strength: float) -> Float[np.ndarray, "M 5"]:
    """Vertices (x, z, two coordinates within the spot, strength) of two triangles for each spot.

    The nearer a place to the floor, the smaller and darker; from 0.6 m on there is none.
    """
    height = np.clip(places[:, 1], 0, None)
    near = places[height < _REACH_M]
    height = height[height < _REACH_M]
    radius = 0.14 + 0.5 * height
    dark = strength * (1 - height / _REACH_M) ** 2
    out = np.empty((len(near), 6, VERTEX_FLOATS), np.float32)
    out[..., :2] = near[:, None, [0, 2]] + radius[:, None, None] * _CORNERS
    out[..., 2:4] = _CORNERS
    out[..., 4] = dark[:, None]
    return out.reshape(-1, VERTEX_FLOATS)
