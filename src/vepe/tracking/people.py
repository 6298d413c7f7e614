"""What the tracker needs to know of a person's pose: keypoint weights, place and size."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.types import FramePoses

MIN_SIZE_PX = 12.0
"""People count as at least this large; the size of a pose of one keypoint."""

_WEIGHT_FLOOR = 1e-3  # a person whose keypoints all have confidence 0 still has a place


def keypoint_weights(keypoint_scores: Float[np.ndarray, "P K"]) -> Float[np.ndarray, "P K"]:
    """Weights in 1e-3..1 from keypoint confidences; never all zero."""
    return np.clip(keypoint_scores, 0.0, 1.0).astype(np.float64) + _WEIGHT_FLOOR


def person_sizes(
    keypoints_px: Float[np.ndarray, "P K 2"],
    weights: Float[np.ndarray, "P K"],
    min_size_px: float = MIN_SIZE_PX,
) -> Float[np.ndarray, "P"]:
    """Sizes in pixels: the diagonal of the box that evenly spread keypoints would fill (ours).

    Taken from the weighted spread, `sqrt(12 (var x + var y))`, which changes smoothly as joints
    come and go; on annotated people it lies within 4% below and 25% above the keypoint box's
    diagonal. Never below `min_size_px`.
    """
    share = (weights / weights.sum(axis=1, keepdims=True))[..., None]
    centres = (keypoints_px * share).sum(axis=1, keepdims=True)
    variance = (np.square(keypoints_px - centres) * share).sum(axis=(1, 2))
    return np.maximum(np.sqrt(12.0 * variance), min_size_px)


def finite_people(poses: FramePoses) -> Bool[np.ndarray, "P"]:
    """True for people without a NaN or an infinity in anything that tracking reads."""
    good = np.isfinite(poses.keypoints_px).all(axis=(1, 2))
    good &= np.isfinite(poses.keypoint_scores).all(axis=1) & np.isfinite(poses.scores)
    if poses.embeddings is not None:
        good &= np.isfinite(poses.embeddings).all(axis=1)
    return good


def best_first(poses: FramePoses) -> Int[np.ndarray, "P"]:
    """Order of the people by falling score, ties by place; the order they came in is void."""
    centres = poses.keypoints_px.mean(axis=1)
    return np.lexsort((centres[:, 1], centres[:, 0], -poses.scores))
