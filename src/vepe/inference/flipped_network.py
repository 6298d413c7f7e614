"""Flip test: every frame and its mirror image go through the network, and their poses are merged.

A person in both views gets the mean of both poses. False people are rarely the same in both, so a
person in one view only is less likely to be there, and scores less. It takes twice the time. Flip
tests are common with heat maps; merging the poses of queries is ours.

Dimensions: as in `network`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vepe.inference.network import KEY_PLACE, Network, NetworkPoses
from vepe.models.optical_flow import FLOW_SCALE
from vepe.skeleton import Skeleton

TOLERANCE = 0.05
"""Distance, in longer sides of the pose, that counts as one standard deviation of a keypoint."""
MIN_OVERLAP = 0.5
"""Poses that overlap less are not merged."""
SCORE_WEIGHT = 0.1
"""Weight of the log scores next to the overlap: of several queries on a person, the best merge."""
ONE_VIEW = 0.3
"""Factor of the score of a person who is in one view only."""


@dataclass(frozen=True, eq=False)
class _TwoViews:
    """The network's memories of a frame and of its mirror image, and the frame's width."""

    own: object
    mirrored: object
    width_px: int


class FlippedNetwork:
    """A `Network` that runs another one on both views.

    Its poses have 2N rows: N people of the frame, then those of the mirror image alone; rows
    without a person have a score of 0. Identities are those of the view that a person is from.

    Args:
        network: runs the model.
        skeleton: its keypoints.
    """

    def __init__(self, network: Network, skeleton: Skeleton) -> None:
        self.backend, self.device = network.backend, network.device
        self.stride, self.future = network.stride, network.future
        self.fixed_wh, self.blank_wh = network.fixed_wh, network.blank_wh
        self.aligned = network.aligned
        self._network = network
        self._order = skeleton.flip_order()

    def step(
        self,
        images: UInt8[np.ndarray, "B H W 3"],
        sizes_px: Int[np.ndarray, "B 2"],
        memory: Sequence[object],
        windows: Int[np.ndarray, "Q T"],
        flows: Float[np.ndarray, "Q T-1 2 2 h w"] | None,
    ) -> tuple[NetworkPoses, list[object]]:
        """As `Network.step`."""
        stored = cast("Sequence[_TwoViews]", memory)
        new_widths = [int(width) for width in sizes_px[:, 0]]
        all_widths = np.array([*(views.width_px for views in stored), *new_widths])
        widths = all_widths[windows[:, KEY_PLACE]]  # (Q,)
        own, own_new = self._network.step(
            images, sizes_px, [views.own for views in stored], windows, flows
        )
        other, other_new = self._network.step(
            mirror_images(images, new_widths),
            sizes_px,
            [views.mirrored for views in stored],
            windows,
            None if flows is None else mirror_flows(flows, widths),
        )
        poses = merge_views(own, unmirrored(other, widths, self._order))
        new = zip(own_new, other_new, new_widths, strict=True)
        return poses, [_TwoViews(*views) for views in new]


def mirror_images(
    images: UInt8[np.ndarray, "B H W 3"], widths_px: Sequence[int]
) -> UInt8[np.ndarray, "B H W 3"]:
    """Mirrors the images; the padding stays at their right."""
    mirrored = images.copy()
    for image, source, width in zip(mirrored, images, widths_px, strict=True):
        image[:, :width] = source[:, :width][:, ::-1]
    return mirrored


def mirror_flows(
    flows: Float[np.ndarray, "Q T-1 2 2 h w"], widths_px: Int[np.ndarray, "Q"]
) -> Float[np.ndarray, "Q T-1 2 2 h w"]:
    """The flows between the mirror images, interpolated where the width is no multiple of cells."""
    columns = flows.shape[-1]
    mirrored = np.empty_like(flows)
    for row, width in enumerate(widths_px):
        source = np.clip(width / FLOW_SCALE - 1 - np.arange(columns), 0, columns - 1)
        left = np.floor(source).astype(int)
        weight = (source - left).astype(flows.dtype)
        right = np.minimum(left + 1, columns - 1)
        mirrored[row] = (1 - weight) * flows[row][..., left] + weight * flows[row][..., right]
    mirrored[:, :, :, 0] *= -1  # x
    return mirrored


def unmirrored(
    poses: NetworkPoses, widths_px: Int[np.ndarray, "Q"], order: Int[np.ndarray, "K"]
) -> NetworkPoses:
    """Poses of mirror images in pixels of the images, with left and right exchanged.

    Args:
        poses: of the mirror images.
        widths_px: without padding.
        order: of the keypoints, see `Skeleton.flip_order`.
    """
    keypoints_px = poses.keypoints_px[:, :, order]  # a copy
    keypoints_px[..., 0] = widths_px[:, None, None] - keypoints_px[..., 0]
    return NetworkPoses(
        poses.scores, keypoints_px, poses.confidences[:, :, order], poses.identities
    )


def merge_views(own: NetworkPoses, other: NetworkPoses) -> NetworkPoses:
    """The people of either view; those in both appear once. Rows as of `FlippedNetwork`."""
    rows = [_merge_frame(own.row(q), other.row(q)) for q in range(len(own.scores))]
    columns = zip(*rows, strict=True)
    return NetworkPoses(*(np.stack(column) for column in columns))


def _merge_frame(own: NetworkPoses, other: NetworkPoses) -> tuple[np.ndarray, ...]:
    """Scores, keypoints, confidences and identities of one frame (Q = 1), (2N, ...) each."""
    match, both = match_views(own, other)
    score, points_px, confidence = own.scores[0], own.keypoints_px[0], own.confidences[0]
    partner_confidence = other.confidences[0][match]
    weights = np.square([confidence, partner_confidence])  # (2, N, K)
    weights = (weights / np.maximum(weights.sum(axis=0), 1e-9))[..., None]
    mean_px = weights[0] * points_px + weights[1] * other.keypoints_px[0][match]
    mean_score = _probability((_logit(score) + _logit(other.scores[0][match])) / 2)
    rest = ONE_VIEW * other.scores[0]
    rest[match[both]] = 0.0  # they are among the others
    scores = np.concatenate([np.where(both, mean_score, ONE_VIEW * score), rest])
    keypoints_px = np.where(both[:, None, None], mean_px, points_px)
    confidences = np.where(both[:, None], (confidence + partner_confidence) / 2, confidence)
    return (
        scores.astype(np.float32),
        np.concatenate([keypoints_px, other.keypoints_px[0]]),
        np.concatenate([confidences, other.confidences[0]]),
        np.concatenate([own.identities[0], other.identities[0]]),
    )


def match_views(
    own: NetworkPoses, other: NetworkPoses
) -> tuple[Int[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
    """For each person of a frame (Q = 1) the best of the other view, and whether they are the same.

    They are where each is the other's best. It does not matter which of the views is `own`.
    """
    overlap = (pose_overlap(own, other) + pose_overlap(other, own).T) / 2
    affinity = overlap + SCORE_WEIGHT * np.log(np.maximum(other.scores[0], 1e-9))
    affinity = affinity + SCORE_WEIGHT * np.log(np.maximum(own.scores[0], 1e-9))[:, None]
    best = affinity.argmax(axis=1)
    rows = np.arange(len(best))
    mutual = affinity.argmax(axis=0)[best] == rows
    return best, mutual & (overlap[rows, best] > MIN_OVERLAP)


def pose_overlap(own: NetworkPoses, other: NetworkPoses) -> Float[np.ndarray, "N N"]:
    """Overlap of poses, 0..1: OKS with one constant for all keypoints, weighted by confidence.

    Sizes and confidences are those of `own`, as OKS takes them from the ground truth.
    """
    points_px = own.keypoints_px[0]
    size = np.ptp(points_px, axis=1).max(axis=-1)  # (N,)
    offset = points_px[:, None] - other.keypoints_px[0][None]  # (N, N, K, 2)
    unit = np.maximum(TOLERANCE * size, 1e-3)[:, None, None]
    similarity = np.exp(-0.5 * np.square(offset).sum(axis=-1) / np.square(unit))  # (N, N, K)
    confidence = np.maximum(own.confidences[0], 1e-9)
    weights = confidence / confidence.sum(axis=1, keepdims=True)
    return np.einsum("pqk,pk->pq", similarity, weights)


def _logit(score: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    score = np.clip(score, 1e-6, 1 - 1e-6)
    return np.log(score / (1 - score))


def _probability(logit: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    return 1 / (1 + np.exp(-logit))
