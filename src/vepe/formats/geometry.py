"""Conversions that several formats share: boxes, visibility flags, and rounding of results."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from vepe.formats.annotations import FormatName, Person


def xywh_to_xyxy(box_xywh: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """A box x, y, width, height as its corners x1, y1, x2, y2; pixels."""
    return np.concatenate([box_xywh[:2], box_xywh[:2] + box_xywh[2:]])


def xyxy_to_xywh(box_xyxy: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
    """A box given by its corners x1, y1, x2, y2 as x, y, width, height; pixels.

    Width and height are moved by one unit in the last place if `xywh_to_xyxy` then returns
    exactly the same corners.
    """
    low, high = box_xyxy[:2], box_xyxy[2:]
    size = high - low
    for candidate in (np.nextafter(size, -np.inf), np.nextafter(size, np.inf)):
        size = np.where((low + size != high) & (low + candidate == high), candidate, size)
    return np.concatenate([low, size])


def person_box(person: Person) -> Float[np.ndarray, "4"] | None:
    """The body box x, y, width, height: the file's, or the extent of the present keypoints."""
    if person.box_xywh_px is not None:
        return person.box_xywh_px
    if not person.present.any():
        return None
    points = person.keypoints_px[person.present]
    low = points.min(axis=0)
    return np.concatenate([low, points.max(axis=0) - low])


def posetrack_visibility(person: Person, source: FormatName) -> Float[np.ndarray, "K"]:
    """Visibility as PoseTrack has it: 1 visible, 0 hidden or absent, NaN if not stated."""
    if source != "coco":
        return person.visibility
    return np.where(person.present, person.visibility - 1, 0.0)


def coco_visibility(person: Person, source: FormatName) -> Float[np.ndarray, "K"]:
    """Visibility as COCO has it: 2 visible (or not stated), 1 hidden, 0 absent."""
    if source == "coco":
        return np.where(np.isnan(person.visibility), 2.0, person.visibility)
    hidden = person.visibility == 0
    return np.where(person.present, np.where(hidden, 1.0, 2.0), 0.0)


COORDINATE_DECIMALS = 3
SCORE_DECIMALS = 6
"""Decimals of written results: enough for any metric, few enough for small files."""


def rounded(values: Any, decimals: int) -> np.ndarray:
    """The values as float64, rounded so that they print short (without float32 noise)."""
    return np.round(np.asarray(values, np.float64), decimals)


def flat_numbers(values: np.ndarray) -> list[float | int]:
    """All values as one flat list; whole numbers become int, which keeps `v` an integer."""
    return [int(v) if v.is_integer() else v for v in values.ravel().tolist()]
