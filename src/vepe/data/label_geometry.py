"""Boxes, areas and ignore regions as training needs them, from what annotation files say."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float

from vepe.formats.annotations import Person
from vepe.formats.boxes import xyxy

AREA_OF_BOX = 0.53
"""Area of COCO's segments in units of their box, as CrowdPose's and PoseTrack18's tools take it
(`area = 0.53 * width * height` in xtcocotools)."""
BOX_OF_POINTS = 1.3
"""Side of a body box in units of the extent of its keypoints, as in PoseTrack18's files."""
BANDS = 8
"""Bands that a polygon is cut into at most, one below the other."""
BAND_PX = 32
"""Bands are not lower than this; small polygons stay one box."""
_GRID = 256


def body_box(person: Person) -> Float[np.ndarray, "4"] | None:
    """The body box as x1, y1, x2, y2: the file's, else around keypoints and head, else None."""
    if person.box_xywh_px is not None:
        return xyxy(person.box_xywh_px)
    head = person.head_box_xyxy_px
    corners = [] if head is None else [head[:2], head[2:]]
    if person.present.any():
        points = person.keypoints_px[person.present]
        low, high = points.min(axis=0), points.max(axis=0)
        reach = (high - low) * (BOX_OF_POINTS - 1) / 2
        corners += [low - reach, high + reach]
    if not corners:
        return None
    return np.concatenate([np.min(corners, axis=0), np.max(corners, axis=0)])


def cut_box(
    box_xyxy: Float[np.ndarray, "4"], size_wh: tuple[int, int] | None
) -> Float[np.ndarray, "4"]:
    """The box within the picture, where its size is known."""
    if size_wh is None:
        return box_xyxy
    return np.clip(box_xyxy, 0, np.tile(np.asarray(size_wh, np.float64), 2))


def person_area(person: Person, box_xyxy: Float[np.ndarray, "4"]) -> float:
    """Area in square pixels on the scale of COCO's segments: the file's, else from the box."""
    area = person.extra.get("area")
    if isinstance(area, int | float) and area > 0:
        return float(area)
    return max(AREA_OF_BOX * float(np.prod(box_xyxy[2:] - box_xyxy[:2])), 1.0)


def ignore_boxes(polygon_px: Float[np.ndarray, "V 2"]) -> list[Float[np.ndarray, "4"]]:
    """Boxes (x1, y1, x2, y2) that cover a polygon, closer than the one box around it.

    The polygon is cut into bands; in each, every stretch that it touches becomes
    a box. Fewer than three corners give none.
    """
    if len(polygon_px) < 3:
        return []
    low, high = polygon_px.min(axis=0), polygon_px.max(axis=0)
    unit = np.maximum(high - low, 1e-6) / _GRID
    cells = np.rint((polygon_px - low) / unit).astype(np.int32)
    mask = np.zeros((_GRID + 1, _GRID + 1), np.uint8)
    cv2.fillPoly(mask, [cells], 1)
    bands = int(np.clip((high[1] - low[1]) // BAND_PX, 1, BANDS))
    edges = np.linspace(0, _GRID, bands + 1).astype(int)
    boxes: list[np.ndarray] = []
    for top, bottom in pairwise(edges.tolist()):
        # An edge of the polygon that runs along a border belongs to the band on its inner side.
        touched = mask[top + 1 : bottom].any(axis=0).astype(np.int8)
        turns = np.flatnonzero(np.diff(touched, prepend=0, append=0)).reshape(-1, 2)
        for left, right in turns:
            corner = low + unit * (left, top)
            boxes.append(np.concatenate([corner, low + unit * (min(right, _GRID), bottom)]))
    return boxes
