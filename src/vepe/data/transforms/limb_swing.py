"""How limbs of people in a still swing, and the bent picture that shows it.

Every bone of the skeleton moves rigidly; around it the picture follows less and less with the
distance, so that nothing tears. Bones on a ring of the skeleton (the trunk) hold together; the
others swing about the joint that is nearer to the ring. Ours.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vepe.data.clip import People
from vepe.data.transforms.body_motion import BodyMotion, Patch
from vepe.skeleton import Skeleton

MOST_PEOPLE = 3
"""People of a still that move; the others stand."""
LEAST_SIDE_PX = 48.0
"""Smaller people stand: nothing of it would be seen."""
NODES = 16
"""Nodes of a field along the longer side of its patch."""
STEEPEST = 0.6
"""Where bones cross and swing apart, the whole swing is made smaller until the map is no steeper:
below 1 it cannot fold, and its inverse is found by iteration."""


def draw_body_motion(
    rng: np.random.Generator,
    people: People,
    time_s: Float[np.ndarray, "T"],
    skeleton: Skeleton,
    strength: float,
) -> BodyMotion:
    """A random motion of the people of a still; at the first time they stand as in the still.

    `strength` 1 swings limbs by some 0.12 rad (one sigma) a bone; 0 keeps all still. Two people
    whose patches overlap do not both move: the larger one does.
    """
    box_px = people.boxes_xyxy_px
    sides = (box_px[:, 2:] - box_px[:, :2]).max(axis=1, initial=0)
    patches: list[Patch] = []
    taken: list[np.ndarray] = []
    for i in np.argsort(-sides, kind="stable"):
        if len(patches) == MOST_PEOPLE or sides[i] < LEAST_SIDE_PX or strength <= 0:
            break
        margin = 0.25 * sides[i]
        area = np.concatenate([box_px[i, :2] - margin, box_px[i, 2:] + margin])
        labelled = people.visibility[i] > 0
        if labelled.sum() < 4 or any(_overlap(area, other) for other in taken):
            continue
        points = people.keypoints_px[i].astype(np.float64)
        bones = _bones(skeleton, points, labelled)
        swing = _draw_swing(rng, bones, sides[i], time_s, strength)
        patches.append(_patch(area, bones, points, swing, 0.05 * sides[i]))
        taken.append(area)
    return BodyMotion(tuple(patches))


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a[:2] < b[2:]).all() and (b[:2] < a[2:]).all())


@dataclass(frozen=True)
class _Bone:
    """A bone swings about keypoint `joint`; `parent` is the bone that carries it, or -1."""

    joint: int
    end: int
    parent: int
    rigid: bool


def _bones(
    skeleton: Skeleton, points: Float[np.ndarray, "K 2"], labelled: np.ndarray
) -> list[_Bone]:
    """Bones between labelled keypoints, parents first, outward from the rings of the skeleton.

    Parts that hang together with no ring start at the keypoint nearest to the body's middle.
    """
    links: dict[int, list[int]] = {int(k): [] for k in np.flatnonzero(labelled)}
    for a, b in skeleton.edges:
        if a in links and b in links:
            links[a].append(b)
            links[b].append(a)
    core = _on_rings(links)
    middle = points[sorted(core) if core else labelled].mean(axis=0)
    nearest = sorted(links, key=lambda k: float(np.hypot(*(points[k] - middle))))
    bones = [_Bone(a, b, -1, True) for a, b in skeleton.edges if a in core and b in core]
    seen: set[int] = set()
    for start in [*sorted(core), *nearest]:
        if start in seen:
            continue
        seen.add(start)
        queue = deque([(start, -1)])
        while queue:
            joint, parent = queue.popleft()
            for end in links[joint]:
                if end in seen or end in core:
                    continue
                seen.add(end)
                bones.append(_Bone(joint, end, parent, False))
                queue.append((end, len(bones) - 1))
    return bones


def _on_rings(links: dict[int, list[int]]) -> set[int]:
    """Keypoints that remain when loose ends are cut off again and again."""
    degree = {k: len(ends) for k, ends in links.items()}
    loose = [k for k, d in degree.items() if d <= 1]
    left = set(links) - set(loose)
    while loose:
        for end in links[loose.pop()]:
            degree[end] -= 1
            if end in left and degree[end] <= 1:
                left.discard(end)
                loose.append(end)
    return left


def _draw_swing(
    rng: np.random.Generator,
    bones: list[_Bone],
    side_px: float,
    time_s: Float[np.ndarray, "T"],
    strength: float,
) -> tuple[Float[np.ndarray, "bones T"], Float[np.ndarray, "T 2"]]:
    """Angles of the bones and the sway of the whole body, as slow waves that start at 0."""
    phase, speed = rng.uniform(0, 2 * np.pi, len(bones) + 1), rng.uniform(2, 9, len(bones) + 1)
    wave = np.sin(phase[:, None] + speed[:, None] * time_s) - np.sin(phase)[:, None]
    wave -= wave[:, :1]
    swings = np.array([not bone.rigid for bone in bones], float)
    angles = np.clip(rng.normal(0, 0.12, len(bones)), -0.25, 0.25) * strength * swings
    sway = np.clip(rng.normal(0, 0.015, 2), -0.03, 0.03) * side_px * strength
    return angles[:, None] * wave[:-1], sway * wave[-1][:, None]


def _patch(
    area: Float[np.ndarray, "4"],
    bones: list[_Bone],
    points: Float[np.ndarray, "K 2"],
    swing: tuple[np.ndarray, np.ndarray],
    thickness_px: float,
) -> Patch:
    """The field around one person."""
    angles, sway = swing
    size = area[2:] - area[:2]
    step = float(size.max()) / NODES
    columns, rows = (int(np.ceil(s / step)) + 1 for s in size)
    x, y = (np.arange(columns) + 0.5) * step, (np.arange(rows) + 0.5) * step
    nodes = (area[:2] + np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)).astype(np.float32)
    # The outermost two rings of nodes fade to 0, so that the patch has no seam.
    edge = np.minimum.outer(
        np.minimum(np.arange(rows), np.arange(rows)[::-1]),
        np.minimum(np.arange(columns), np.arange(columns)[::-1]),
    )
    field = np.zeros((len(sway), rows, columns, 2), np.float32)
    moving = angles.any(axis=0) | sway.any(axis=1)
    if moving.any():
        ends, turns, shifts = (
            part.astype(np.float32)
            for part in _bone_motions(bones, points, angles[:, moving], sway[moving])
        )
        back = _back(nodes, ends, turns, shifts, thickness_px)
        field[moving] = back.reshape(-1, rows, columns, 2) * np.minimum(edge / 2, 1)[..., None]
        field *= min(1.0, STEEPEST * step / max(_steepest(field), 1e-9))
    return Patch(area[:2].astype(np.float64), step, field)


def _steepest(field: Float[np.ndarray, "T R C 2"]) -> float:
    """The largest change between neighbouring nodes."""
    down, right = np.diff(field, axis=1)[:, :, :-1], np.diff(field, axis=2)[:, :-1]
    return float(np.sqrt((down**2 + right**2).sum(axis=-1).max(initial=0)))


def _bone_motions(
    bones: list[_Bone],
    points: Float[np.ndarray, "K 2"],
    angles: Float[np.ndarray, "bones T"],
    sway: Float[np.ndarray, "T 2"],
) -> tuple[
    Float[np.ndarray, "T bones 2 2"],
    Float[np.ndarray, "T bones 2 2"],
    Float[np.ndarray, "T bones 2"],
]:
    """Of each bone its two moved ends, and the rigid motion that took it there."""
    frames = len(sway)
    turns = np.empty((frames, len(bones), 2, 2))
    shifts, ends = np.empty((frames, len(bones), 2)), np.empty((frames, len(bones), 2, 2))
    cos, sin = np.cos(angles), np.sin(angles)
    for i, bone in enumerate(bones):
        linear, shift = np.eye(2)[None], sway
        if bone.parent >= 0:
            linear, shift = turns[:, bone.parent], shifts[:, bone.parent]
        turn = np.array([[cos[i], -sin[i]], [sin[i], cos[i]]]).transpose(2, 0, 1)
        joint = points[bone.joint]
        ends[:, i, 0] = linear @ joint + shift
        turns[:, i] = linear @ turn
        shifts[:, i] = ends[:, i, 0] - turns[:, i] @ joint
        ends[:, i, 1] = turns[:, i] @ points[bone.end] + shifts[:, i]
    return ends, turns, shifts


def _back(
    nodes: Float[np.ndarray, "M 2"],
    ends: Float[np.ndarray, "T bones 2 2"],
    turns: Float[np.ndarray, "T bones 2 2"],
    shifts: Float[np.ndarray, "T bones 2"],
    thickness_px: float,
) -> Float[np.ndarray, "T M 2"]:
    """Where the nodes' colours come from, less the nodes.

    Each bone maps back rigidly; the nearest bone counts most, and far from all nothing moves.
    """
    from_start = nodes - ends[:, :, :1]  # T bones M 2
    along = (ends[:, :, 1] - ends[:, :, 0])[..., None]
    length2 = np.maximum((along**2).sum(axis=2, keepdims=True), 1e-6)
    place = np.minimum(np.maximum(from_start @ (along / length2), 0), 1)
    off = from_start - place * along.swapaxes(-1, -2)
    distance = np.sqrt(off[..., 0] ** 2 + off[..., 1] ** 2) / thickness_px
    far = (np.maximum(distance - 0.6, 0) / 1.1) ** 2
    nearest = far.min(axis=1, keepdims=True)
    share = np.exp(-2 * (far - nearest))
    share /= share.sum(axis=1, keepdims=True)
    back = (nodes - shifts[:, :, None]) @ turns - nodes  # the inverse of a turn is its transpose
    mean = np.einsum("tbm,tbmc->tmc", share, back)
    result: np.ndarray = mean * np.exp(-0.5 * nearest[:, 0])[..., None]
    return result
