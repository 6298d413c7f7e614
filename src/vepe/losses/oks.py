"""Object keypoint similarity in pixels (COCO's definition), for costs, losses and score targets."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def keypoint_similarity(
    predicted_px: Float[Tensor, "... K 2"],
    target_px: Float[Tensor, "... K 2"],
    areas_px: Float[Tensor, "..."],
    sigmas: Float[Tensor, "K"],
) -> Float[Tensor, "... K"]:
    """exp(-d² / (2 area (2 sigma)²)) of every keypoint, in 0..1."""
    squared = (predicted_px - target_px).square().sum(dim=-1)
    falloff = 2 * areas_px.clamp_min(1.0).unsqueeze(-1) * (2 * sigmas).square()
    return torch.exp(-squared / falloff)


def oks(
    predicted_px: Float[Tensor, "... K 2"],
    target_px: Float[Tensor, "... K 2"],
    labelled: Bool[Tensor, "... K"],
    areas_px: Float[Tensor, "..."],
    sigmas: Float[Tensor, "K"],
) -> Float[Tensor, "..."]:
    """Mean similarity over the labelled keypoints; 0 where there are none."""
    similarity = keypoint_similarity(predicted_px, target_px, areas_px, sigmas)
    return _labelled_mean(similarity, labelled)


def normalised_l1(
    predicted_px: Float[Tensor, "... K 2"],
    target_px: Float[Tensor, "... K 2"],
    labelled: Bool[Tensor, "... K"],
    areas_px: Float[Tensor, "..."],
) -> Float[Tensor, "..."]:
    """Mean of |dx| and |dy| over the labelled keypoints, in units of the root of the area.

    The unit makes near and far people count alike (ours; GroupPose divides by the picture).
    """
    distance = (predicted_px - target_px).abs().mean(dim=-1)
    return _labelled_mean(distance / areas_px.clamp_min(1.0).sqrt().unsqueeze(-1), labelled)


def _labelled_mean(
    values: Float[Tensor, "... K"], labelled: Bool[Tensor, "... K"]
) -> Float[Tensor, "..."]:
    count = labelled.sum(dim=-1).clamp_min(1)
    return torch.where(labelled, values, torch.zeros_like(values)).sum(dim=-1) / count
