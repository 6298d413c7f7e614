"""Editing of pose sequences: cut, retime, place, blend and join them without jumps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.motions import Motion, MotionTrack

POSES_PER_S = 30.0
"""Sampling rate of all planned pose sequences, in Hz."""
_LYING = 0.5
"""A person counts as lying or crawling if the pelvis's up axis has a smaller y than this."""


def frame_count(duration_s: float) -> int:
    """Number of poses that cover a duration, both ends included."""
    return int(np.ceil(duration_s * POSES_PER_S)) + 1


def smoothstep(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Eases from 0 to 1 with zero slope at both ends; clamped outside."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def cut(
    motion: Motion,
    speed: float = 1.0,
    start_s: float = 0.0,
    duration_s: float | None = None,
    backwards: bool = False,
) -> MotionTrack:
    """A part of a motion played at `speed` from `start_s` on, by default to its end."""
    length = motion.duration_s - start_s if duration_s is None else duration_s * speed
    times = start_s + np.arange(frame_count(length / speed)) * speed / POSES_PER_S
    if not motion.cyclic:
        times = np.minimum(times, motion.duration_s)
    return motion.sample(times[::-1] if backwards else times)


def placed(poses: MotionTrack, yaw: float, x: float, z: float) -> MotionTrack:
    """The poses rotated about the origin by `yaw`, then translated on the floor."""
    turn = rot.about_y(np.array(yaw))
    turned = np.array(poses.rotations)
    turned[:, 0] = rot.multiply(np.broadcast_to(turn, (len(poses), 4)), turned[:, 0])
    return MotionTrack(poses.root_m @ rot.to_matrix(turn).T + [x, 0.0, z], turned)


def held(poses: MotionTrack, index: int, count: int) -> MotionTrack:
    """One pose repeated `count` times."""
    return MotionTrack(
        np.repeat(poses.root_m[[index]], count, axis=0),
        np.repeat(poses.rotations[[index]], count, axis=0),
    )


def direction(turn: Float[np.ndarray, "4"], lying: bool) -> float:
    """Heading of a pelvis on the floor in radians: its front, or its head end when lying."""
    if not lying:
        return float(rot.heading(turn))
    up = rot.to_matrix(turn)[:, 1]
    return float(np.arctan2(up[0], up[2]))


def join(
    first: MotionTrack, second: MotionTrack, overlap: int, aligned: bool = True
) -> MotionTrack:
    """Appends `second` where `first` ends, cross-faded over `overlap` poses.

    If `aligned`, `second` also takes over the heading; otherwise it keeps its own.
    """
    overlap = max(2, min(overlap, len(first), len(second)))
    mid = overlap // 2
    a, b = len(first) - overlap + mid, mid
    ends = (first.rotations[a, 0], second.rotations[b, 0])
    lying = aligned and min(rot.to_matrix(end)[1, 1] for end in ends) < _LYING
    yaw = direction(ends[0], lying) - direction(ends[1], lying)
    second = placed(second, yaw if aligned else 0.0, 0.0, 0.0)
    shift = (first.root_m[a] - second.root_m[b]) * [1.0, 0.0, 1.0]
    root = second.root_m + shift
    share = smoothstep(np.arange(1, overlap + 1) / (overlap + 1))
    mixed_root = first.root_m[-overlap:] + share[:, None] * (
        root[:overlap] - first.root_m[-overlap:]
    )
    mixed = rot.slerp(first.rotations[-overlap:], second.rotations[:overlap], share[:, None])
    return MotionTrack(
        np.concatenate([first.root_m[:-overlap], mixed_root, root[overlap:]]),
        np.concatenate([first.rotations[:-overlap], mixed, second.rotations[overlap:]]),
    )


def chain(
    parts: Sequence[MotionTrack], overlap_s: float = 0.4, aligned: bool = True
) -> MotionTrack:
    """Joins all parts in order, see `join`."""
    result = parts[0]
    for part in parts[1:]:
        result = join(result, part, round(overlap_s * POSES_PER_S), aligned)
    return result


def fitted(poses: MotionTrack, count: int, start: int = 0) -> MotionTrack:
    """`count` poses from `start` on; the last one repeats if there are too few."""
    index = np.minimum(np.arange(start, start + count), len(poses) - 1)
    return MotionTrack(poses.root_m[index], poses.rotations[index])
