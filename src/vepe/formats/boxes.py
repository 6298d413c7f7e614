"""Boxes between their two spellings: corners and corner with size, in pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vepe.formats.annotations import Person


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
