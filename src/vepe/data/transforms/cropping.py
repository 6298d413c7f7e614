"""Labels of people of whom only a part is in view: cut at the border, or covered by something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.data.clip import HIDDEN, UNLABELLED, People

MIN_LABELLED = 2
"""People with fewer labelled keypoints in view become ignore boxes."""
MIN_SIDE_PX = 12.0
"""People whose longer side on the canvas is shorter become ignore boxes."""
MIN_AREA_FRACTION = 0.05
"""The area of people cut by the border is at least this fraction of the whole."""
MAX_COVERED = 0.7
"""People with a larger fraction of their visible keypoints covered become ignore boxes."""


def in_view(people: People, size_wh: tuple[int, int]) -> People:
    """The labels cut at the image border; keypoints outside become unlabelled.

    People of whom too little is left become ignore boxes; those entirely outside are removed.
    Areas shrink with the boxes, because COCO's are those of the visible part: otherwise OKS would
    allow the single visible knee of a person an error on the scale of the whole body.
    """
    width, height = size_wh
    high = np.array([width, height], np.float32)
    points = people.keypoints_px
    inside = ((points >= 0) & (points < high)).all(axis=-1)
    visibility = np.where(inside, people.visibility, UNLABELLED)
    points = np.where((visibility > 0)[..., None], points, 0).astype(np.float32)
    border = np.tile(high, 2)
    boxes = _clipped(people.boxes_xyxy_px, border)
    heads = people.head_boxes_xyxy_px
    if heads is not None:
        heads = _clipped(heads, border)
        gone = ~((heads[:, 2:] - heads[:, :2]) > 0).all(axis=1)
        heads[gone] = np.nan
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    enough = min(MIN_LABELLED, visibility.shape[1])
    good = (np.count_nonzero(visibility, axis=1) >= enough) & (side >= MIN_SIDE_PX)
    ignore = _clipped(people.ignore_boxes_xyxy_px, border)
    ignored = np.concatenate([ignore, boxes[~good]])
    cropped = People(
        keypoints_px=points,
        visibility=visibility,
        boxes_xyxy_px=boxes,
        areas_px=people.areas_px * _fraction_in_view(people.boxes_xyxy_px, boxes),
        track_ids=people.track_ids,
        ignore_boxes_xyxy_px=ignored[((ignored[:, 2:] - ignored[:, :2]) > 1).all(axis=1)],
        head_boxes_xyxy_px=heads,
    )
    return cropped if good.all() else cropped.select(good)


def _fraction_in_view(
    boxes: Float[np.ndarray, "N 4"], clipped: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, "N"]:
    """The fraction of each box's area that is left, `MIN_AREA_FRACTION` to 1."""
    before, after = (np.prod(np.maximum(b[:, 2:] - b[:, :2], 0), axis=1) for b in (boxes, clipped))
    fraction = after / np.maximum(before, 1e-6)
    return np.clip(np.where(before > 0, fraction, 1), MIN_AREA_FRACTION, 1).astype(np.float32)


def _clipped(boxes: Float[np.ndarray, "N 4"], border: Float[np.ndarray, "4"]) -> np.ndarray:
    result: np.ndarray = np.maximum(np.minimum(boxes, border), 0)  # np.clip is slow on small arrays
    return result


def behind(
    people: People,
    cover: Float[np.ndarray, "H W"],
    behind_it: Bool[np.ndarray, "N"] | None = None,
) -> People:
    """The labels of people who are partly behind something.

    Args:
        people: of one frame.
        cover: 0..1, how much of each pixel is covered.
        behind_it: which people are behind the cover; all by default.

    Returns:
        The people, where covered keypoints are HIDDEN, and people with more than `MAX_COVERED` of
        their visible keypoints covered are ignore boxes.
    """
    height, width = cover.shape
    x, y = np.floor(people.keypoints_px).astype(np.int64).transpose(2, 0, 1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    hit = inside & (cover[y.clip(0, height - 1), x.clip(0, width - 1)] > 0.5)
    hit &= people.visibility > HIDDEN
    if behind_it is not None:
        hit &= behind_it[:, None]
    visibility = np.where(hit, HIDDEN, people.visibility)
    return without_covered(replace(people, visibility=visibility), people.visibility)


def without_covered(people: People, before: Int[np.ndarray, "N K"]) -> People:
    """People who are mostly covered become ignore boxes.

    Args:
        people: labels in which covered keypoints are HIDDEN.
        before: their visibility without the cover.
    """
    visible = np.count_nonzero(before > HIDDEN, axis=1)
    covered = visible - np.count_nonzero(people.visibility > HIDDEN, axis=1)
    lost = covered > MAX_COVERED * visible
    if not lost.any():
        return people
    ignored = np.concatenate([people.ignore_boxes_xyxy_px, people.boxes_xyxy_px[lost]])
    return replace(people.select(~lost), ignore_boxes_xyxy_px=ignored)


def concat(parts: list[People]) -> People:
    """The people of several parts of an image as those of one frame."""
    if len(parts) == 1:
        return parts[0]
    heads = None
    if any(p.head_boxes_xyxy_px is not None for p in parts):
        heads = np.concatenate([_heads(p) for p in parts])
    return People(
        np.concatenate([p.keypoints_px for p in parts]),
        np.concatenate([p.visibility for p in parts]),
        np.concatenate([p.boxes_xyxy_px for p in parts]),
        np.concatenate([p.areas_px for p in parts]),
        np.concatenate([p.track_ids for p in parts]),
        np.concatenate([p.ignore_boxes_xyxy_px for p in parts]),
        heads,
    )


def _heads(people: People) -> Float[np.ndarray, "N 4"]:
    known = people.head_boxes_xyxy_px
    return np.full((len(people), 4), np.nan, np.float32) if known is None else known
