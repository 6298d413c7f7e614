"""The people of one frame as the tracker sees them: filtered, sorted, with sizes and overlaps.

`detect` computes once per frame what association and lifecycle both need. Overlap is OKS with one
falloff for all keypoints, so that it works for any skeleton, weighted by the confidences of both
poses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.config.tracking import TrackerSettings
from vepe.types import FramePoses

MIN_SIZE_PX = 12.0
"""Lower bound of person sizes; the size of a pose of one keypoint."""

OVERLAP_SIGMA = 0.16
"""Falloff of the keypoint overlap in person sizes (from the sweeps in `TrackerSettings`)."""

DUPLICATE_OVERLAP, DUPLICATE_SIMILARITY = 0.8, 0.6
"""Two people with at least this overlap and this cosine similarity are one body detected twice."""

_WEIGHT_FLOOR = 1e-3  # a person whose keypoints all have confidence 0 still has a position


@dataclass(frozen=True)
class Detections:
    """P people of one frame, highest score first.

    Attributes:
        poses: the people.
        rows: (P,) their rows in the frame that they come from.
        weights: (P, K) see `keypoint_weights`.
        sizes_px: (P,) see `person_sizes`.
        overlap: (P, P) pairwise overlap in 0..1.
    """

    poses: FramePoses
    rows: Int[np.ndarray, "P"]
    weights: Float[np.ndarray, "P K"]
    sizes_px: Float[np.ndarray, "P"]
    overlap: Float[np.ndarray, "P P"]

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, index: Int[np.ndarray, "Q"]) -> Detections:
        """Only the people at `index`, in that order."""
        return Detections(
            self.poses.select(index),
            self.rows[index],
            self.weights[index],
            self.sizes_px[index],
            self.overlap[np.ix_(index, index)],
        )


def detect(poses: FramePoses, settings: TrackerSettings) -> Detections:
    """The people that tracking uses: finite, at least `low_threshold`, without duplicates.

    The result does not depend on the order of people in `poses`.
    """
    rows = np.flatnonzero(_finite(poses) & (poses.scores >= settings.low_threshold))
    rows = rows[_best_first(poses.select(rows))]
    people = poses.select(rows)
    weights = keypoint_weights(people.keypoint_scores)
    sizes_px = person_sizes(people.keypoints_px, weights, settings.min_size_px)
    overlap = _pairwise_overlap(people.keypoints_px, weights, sizes_px)
    detections = Detections(people, rows, weights, sizes_px, overlap)
    duplicate = duplicates(detections)
    return detections.select(np.flatnonzero(~duplicate)) if duplicate.any() else detections


def duplicates(detections: Detections) -> Bool[np.ndarray, "P"]:
    """True for duplicates of a higher-scoring person: they overlap and have similar embeddings.

    Without embeddings there are none: two people who cross overlap, too.
    """
    result = np.zeros(len(detections), np.bool_)
    embeddings = detections.poses.embeddings
    if embeddings is None or len(detections) < 2:
        return result
    same = detections.overlap >= DUPLICATE_OVERLAP
    same &= embeddings @ embeddings.T >= DUPLICATE_SIMILARITY
    for person in range(1, len(detections)):
        result[person] = (same[person, :person] & ~result[:person]).any()
    return result


def keypoint_weights(keypoint_scores: Float[np.ndarray, "P K"]) -> Float[np.ndarray, "P K"]:
    """Weights in 1e-3..1 from keypoint confidences; never all zero."""
    return np.clip(keypoint_scores, 0.0, 1.0).astype(np.float64) + _WEIGHT_FLOOR


def person_sizes(
    keypoints_px: Float[np.ndarray, "P K 2"],
    weights: Float[np.ndarray, "P K"],
    min_size_px: float = MIN_SIZE_PX,
) -> Float[np.ndarray, "P"]:
    """Sizes in pixels: the diagonal of the box that evenly spread keypoints would fill (ours).

    Computed from the weighted spread, `sqrt(12 (var x + var y))`, which changes smoothly as joints
    appear and disappear; on annotated people it lies within 4% below and 25% above the diagonal of
    the keypoint box. Never below `min_size_px`.
    """
    share = (weights / weights.sum(axis=1, keepdims=True))[..., None]  # (P, K, 1)
    centres = (keypoints_px * share).sum(axis=1, keepdims=True)  # (P, 1, 2)
    variance = (np.square(keypoints_px - centres) * share).sum(axis=(1, 2))  # (P,)
    return np.maximum(np.sqrt(12.0 * variance), min_size_px)


def keypoint_overlap(
    left_px: Float[np.ndarray, "M K 2"],
    right_px: Float[np.ndarray, "P K 2"],
    left_roots: Float[np.ndarray, "M K"],
    right_roots: Float[np.ndarray, "P K"],
    pair_sizes_px: Float[np.ndarray, "M P"],
) -> Float[np.ndarray, "M P"]:
    """Overlap in 0..1 of all pairs of poses: OKS's Gaussian of every keypoint's offset.

    Args:
        left_px, right_px: the poses.
        left_roots, right_roots: square roots of the keypoints' weights. Their product is the weight
            of a keypoint in a pair, which is why all else is sums of products.
        pair_sizes_px: what offsets are measured by.
    """
    left, right = left_px.astype(np.float32), right_px.astype(np.float32)  # twice as quick
    x, y = (left[:, None, :, axis] - right[None, :, :, axis] for axis in (0, 1))
    gaussian = np.square(x) + np.square(y)  # (M, P, K)
    gaussian *= (-0.5 / np.square(OVERLAP_SIGMA * pair_sizes_px)).astype(np.float32)[..., None]
    np.exp(gaussian, out=gaussian)
    gaussian *= right_roots.astype(np.float32)
    # (M, P, K) @ (M, K, 1)
    total = (gaussian @ left_roots.astype(np.float32)[..., None])[..., 0]
    return total / (left_roots @ right_roots.T)


def _pairwise_overlap(
    keypoints_px: Float[np.ndarray, "P K 2"],
    weights: Float[np.ndarray, "P K"],
    sizes_px: Float[np.ndarray, "P"],
) -> Float[np.ndarray, "P P"]:
    """Overlap in 0..1 of all pairs of people; a pair is measured by the larger one."""
    pair_sizes = np.maximum(sizes_px[:, None], sizes_px[None])  # (P, P)
    roots = np.sqrt(weights)
    return keypoint_overlap(keypoints_px, keypoints_px, roots, roots, pair_sizes)


def _finite(poses: FramePoses) -> Bool[np.ndarray, "P"]:
    """True for people without a NaN or an infinity in anything that tracking reads."""
    finite = np.isfinite(poses.keypoints_px).all(axis=(1, 2))
    finite &= np.isfinite(poses.keypoint_scores).all(axis=1) & np.isfinite(poses.scores)
    if poses.embeddings is not None:
        finite &= np.isfinite(poses.embeddings).all(axis=1)
    return finite


def _best_first(poses: FramePoses) -> Int[np.ndarray, "P"]:
    """Order of the people by falling score, ties by position."""
    centres = poses.keypoints_px.mean(axis=1)
    return np.lexsort((centres[:, 1], centres[:, 0], -poses.scores))
