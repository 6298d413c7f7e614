"""Mosaics: several clips in a grid on one canvas, after YOLOv4 (Bochkovskiy et al., 2020).

A data set that labels one person per image gives clips of several people in this way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from vepe.data.clip import Clip, People
from vepe.data.transforms.cropping import concat


@dataclass(frozen=True)
class Region:
    """A rectangle of the canvas in whole pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def draw_layout(
    rng: np.random.Generator, probabilities: tuple[float, ...], canvas_wh: tuple[int, int]
) -> list[Region]:
    """One region, two next to or above each other, or a grid of four or nine.

    `probabilities` are those of 1, 2, 4 and 9 regions; they need not add up to 1.
    """
    weights = np.asarray(probabilities, np.float64)
    kind = rng.choice(len(weights), p=weights / weights.sum())
    grids = [(1, 1), (2, 1) if rng.random() < 0.7 else (1, 2), (2, 2), (3, 3)]
    columns, rows = (
        _cuts(rng, count, side) for count, side in zip(grids[kind], canvas_wh, strict=True)
    )
    return [
        Region(x, y, right - x, bottom - y)
        for y, bottom in pairwise(rows)
        for x, right in pairwise(columns)
    ]


def _cuts(rng: np.random.Generator, parts: int, side: int) -> list[int]:
    """Borders of `parts` of roughly equal length, from 0 to `side`."""
    inner = (np.arange(1, parts) + rng.uniform(-0.3, 0.3, parts - 1)) * side / parts
    return [0, *(int(cut) for cut in inner), side]


def mosaic(clips: list[Clip], regions: list[Region]) -> Clip:
    """The clips on one canvas, each in its region, whose size its images must have.

    Times are those of the first clip. A frame is a key frame if it is one in all clips. The
    background weight is the smallest. Track ids of different clips stay different.
    """
    if len(clips) == 1:
        return clips[0]
    first = clips[0]
    width = max(r.x + r.width for r in regions)
    height = max(r.y + r.height for r in regions)
    images = np.zeros((len(first), height, width, 3), np.uint8)
    parts: list[list[People]] = [[] for _ in range(len(first))]
    next_id = 0
    for clip, r in zip(clips, regions, strict=True):
        images[:, r.y : r.y + r.height, r.x : r.x + r.width] = clip.images
        for frame, people in zip(parts, clip.people, strict=True):
            frame.append(_shifted(people, r, next_id))
        next_id += 1 + max((int(p.track_ids.max(initial=-1)) for p in clip.people), default=-1)
    keys = set(first.key_indices).intersection(*(c.key_indices for c in clips))
    nobody = People.empty(first.people[0].keypoints_px.shape[1])
    return replace(
        first,
        images=images,
        people=tuple(concat(p) if t in keys else nobody for t, p in enumerate(parts)),
        key_indices=tuple(sorted(keys)),
        background_weight=min(c.background_weight for c in clips),
        name=" + ".join(c.name for c in clips),
        unreadable=tuple(name for c in clips for name in c.unreadable),
    )


def _shifted(people: People, region: Region, first_id: int) -> People:
    """The same people in the region, with track ids from `first_id` on."""
    shift = np.array([region.x, region.y], np.float32)
    labelled = (people.visibility > 0)[..., None]  # (N, K, 1)
    heads, ids = people.head_boxes_xyxy_px, people.track_ids
    return replace(
        people,
        keypoints_px=people.keypoints_px + shift * labelled,
        boxes_xyxy_px=people.boxes_xyxy_px + np.tile(shift, 2),
        ignore_boxes_xyxy_px=people.ignore_boxes_xyxy_px + np.tile(shift, 2),
        head_boxes_xyxy_px=None if heads is None else heads + np.tile(shift, 2),
        track_ids=np.where(ids >= 0, ids + first_id, ids),
    )
