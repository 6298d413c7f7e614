"""A clip: a short video with the labelled people in it, as all sources give it.

Dimension letters: T frames, N people in a frame, K keypoints, R ignore regions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

UNLABELLED, HIDDEN, VISIBLE = 0, 1, 2
"""Values of `People.visibility`, as in COCO: 0 unlabelled, 1 labelled but hidden, 2 visible."""


@dataclass(frozen=True)
class People:
    """The labelled people of one frame.

    Attributes:
        keypoints_px: (N, K, 2) x, y in pixels, origin at the image's top left corner; zero
            where `visibility` is 0.
        visibility: (N, K) 2 visible, 1 labelled but hidden, 0 unlabelled.
        boxes_xyxy_px: (N, 4) body boxes, cut at the image border.
        areas_px: (N,) area in square pixels for OKS, on the scale of COCO's segments.
        track_ids: (N,) identity within the clip, -1 where unknown.
        ignore_boxes_xyxy_px: (R, 4) regions with unlabelled people: no loss there.
        head_boxes_xyxy_px: (N, 4) head boxes, NaN where unknown; None if the data set has none.
    """

    keypoints_px: Float[np.ndarray, "N K 2"]
    visibility: Int[np.ndarray, "N K"]
    boxes_xyxy_px: Float[np.ndarray, "N 4"]
    areas_px: Float[np.ndarray, "N"]
    track_ids: Int[np.ndarray, "N"]
    ignore_boxes_xyxy_px: Float[np.ndarray, "R 4"]
    head_boxes_xyxy_px: Float[np.ndarray, "N 4"] | None = None

    def __len__(self) -> int:
        return len(self.track_ids)

    def select(self, index: Int[np.ndarray, "M"] | Bool[np.ndarray, "N"]) -> People:
        """The people at `index` (integers or a mask), in that order; all ignore regions."""
        heads = self.head_boxes_xyxy_px
        return People(
            keypoints_px=self.keypoints_px[index],
            visibility=self.visibility[index],
            boxes_xyxy_px=self.boxes_xyxy_px[index],
            areas_px=self.areas_px[index],
            track_ids=self.track_ids[index],
            ignore_boxes_xyxy_px=self.ignore_boxes_xyxy_px,
            head_boxes_xyxy_px=None if heads is None else heads[index],
        )

    @staticmethod
    def empty(num_keypoints: int) -> People:
        """No people and no ignore regions."""
        return People(
            keypoints_px=np.zeros((0, num_keypoints, 2), np.float32),
            visibility=np.zeros((0, num_keypoints), np.int64),
            boxes_xyxy_px=np.zeros((0, 4), np.float32),
            areas_px=np.zeros(0, np.float32),
            track_ids=np.zeros(0, np.int64),
            ignore_boxes_xyxy_px=np.zeros((0, 4), np.float32),
        )


@dataclass(frozen=True)
class Clip:
    """A short video and its labels.

    Attributes:
        images: (T, H, W, 3) uint8 RGB.
        time_s: (T,) float64 timestamps in seconds, ascending.
        people: T entries, one per frame.
        key_indices: the labelled frames, ascending. Only they cause loss; the others give
            context, and their `people` are empty.
        background_weight: weight of predictions away from all labelled people as background: 1 if
            everybody in view is labelled, 0 if nothing is known, between if unlabelled people are
            unlikely.
        name: where the clip comes from, for messages.
        unreadable: messages about images that could not be read and that this clip replaces.
    """

    images: UInt8[np.ndarray, "T H W 3"]
    time_s: Float[np.ndarray, "T"]
    people: tuple[People, ...]
    key_indices: tuple[int, ...]
    background_weight: float
    name: str
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)
