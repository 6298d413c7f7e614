"""What remains of people's labels when only a part of them can be seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.data.clip import HIDDEN, UNLABELLED, People

MIN_LABELLED = 2
"""People with fewer labelled keypoints in view become ignore boxes."""
MIN_SIDE_PX = 12.0
"""People whose longer side is smaller on the canvas become ignore boxes."""
LEAST_SHARE = 0.05
"""The area of people cut by the border shrinks to this share at most."""
MOST_COVERED = 0.7
"""People with a larger share of their visible keypoints covered become ignore boxes."""


def in_view(people: People, size_wh: tuple[int, int]) -> People:
    """The labels cut at a picture's border. Keypoints out of it lose their label.

    People of whom too little is left become ignore boxes; those entirely outside disappear. Areas
    shrink with the boxes, as COCO's are those of what is seen: else a knee that is all that is
    left of somebody could lie a whole body's tolerance away.
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
    unsure = _clipped(people.ignore_boxes_xyxy_px, border)
    ignored = np.concatenate([unsure, boxes[~good]])
    seen = People(
        keypoints_px=points,
        visibility=visibility,
        boxes_xyxy_px=boxes,
        areas_px=people.areas_px * _share_in_view(people.boxes_xyxy_px, boxes),
        track_ids=people.track_ids,
        ignore_boxes_xyxy_px=ignored[((ignored[:, 2:] - ignored[:, :2]) > 1).all(axis=1)],
        head_boxes_xyxy_px=heads,
    )
    return seen if good.all() else seen.select(good)


def _share_in_view(
    whole: Float[np.ndarray, "N 4"], seen: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, "N"]:
    """How much of each box is left, `LEAST_SHARE` to 1."""
    before, after = (np.prod(np.maximum(b[:, 2:] - b[:, :2], 0), axis=1) for b in (whole, seen))
    share = after / np.maximum(before, 1e-6)
    return np.clip(np.where(before > 0, share, 1), LEAST_SHARE, 1).astype(np.float32)


def _clipped(boxes: Float[np.ndarray, "N 4"], border: Float[np.ndarray, "4"]) -> np.ndarray:
    result: np.ndarray = np.maximum(np.minimum(boxes, border), 0)  # np.clip is slow on small arrays
    return result


def behind(
    people: People,
    cover: Float[np.ndarray, "H W"],
    who: Bool[np.ndarray, "N"] | None = None,
) -> People:
    """The labels of people of whom something else covers a part.

    Args:
        people: of one frame.
        cover: 0..1, how much of each pixel is covered.
        who: the people that are behind it; all by default.

    Returns:
        covered keypoints are HIDDEN; people of whom more than `MOST_COVERED` of the visible
        keypoints got covered are ignore boxes.
    """
    height, width = cover.shape
    x, y = np.floor(people.keypoints_px).astype(np.int64).transpose(2, 0, 1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    hit = inside & (cover[y.clip(0, height - 1), x.clip(0, width - 1)] > 0.5)
    hit &= people.visibility > HIDDEN
    if who is not None:
        hit &= who[:, None]
    visibility = np.where(hit, HIDDEN, people.visibility)
    return without_covered(replace(people, visibility=visibility), people.visibility)


def without_covered(people: People, before: Int[np.ndarray, "N K"]) -> People:
    """People of whom most got covered become ignore boxes.

    Args:
        people: labels in which covered keypoints are HIDDEN.
        before: the visibility before something covered them.
    """
    visible = np.count_nonzero(before > HIDDEN, axis=1)
    covered = visible - np.count_nonzero(people.visibility > HIDDEN, axis=1)
    lost = covered > MOST_COVERED * visible
    if not lost.any():
        return people
    ignored = np.concatenate([people.ignore_boxes_xyxy_px, people.boxes_xyxy_px[lost]])
    return replace(people.select(~lost), ignore_boxes_xyxy_px=ignored)


def together(parts: list[People]) -> People:
    """The people of several parts of a picture as one frame's."""
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
