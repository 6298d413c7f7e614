"""Clips whose pictures are black but for a soft white dot at every keypoint."""

from __future__ import annotations

import numpy as np

from vepe.data.clip import Clip, People
from vepe.data.transforms.affine import repeated


def people_at(points: np.ndarray) -> People:
    """People whose boxes fit their keypoints with some room, with head boxes and an ignore box."""
    low, high = points.min(axis=1) - 6, points.max(axis=1) + 6
    heads = np.concatenate([points[:, 0] - 4, points[:, 0] + 4], axis=1)
    return People(
        keypoints_px=points.astype(np.float32),
        visibility=np.full(points.shape[:2], 2),
        boxes_xyxy_px=np.concatenate([low, high], axis=1).astype(np.float32),
        areas_px=np.prod(high - low, axis=1).astype(np.float32),
        track_ids=np.arange(len(points)) + 10,
        ignore_boxes_xyxy_px=np.array([[2, 3, 30, 40]], np.float32),
        head_boxes_xyxy_px=heads.astype(np.float32),
    )


def dotted(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture of one frame."""
    image = np.zeros((height, width), np.float32)
    y, x = np.mgrid[:height, :width] + 0.5
    for px, py in points.reshape(-1, 2):
        image = np.maximum(image, np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8))
    return (image * 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def grid_points(rng: np.random.Generator, people: int = 1) -> np.ndarray:
    """(people, 15, 2) points far from each other, in a picture of 170 x 190 pixels a person."""
    grid = np.stack(np.meshgrid([40, 80, 120], [30, 60, 90, 120, 150]), axis=-1).reshape(1, 15, 2)
    shift = np.arange(people)[:, None, None] * (170, 0)
    return grid + shift + rng.uniform(-4, 4, (people, 15, 2))


def still_clip_of(points: np.ndarray, width: int, height: int, frames: int = 3) -> Clip:
    """A still with dots as a clip, 0.2 s from frame to frame."""
    return Clip(
        images=repeated(dotted(points, width, height), frames),
        time_s=np.arange(frames) * 0.2,
        people=(people_at(points),) * frames,
        key_indices=tuple(range(frames)),
        background_weight=1.0,
        name="dots",
    )


def brightest_near(image: np.ndarray, point: np.ndarray, reach: int = 5) -> np.ndarray:
    """Centre of mass of what is bright around a point."""
    x0, y0 = (np.floor(point) - reach).astype(int)
    patch = image[max(y0, 0) : y0 + 2 * reach + 1, max(x0, 0) : x0 + 2 * reach + 1, 0].astype(float)
    y, x = np.mgrid[: patch.shape[0], : patch.shape[1]] + 0.5
    return np.array([(x * patch).sum(), (y * patch).sum()]) / patch.sum() + (max(x0, 0), max(y0, 0))


def largest_miss_px(clip: Clip, margin: float = 8) -> tuple[float, int]:
    """How far any labelled keypoint is from its dot, and how many were looked at."""
    worst, seen = 0.0, 0
    for image, people in zip(clip.images, clip.people, strict=True):
        size = np.array(image.shape[1::-1])
        for point in people.keypoints_px[people.visibility > 0]:
            if (point > margin).all() and (point < size - margin).all():
                worst = max(worst, float(np.abs(brightest_near(image, point) - point).max()))
                seen += 1
    return worst, seen
