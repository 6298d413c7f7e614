"""A clip as torchvision's `tv_tensors`, so that any v2 transform can be applied to it.

Frames have different numbers of people; here all are padded to N rows. Boxes are (T*N, 4), row n
of frame t at t*N + n, because `BoundingBoxes` are two-dimensional.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, KeyPoints, TVTensor, Video

from vepe.data.clip import Clip, People

Sample = dict[str, Any]
"""What `as_tv` returns and v2 transforms take: tensors by name."""


class Visibility(TVTensor):
    """(T, N, K) values of `People.visibility`; a type of its own for transforms."""


class Areas(TVTensor):
    """(T, N) areas of people in square pixels."""


def array_of(tensor: Tensor) -> np.ndarray:
    """A tensor of a sample as an array that shares its memory."""
    array: np.ndarray = tensor.as_subclass(Tensor).numpy()
    return array


def as_tv(clip: Clip) -> Sample:
    """The clip as a sample for transforms of `torchvision.transforms.v2`.

    Coordinates count from the outer corner of the first pixel, whose centre is at 0.5;
    torchvision's own geometric kernels count from its centre, so use those of this package.
    Any v2 transform that changes only pixels can be applied.

    Returns:
        A sample, where:
            images: Video (T, 3, H, W), a view of the clip's
            keypoints: KeyPoints (T, N, K, 2)
            visibility: Visibility (T, N, K)
            boxes: BoundingBoxes (T*N, 4)
            head_boxes: BoundingBoxes (T*N, 4), NaN where unknown; only if the clip has any
            ignore_boxes: BoundingBoxes (T*R, 4)
            areas: Areas (T, N)
            clip: the clip, for what no transform changes: ids, times, key frames, people per frame
    """
    frames, people = len(clip), clip.people
    counts = [len(p) for p in people]
    ignored = [len(p.ignore_boxes_xyxy_px) for p in people]
    n, r = max(counts, default=0), max(ignored, default=0)
    k = people[0].keypoints_px.shape[1]
    points = np.zeros((frames, n, k, 2), np.float32)
    visibility = np.zeros((frames, n, k), np.int64)
    boxes = np.zeros((frames, n, 4), np.float32)
    heads = np.full((frames, n, 4), np.nan, np.float32)
    areas = np.zeros((frames, n), np.float32)
    ignore = np.zeros((frames, r, 4), np.float32)
    for t, p in enumerate(people):
        count = counts[t]
        points[t, :count], visibility[t, :count] = p.keypoints_px, p.visibility
        boxes[t, :count], areas[t, :count] = p.boxes_xyxy_px, p.areas_px
        ignore[t, : ignored[t]] = p.ignore_boxes_xyxy_px
        if p.head_boxes_xyxy_px is not None:
            heads[t, :count] = p.head_boxes_xyxy_px
    size = (int(clip.images.shape[1]), int(clip.images.shape[2]))

    def as_boxes(array: np.ndarray) -> BoundingBoxes:
        rows = torch.from_numpy(array.reshape(-1, 4))
        return BoundingBoxes(rows, format="XYXY", canvas_size=size)

    sample: Sample = {
        "images": Video(torch.from_numpy(clip.images).permute(0, 3, 1, 2)),  # (T, 3, H, W)
        "keypoints": KeyPoints(torch.from_numpy(points), canvas_size=size),
        "visibility": torch.from_numpy(visibility).as_subclass(Visibility),
        "boxes": as_boxes(boxes),
        "ignore_boxes": as_boxes(ignore),
        "areas": torch.from_numpy(areas).as_subclass(Areas),
        "clip": clip,
    }
    if any(p.head_boxes_xyxy_px is not None for p in people):
        sample["head_boxes"] = as_boxes(heads)
    return sample


def from_tv(sample: Sample) -> Clip:
    """The clip of a sample, as `as_tv` makes them, after transforms."""
    before: Clip = sample["clip"]
    frames = len(before)
    arrays = {key: array_of(value) for key, value in sample.items() if isinstance(value, Tensor)}
    boxes = arrays["boxes"].reshape(frames, -1, 4)
    ignore = arrays["ignore_boxes"].reshape(frames, -1, 4)
    heads = arrays["head_boxes"].reshape(frames, -1, 4) if "head_boxes" in arrays else None
    people = []
    for t, original in enumerate(before.people):
        n, r = len(original), len(original.ignore_boxes_xyxy_px)
        people.append(
            People(
                keypoints_px=arrays["keypoints"][t, :n],
                visibility=arrays["visibility"][t, :n],
                boxes_xyxy_px=boxes[t, :n],
                areas_px=arrays["areas"][t, :n],
                track_ids=original.track_ids,
                ignore_boxes_xyxy_px=ignore[t, :r],
                head_boxes_xyxy_px=None if heads is None else heads[t, :n],
            )
        )
    return replace(before, images=arrays["images"].transpose(0, 2, 3, 1), people=tuple(people))
