"""Black images with a soft white dot at every keypoint, and where those dots are.

Dimension letters: N people, K keypoints.
"""

from __future__ import annotations

import numpy as np

from vepe.data.clip import Clip, People
from vepe.data.transforms.affine import repeated


def dotted(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W, 3) image with a dot at each of the (..., 2) points."""
    image = np.zeros((height, width), np.float32)
    y, x = np.mgrid[:height, :width] + 0.5
    for px, py in points.reshape(-1, 2):
        image = np.maximum(image, np.exp(-((x - px) ** 2 + (y - py) ** 2) / 7))
    return (image * 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def people_at(points: np.ndarray) -> People:
    """People with (N, K, 2) keypoints, boxes 6 px around them, head boxes and an ignore box."""
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


def grid_points(rng: np.random.Generator, people: int = 1) -> np.ndarray:
    """(N, 15, 2) points far from each other, in an image of 170 x 190 pixels per person."""
    grid = np.stack(np.meshgrid([40, 80, 120], [30, 60, 90, 120, 150]), axis=-1).reshape(1, 15, 2)
    shift = np.arange(people)[:, None, None] * (170, 0)
    return grid + shift + rng.uniform(-4, 4, (people, 15, 2))


def still_clip_of(points: np.ndarray, width: int, height: int, frames: int = 3) -> Clip:
    """A dotted image as a clip, 0.2 s from frame to frame."""
    return Clip(
        images=repeated(dotted(points, width, height), frames),
        time_s=np.arange(frames) * 0.2,
        people=(people_at(points),) * frames,
        key_indices=tuple(range(frames)),
        background_weight=1.0,
        name="dots",
    )


def dot_near(image: np.ndarray, point: np.ndarray, radius: int = 5) -> np.ndarray:
    """Centre of mass of the bright pixels around a point."""
    x0, y0 = np.maximum(np.floor(point).astype(int) - radius, 0)
    patch = image[y0 : y0 + 2 * radius + 1, x0 : x0 + 2 * radius + 1].mean(axis=2)
    patch = np.clip(patch - 0.35 * patch.max(), 0, None)
    y, x = np.mgrid[: patch.shape[0], : patch.shape[1]] + 0.5
    return np.array([(x * patch).sum(), (y * patch).sum()]) / patch.sum() + (x0, y0)


def max_error_px(clip: Clip, margin: float = 8) -> tuple[float, int]:
    """Largest distance of a labelled keypoint from its dot along x or y, and keypoints compared.

    Keypoints less than `margin` pixels from the border are left out.
    """
    worst, count = 0.0, 0
    for image, people in zip(clip.images, clip.people, strict=True):
        high = np.array(image.shape[1::-1]) - margin
        for point in people.keypoints_px[people.visibility > 0]:
            if (point > margin).all() and (point < high).all():
                worst = max(worst, float(np.abs(dot_near(image, point) - point).max()))
                count += 1
    return worst, count
