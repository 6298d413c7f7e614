"""A clip as torchvision's `tv_tensors`, so that any v2 transform can go over pictures and labels.

The T frames have different numbers of people; here each has N places, some of them empty. Boxes
stand row by row, place n of frame t in row t*N + n, because `BoundingBoxes` are a list.
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
"""What `as_tv` returns and v2 transforms take: a dictionary of tensors."""


class Visibility(TVTensor):
    """(T, N, K) values of `People.visibility`; a type, so that a transform can change them."""


class Areas(TVTensor):
    """(T, N) areas of people in square pixels."""


def array_of(tensor: Tensor) -> np.ndarray:
    """A tensor of a sample as an array that shares its memory.

    tv_tensors send every method through Python twice; this goes past them, as torchvision does.
    """
    with torch._C.DisableTorchFunctionSubclass():
        array: np.ndarray = tensor.numpy()
    return array


def as_tv(clip: Clip) -> Sample:
    """The clip as a sample for transforms of `torchvision.transforms.v2`.

    Coordinates count from the picture's outer corner (the middle of the first pixel is at 0.5);
    torchvision's own geometric kernels count from its middle. The transforms of this room keep to
    the first; those that change pixels only are torchvision's or ours alike.

    Returns:
        `images` Video (T, 3, H, W), a view of the clip's; `keypoints` KeyPoints (T, N, K, 2);
        `visibility` Visibility (T, N, K); `boxes` and, where the clip has them, `head_boxes`
        (NaN where unknown) BoundingBoxes (T*N, 4); `ignore_boxes` BoundingBoxes (T*R, 4);
        `areas` Areas (T, N); `clip` itself, for what no transform touches: identities, times, key
        frames, and how many of the places are taken.
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
        taken = counts[t]
        points[t, :taken], visibility[t, :taken] = p.keypoints_px, p.visibility
        boxes[t, :taken], areas[t, :taken] = p.boxes_xyxy_px, p.areas_px
        ignore[t, : ignored[t]] = p.ignore_boxes_xyxy_px
        if p.head_boxes_xyxy_px is not None:
            heads[t, :taken] = p.head_boxes_xyxy_px
    size = (int(clip.images.shape[1]), int(clip.images.shape[2]))

    def as_boxes(array: np.ndarray) -> BoundingBoxes:
        rows = torch.from_numpy(array.reshape(-1, 4))
        return BoundingBoxes(rows, format="XYXY", canvas_size=size)

    sample: Sample = {
        "images": Video(torch.from_numpy(clip.images).permute(0, 3, 1, 2)),
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
    """The clip of a sample; what no transform touches is as it was."""
    before: Clip = sample["clip"]
    frames = len(before)
    arrays = {key: array_of(value) for key, value in sample.items() if isinstance(value, Tensor)}
    boxes = arrays["boxes"].reshape(frames, -1, 4)
    ignore = arrays["ignore_boxes"].reshape(frames, -1, 4)
    heads = arrays["head_boxes"].reshape(frames, -1, 4) if "head_boxes" in arrays else None
    people = []
    for t, was in enumerate(before.people):
        n, r = len(was), len(was.ignore_boxes_xyxy_px)
        people.append(
            People(
                keypoints_px=arrays["keypoints"][t, :n],
                visibility=arrays["visibility"][t, :n],
                boxes_xyxy_px=boxes[t, :n],
                areas_px=arrays["areas"][t, :n],
                track_ids=was.track_ids,
                ignore_boxes_xyxy_px=ignore[t, :r],
                head_boxes_xyxy_px=None if heads is None else heads[t, :n],
            )
        )
    return replace(before, images=arrays["images"].transpose(0, 2, 3, 1), people=tuple(people))
