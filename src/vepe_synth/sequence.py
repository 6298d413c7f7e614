"""Poses one after another: turning, moving, slowing and joining them without a jump."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vepe_synth import rotations as rot
from vepe_synth.motions import Motion, PoseTrack

POSES_PER_S = 30.0
"""Sampling rate of all planned poses."""
_LYING = 0.5
"""A pelvis whose own up axis rises less than this is taken for lying or crawling."""


def frame_count(duration_s: float) -> int:
    """Poses that cover a duration, both ends included."""
    return int(np.ceil(duration_s * POSES_PER_S)) + 1


def smoothstep(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """From 0 to 1 with rest at both ends; held outside."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def cut(
    motion: Motion,
    speed: float = 1.0,
    start_s: float = 0.0,
    duration_s: float | None = None,
    backwards: bool = False,
) -> PoseTrack:
    """A piece of a motion at `speed` times its pace, from `start_s` on, to its end by default."""
    length = motion.duration_s - start_s if duration_s is None else duration_s * speed
    times = start_s + np.arange(frame_count(length / speed)) * speed / POSES_PER_S
    if not motion.cyclic:
        times = np.minimum(times, motion.duration_s)
    return motion.sample(times[::-1] if backwards else times)


def placed(poses: PoseTrack, yaw: float, x: float, z: float) -> PoseTrack:
    """The poses turned about the origin by `yaw`, then moved over the floor."""
    turn = rot.about_y(np.array(yaw))
    turned = np.array(poses.rotations)
    turned[:, 0] = rot.multiply(np.broadcast_to(turn, (len(poses), 4)), turned[:, 0])
    return PoseTrack(poses.root_m @ rot.to_matrix(turn).T + [x, 0.0, z], turned)


def held(poses: PoseTrack, index: int, count: int) -> PoseTrack:
    """One pose, `count` times."""
    return PoseTrack(
        np.repeat(poses.root_m[[index]], count, axis=0),
        np.repeat(poses.rotations[[index]], count, axis=0),
    )


def direction(turn: Float[np.ndarray, "4"], lying: bool) -> float:
    """Where a pelvis points over the floor, radians: its front, or its head end when lying."""
    if not lying:
        return float(rot.heading(turn))
    up = rot.to_matrix(turn)[:, 1]
    return float(np.arctan2(up[0], up[2]))


def join(first: PoseTrack, second: PoseTrack, overlap: int, aligned: bool = True) -> PoseTrack:
    """`second` after `first`, moved to go on from there, mixed over `overlap` poses.

    It is turned, too, unless `aligned` is false: then it keeps its own direction.
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
    return PoseTrack(
        np.concatenate([first.root_m[:-overlap], mixed_root, root[overlap:]]),
        np.concatenate([first.rotations[:-overlap], mixed, second.rotations[overlap:]]),
    )


def chain(parts: Sequence[PoseTrack], overlap_s: float = 0.4, aligned: bool = True) -> PoseTrack:
    """All parts joined in order, with `join`."""
    result = parts[0]
    for part in parts[1:]:
        result = join(result, part, round(overlap_s * POSES_PER_S), aligned)
    return result


def fitted(poses: PoseTrack, count: int, start: int = 0) -> PoseTrack:
    """`count` poses from `start` on; the last is held where there are too few."""
    index = np.minimum(np.arange(start, start + count), len(poses) - 1)
    return PoseTrack(poses.root_m[index], poses.rotations[index])
