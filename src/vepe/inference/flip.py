"""Flip test: the poses of an image and of its mirror image, merged.

A person in both views gets the mean of both poses. False people are rarely the same in both, so a
person in one view only is less likely to be there, and scores less. It takes twice the time. Flip
tests are common with heat maps; merging the poses of queries is ours.

Dimensions: P and Q people of the two views, K keypoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.inference.arguments import Rgb
from vepe.skeleton import Skeleton
from vepe.types import FramePoses

PosesOf = Callable[[Sequence[Rgb]], list[FramePoses]]
"""The network: the people of each of a batch of images, whatever their scores."""

TOLERANCE = 0.05
"""Distance, in longer sides of the pose, that counts as one standard deviation of a keypoint."""
MIN_OVERLAP = 0.5
"""Poses that overlap less are not merged."""
SCORE_WEIGHT = 0.1
"""Weight of the log scores next to the overlap: of several queries on a person, the best merge."""
ONE_VIEW = 0.3
"""Factor of the score of a person who is in one view only."""


def poses_with_flip(
    images: Sequence[Rgb], poses_of: PosesOf, skeleton: Skeleton
) -> list[FramePoses]:
    """The people of each image, from it and its mirror image, highest score first."""
    mirrored = poses_of([np.ascontiguousarray(image[:, ::-1]) for image in images])
    return [
        merge_views(poses, unmirrored(other, image.shape[1], skeleton))
        for poses, other, image in zip(poses_of(images), mirrored, images, strict=True)
    ]


def unmirrored(poses: FramePoses, width_px: int, skeleton: Skeleton) -> FramePoses:
    """Poses of a mirror image in pixels of the image, with left and right exchanged."""
    order = skeleton.flip_order()
    keypoints_px = poses.keypoints_px[:, order]  # a copy
    keypoints_px[..., 0] = width_px - keypoints_px[..., 0]
    return replace(
        poses, keypoints_px=keypoints_px, keypoint_scores=poses.keypoint_scores[:, order]
    )


def merge_views(poses: FramePoses, other: FramePoses) -> FramePoses:
    """The people of either view, highest score first; those in both views appear once.

    Args:
        poses: of the image; identities are theirs.
        other: of the mirror image, in pixels of the image.
    """
    if not len(poses) or not len(other):
        alone = poses if len(poses) else other
        return replace(alone, scores=ONE_VIEW * alone.scores)
    match, both = match_views(poses, other)
    partner = other.select(match)
    weights = np.square([poses.keypoint_scores, partner.keypoint_scores])  # (2, P, K)
    weights = (weights / np.maximum(weights.sum(axis=0), 1e-9))[..., None]
    mean_px = weights[0] * poses.keypoints_px + weights[1] * partner.keypoints_px
    mean_score = _probability((_logit(poses.scores) + _logit(partner.scores)) / 2)
    confidence = (poses.keypoint_scores + partner.keypoint_scores) / 2
    merged = replace(
        poses,
        keypoints_px=np.where(both[:, None, None], mean_px, poses.keypoints_px),
        keypoint_scores=np.where(both[:, None], confidence, poses.keypoint_scores),
        scores=np.where(both, mean_score, ONE_VIEW * poses.scores),
    )
    rest = other.select(np.setdiff1d(np.arange(len(other)), match[both]))
    everyone = _together(merged, replace(rest, scores=ONE_VIEW * rest.scores))
    return everyone.select(np.argsort(-everyone.scores, kind="stable"))


def match_views(
    poses: FramePoses, other: FramePoses
) -> tuple[Int[np.ndarray, "P"], Bool[np.ndarray, "P"]]:
    """For each of P people, at least one, the best of the other's Q, and whether they are the same.

    They are where each is the other's best.
    """
    overlap = pose_overlap(poses, other)
    affinity = overlap + SCORE_WEIGHT * np.log(np.maximum(other.scores, 1e-9))
    affinity = affinity + SCORE_WEIGHT * np.log(np.maximum(poses.scores, 1e-9))[:, None]
    best = affinity.argmax(axis=1)
    people = np.arange(len(best))
    mutual = affinity.argmax(axis=0)[best] == people
    return best, mutual & (overlap[people, best] > MIN_OVERLAP)


def pose_overlap(poses: FramePoses, other: FramePoses) -> Float[np.ndarray, "P Q"]:
    """Overlap of poses, 0..1: OKS with one constant for all keypoints, weighted by confidence."""
    size = np.ptp(poses.keypoints_px, axis=1).max(axis=-1)  # (P,)
    offset = poses.keypoints_px[:, None] - other.keypoints_px[None]  # (P, Q, K, 2)
    unit = np.maximum(TOLERANCE * size, 1e-3)[:, None, None]
    similarity = np.exp(-0.5 * np.square(offset).sum(axis=-1) / np.square(unit))  # (P, Q, K)
    confidence = np.maximum(poses.keypoint_scores, 1e-9)
    weights = confidence / confidence.sum(axis=1, keepdims=True)
    return np.einsum("pqk,pk->pq", similarity, weights)


def _together(poses: FramePoses, more: FramePoses) -> FramePoses:
    """The people of both, in that order."""
    embeddings = None
    if poses.embeddings is not None and more.embeddings is not None:
        embeddings = np.concatenate([poses.embeddings, more.embeddings])
    return replace(
        poses,
        keypoints_px=np.concatenate([poses.keypoints_px, more.keypoints_px]),
        keypoint_scores=np.concatenate([poses.keypoint_scores, more.keypoint_scores]),
        scores=np.concatenate([poses.scores, more.scores]),
        track_ids=np.concatenate([poses.track_ids, more.track_ids]),
        embeddings=embeddings,
    )


def _logit(score: Float[np.ndarray, "P"]) -> Float[np.ndarray, "P"]:
    score = np.clip(score, 1e-6, 1 - 1e-6)
    return np.log(score / (1 - score))


def _probability(logit: Float[np.ndarray, "P"]) -> Float[np.ndarray, "P"]:
    return 1 / (1 + np.exp(-logit))
