"""Operations on unit quaternions (w, x, y, z) with any leading axes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def identity(*shape: int) -> Float[np.ndarray, "*shape 4"]:
    """Identity quaternions of the given shape."""
    result = np.zeros((*shape, 4))
    result[..., 0] = 1.0
    return result


def normalise(q: Float[np.ndarray, "*shape 4"]) -> Float[np.ndarray, "*shape 4"]:
    """The quaternions scaled to length 1."""
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def multiply(
    a: Float[np.ndarray, "*shape 4"], b: Float[np.ndarray, "*shape 4"]
) -> Float[np.ndarray, "*shape 4"]:
    """The rotation `b` followed by `a`."""
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def inverse(q: Float[np.ndarray, "*shape 4"]) -> Float[np.ndarray, "*shape 4"]:
    """The inverse rotations."""
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def from_rotvec(vector: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 4"]:
    """Quaternions from rotation vectors (axis times angle in radians)."""
    vector = np.asarray(vector, np.float64)
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), np.sinc(angle / (2 * np.pi)) * vector / 2], axis=-1)


def to_rotvec(q: Float[np.ndarray, "*shape 4"]) -> Float[np.ndarray, "*shape 3"]:
    """Rotation vectors: axis times angle, angle in 0..pi radians."""
    q = np.where(q[..., :1] < 0, -q, q)
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(length, q[..., :1])
    return q[..., 1:] * np.where(length > 1e-9, angle / np.maximum(length, 1e-9), 2.0)


def about_y(angle: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape 4"]:
    """Rotations about y by `angle` radians, from +z towards +x (to the left)."""
    half = np.asarray(angle, np.float64) / 2
    zero = np.zeros_like(half)
    return np.stack([np.cos(half), zero, np.sin(half), zero], axis=-1)


def heading(q: Float[np.ndarray, "*shape 4"]) -> Float[np.ndarray, "*shape"]:
    """Angle about y in radians (the twist of a swing-twist decomposition)."""
    return 2 * np.arctan2(q[..., 2], q[..., 0])


def slerp(
    a: Float[np.ndarray, "*shape 4"],
    b: Float[np.ndarray, "*shape 4"],
    share: Float[np.ndarray, "*shape"] | float,
) -> Float[np.ndarray, "*shape 4"]:
    """Spherical interpolation from `a` (share 0) to `b` (share 1) along the shorter arc."""
    share = np.asarray(share, np.float64)[..., None]
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(dot), 0.0, 1.0))
    near = angle < 1e-4
    sine = np.where(near, 1.0, np.sin(angle))
    weight_a = np.where(near, 1 - share, np.sin((1 - share) * angle) / sine)
    weight_b = np.where(near, share, np.sin(share * angle) / sine)
    return normalise(weight_a * a + weight_b * b)


def to_matrix(q: Float[np.ndarray, "*shape 4"]) -> Float[np.ndarray, "*shape 3 3"]:
    """Rotation matrices."""
    w, x, y, z = (q[..., i] for i in range(4))
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=-1).reshape(*q.shape[:-1], 3, 3)


def between(start: Float[np.ndarray, "3"], end: Float[np.ndarray, "3"]) -> Float[np.ndarray, "4"]:
    """The smallest rotation from direction `start` to `end`, which must not be opposite."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    return normalise(np.concatenate([[1.0 + a @ b], np.cross(a, b)]))
