"""Boxes between their two spellings: corners and corner with size, in pixels.

Visibility in PoseTrack's words (0 hidden, 1 seen) and in COCO's (0 none, 1 hidden, 2 seen).

Decimals of written results: enough for any metric, few enough for small files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from vepe.formats.annotations import FormatName, Person


def xyxy(box_xywh: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """x, y, width, height to x1, y1, x2, y2."""
    return np.concatenate([box_xywh[:2], box_xywh[:2] + box_xywh[2:]])


def xywh(box_xyxy: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """x1, y1, x2, y2 to x, y, width, height.

    Width and height are moved by one unit in the last place where that makes `xyxy` give the
    corners back exactly.
    """
    low, high = box_xyxy[:2], box_xyxy[2:]
    size = high - low
    for candidate in (np.nextafter(size, -np.inf), np.nextafter(size, np.inf)):
        size = np.where((low + size != high) & (low + candidate == high), candidate, size)
    return np.concatenate([low, size])


def person_box(person: Person) -> Float[np.ndarray, "4"] | None:
    """The body box x, y, width, height: the file's, else the extent of the present keypoints."""
    if person.box_xywh_px is not None:
        return person.box_xywh_px
    if not person.present.any():
        return None
    points = person.keypoints_px[person.present]
    low = points.min(axis=0)
    return np.concatenate([low, points.max(axis=0) - low])


def posetrack_visibility(person: Person, source: FormatName) -> Float[np.ndarray, "K"]:
    """1 seen, 0 hidden or absent, NaN where the source does not say."""
    if source != "coco":
        return person.visibility
    return np.where(person.present, person.visibility - 1, 0.0)


def coco_visibility(person: Person, source: FormatName) -> Float[np.ndarray, "K"]:
    """2 seen (or not said), 1 hidden, 0 absent."""
    if source == "coco":
        return np.where(np.isnan(person.visibility), 2.0, person.visibility)
    hidden = person.visibility == 0
    return np.where(person.present, np.where(hidden, 1.0, 2.0), 0.0)


COORDINATE_DECIMALS = 3
SCORE_DECIMALS = 6


def rounded(values: Any, decimals: int) -> np.ndarray:
    """The values as float64, rounded so that they print short (float32 noise is gone)."""
    return np.round(np.asarray(values, np.float64), decimals)


def short(values: np.ndarray) -> list[float | int]:
    """All values as one flat list; whole ones without '.0', which keeps v an integer."""
    return [int(v) if v.is_integer() else v for v in values.ravel().tolist()]
