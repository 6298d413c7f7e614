"""Object keypoint similarity (COCO's definition) and normalised L1, for costs, losses and targets.

Shapes broadcast: the leading dimensions "..." are (M,) matched pairs, or (B, Q, P) all pairs.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def keypoint_similarity(
    pred_px: Float[Tensor, "... K 2"],
    target_px: Float[Tensor, "... K 2"],
    areas_px: Float[Tensor, "..."],
    sigmas: Float[Tensor, "K"],
) -> Float[Tensor, "... K"]:
    """exp(-d² / (2 area (2 sigma)²)) of every keypoint, in 0..1."""
    squared = (pred_px - target_px).square().sum(dim=-1)  # (..., K)
    falloff = 2 * areas_px.clamp_min(1.0).unsqueeze(-1) * (2 * sigmas).square()  # (..., K)
    return torch.exp(-squared / falloff)


def oks(
    pred_px: Float[Tensor, "... K 2"],
    target_px: Float[Tensor, "... K 2"],
    labelled: Bool[Tensor, "... K"],
    areas_px: Float[Tensor, "..."],
    sigmas: Float[Tensor, "K"],
) -> Float[Tensor, "..."]:
    """Mean similarity over the labelled keypoints; 0 if there are none."""
    similarity = keypoint_similarity(pred_px, target_px, areas_px, sigmas)
    return _labelled_mean(similarity, labelled)


def normalised_l1(
    pred_px: Float[Tensor, "... K 2"],
    target_px: Float[Tensor, "... K 2"],
    labelled: Bool[Tensor, "... K"],
    areas_px: Float[Tensor, "..."],
) -> Float[Tensor, "..."]:
    """Mean of |dx| and |dy| over the labelled keypoints, in units of the root of the area.

    The unit weighs near and far people equally (ours; GroupPose divides by the image size).
    """
    distance = (pred_px - target_px).abs().mean(dim=-1)  # (..., K)
    return _labelled_mean(distance / areas_px.clamp_min(1.0).sqrt().unsqueeze(-1), labelled)


def _labelled_mean(
    values: Float[Tensor, "... K"], labelled: Bool[Tensor, "... K"]
) -> Float[Tensor, "..."]:
    count = labelled.sum(dim=-1).clamp_min(1)
    return torch.where(labelled, values, torch.zeros_like(values)).sum(dim=-1) / count
