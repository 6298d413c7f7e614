"""Body-part motion: limbs of people in a still swing smoothly, and their keypoints with them.

Every bone of the skeleton moves rigidly; around it the picture follows less and less with the
distance, so that nothing tears. Bones on a ring of the skeleton (the trunk) hold together; the
others swing about the joint that is nearer to the ring. The maps point back, from a place in the
new picture to where its colour comes from; keypoints are moved by the inverse of the very map that
draws the picture, so that they agree to a fraction of a pixel. Ours.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes, KeyPoints, Video, wrap

from vepe.data.clip import People
from vepe.skeleton import Skeleton

MOST_PEOPLE = 4
"""People of a still that move; the others stand."""
LEAST_SIDE_PX = 48.0
"""Smaller people stand: nothing of it would be seen."""
NODES = 18
"""Nodes of a field along the longer side of its patch."""
MOST_ITERATIONS = 12
TOLERANCE_PX = 0.02
BORDER = np.array(
    [(u, v) for u in np.linspace(0, 1, 7) for v in np.linspace(0, 1, 7) if {u, v} & {0.0, 1.0}]
)
"""Places on the border of the unit square."""


@dataclass(frozen=True)
class Patch:
    """Where the map points back to, around one person, on a coarse grid.

    Attributes:
        corner_px: (2,) outer corner of the first cell; nodes lie in the middles of cells.
        step_px: side of a cell.
        back_px: (T, rows, columns, 2) from a place to where its colour comes from, less the place.
    """

    corner_px: Float[np.ndarray, "2"]
    step_px: float
    back_px: Float[np.ndarray, "T R C 2"]

    def at(self, points: Float[np.ndarray, "T N 2"]) -> Float[np.ndarray, "T N 2"]:
        """The field between its nodes, 0 outside of the patch."""
        rows, columns = self.back_px.shape[1:3]
        place = (points - self.corner_px) / self.step_px - 0.5
        last = np.array([columns, rows]) - 1
        inside = ((place > -0.5) & (place < last + 0.5)).all(axis=-1)
        place = np.maximum(np.minimum(place, last - 1e-3), 0)
        whole = place.astype(np.intp)
        part = place - whole
        flat = self.back_px.reshape(-1, 2)
        node = (np.arange(len(points))[:, None] * rows + whole[..., 1]) * columns + whole[..., 0]
        u, v = part[..., :1], part[..., 1:]
        top = flat[node] * (1 - u) + flat[node + 1] * u
        low = flat[node + columns] * (1 - u) + flat[node + columns + 1] * u
        return (top * (1 - v) + low * v) * inside[..., None]


class BodyMotion(v2.Transform):
    """The people of a still in motion: pictures, keypoints and boxes of T frames.

    Args:
        patches: one a moving person; they do not overlap.
    """

    _transformed_types = (Video, KeyPoints, BoundingBoxes)

    def __init__(self, patches: tuple[Patch, ...]) -> None:
        super().__init__()
        self.patches = patches

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """One tensor of the sample, moved (called by torchvision)."""
        if not self.patches:
            return inpt
        array = inpt.numpy()
        if isinstance(inpt, Video):
            moved = self._pictures(array.transpose(0, 2, 3, 1))
            return Video(torch.from_numpy(moved).permute(0, 3, 1, 2))
        rows = array.reshape(len(self.patches[0].back_px), -1, array.shape[-1])
        moved = self.forward_px(rows) if isinstance(inpt, KeyPoints) else self._boxes(rows)
        return wrap(torch.from_numpy(moved.reshape(array.shape)), like=inpt)

    def forward_px(self, points: Float[np.ndarray, "T N 2"]) -> Float[np.ndarray, "T N 2"]:
        """Where places of the still lie in every frame, by fixed-point iteration of the map."""
        result = points.astype(np.float64)
        for _ in range(MOST_ITERATIONS):
            better = points - sum((p.at(result) for p in self.patches), np.zeros(2))
            change, result = np.abs(better - result).max(initial=0), better
            if change < TOLERANCE_PX:
                break
        return result.astype(np.float32)

    def _boxes(self, boxes: Float[np.ndarray, "T N 4"]) -> Float[np.ndarray, "T N 4"]:
        """Boxes around the boxes' moved borders; NaN stays NaN."""
        known = np.isfinite(boxes).all(axis=-1, keepdims=True)
        whole = np.where(known, boxes, 0)[:, :, None]
        border = whole[..., :2] + (whole[..., 2:] - whole[..., :2]) * BORDER
        moved = self.forward_px(border.reshape(len(boxes), -1, 2)).reshape(border.shape)
        result = np.concatenate([moved.min(axis=2), moved.max(axis=2)], axis=-1)
        return np.where(known, result, np.nan).astype(np.float32)

    def _pictures(self, images: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "T H W 3"]:
        result = np.array(images, order="C")
        height, width = images.shape[1:3]
        for patch in self.patches:
            x0, y0 = np.maximum(np.ceil(patch.corner_px), 0).astype(int)
            rows, columns = patch.back_px.shape[1:3]
            end = patch.corner_px + patch.step_px * np.array([columns, rows])
            x1, y1 = np.minimum(np.floor(end).astype(int), (width, height))
            if x1 <= x0 or y1 <= y0:
                continue
            grid = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1, dtype=np.float32)
            # From pixels of the picture to nodes of the field, both counted from their middles.
            to_nodes = np.array([[1, 0, 0], [0, 1, 0]]) / patch.step_px
            to_nodes[:, 2] = (np.array([x0, y0]) + 0.5 - patch.corner_px) / patch.step_px - 0.5
            for t, field in enumerate(patch.back_px):
                if not field.any():
                    continue
                dense = cv2.warpAffine(
                    field,
                    to_nodes,
                    (x1 - x0, y1 - y0),
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                    borderMode=cv2.BORDER_REPLICATE,
                )
                result[t, y0:y1, x0:x1] = cv2.remap(
                    np.ascontiguousarray(images[t]),
                    grid + dense,
                    None,
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE,
                )
        return result


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
    nodes = area[:2] + np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    # The outermost two rings of nodes fade to 0, so that the patch has no seam.
    edge = np.minimum.outer(
        np.minimum(np.arange(rows), np.arange(rows)[::-1]),
        np.minimum(np.arange(columns), np.arange(columns)[::-1]),
    )
    field = np.zeros((len(sway), rows, columns, 2), np.float32)
    moving = angles.any(axis=0) | sway.any(axis=1)
    if moving.any():
        joints, turns, shifts = _bone_motions(bones, points, angles[:, moving], sway[moving])
        back = _back(nodes, joints, turns, shifts, thickness_px)
        field[moving] = back.reshape(-1, rows, columns, 2) * np.minimum(edge / 2, 1)[..., None]
    return Patch(area[:2].astype(np.float64), step, field)


def _bone_motions(
    bones: list[_Bone],
    points: Float[np.ndarray, "K 2"],
    angles: Float[np.ndarray, "bones T"],
    sway: Float[np.ndarray, "T 2"],
) -> tuple[
    Float[np.ndarray, "T bones 2 2"], Float[np.ndarray, "T bones 2 2"], Float[np.ndarray, "T bones 2"]
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
    place = np.minimum(np.maximum(from_start @ along / length2, 0), 1)
    off = from_start - place * along.swapaxes(-1, -2)
    distance = np.sqrt((off**2).sum(axis=-1)) / thickness_px
    weight = np.exp(-0.5 * (np.maximum(distance - 0.6, 0) / 1.1) ** 2)
    back = (nodes - shifts[:, :, None]) @ turns - nodes  # the inverse of a turn is its transpose
    sharp = weight**4
    mean = (sharp[..., None] * back).sum(axis=1) / np.maximum(sharp.sum(axis=1), 1e-12)[..., None]
    return mean * weight.max(axis=1)[..., None]
