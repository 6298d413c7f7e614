"""Keypoint losses of matched people: place (L1, OKS) and confidence; unlabelled joints masked.

Score losses: is there a person, and how good is the pose.

The target of a matched prediction grows with its OKS (varifocal idea, arXiv 2008.13367), so that
scores rank poses; its floor keeps a person with a bad pose apart from background (ours).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor

from vepe.losses.matcher import Matches
from vepe.losses.oks import keypoint_similarity, normalised_l1, oks
from vepe.losses.targets import Targets

CONFIDENCE_SIGMA = 0.05
"""Falloff of the confidence target for all keypoints: off by a tenth of the root of the person's
area means 0.61. One sigma for all, so that a confidence means the same for a nose and a hip."""


@dataclass(frozen=True)
class MatchedLabels:
    """Labels of M matched people: (M, K, 2), (M, K) and (M,)."""

    keypoints_px: Float[Tensor, "M K 2"]
    labelled: Bool[Tensor, "M K"]
    areas_px: Float[Tensor, "M"]

    @staticmethod
    def of(targets: Targets, matches: Matches) -> MatchedLabels:
        """The labels that belong to matched predictions."""
        at = (matches.frame, matches.person)
        return MatchedLabels(targets.keypoints_px[at], targets.labelled[at], targets.areas_px[at])


def place_losses(
    keypoints_px: Float[Tensor, "M K 2"], labels: MatchedLabels, sigmas: Float[Tensor, "K"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, "M"]]:
    """Sums of normalised L1 and of 1 - OKS, and the OKS of every match."""
    where = (labels.keypoints_px, labels.labelled, labels.areas_px)
    l1 = normalised_l1(keypoints_px, *where)
    similarity = oks(keypoints_px, *where, sigmas)
    return l1.sum(), (1 - similarity).sum(), similarity


def confidence_loss(
    logits: Float[Tensor, "M K"], keypoints_px: Float[Tensor, "M K 2"], labels: MatchedLabels
) -> Float[Tensor, ""]:
    """Cross entropy of confidence and how close each labelled keypoint really is (ours)."""
    sigmas = keypoints_px.new_full((logits.shape[-1],), CONFIDENCE_SIGMA)
    close = keypoint_similarity(keypoints_px.detach(), labels.keypoints_px, labels.areas_px, sigmas)
    entropy = F.binary_cross_entropy_with_logits(logits, close, reduction="none")
    masked = torch.where(labels.labelled, entropy, torch.zeros_like(entropy))
    return (masked.sum(dim=-1) / labels.labelled.sum(dim=-1).clamp_min(1)).sum()


FLOOR = 0.3
"""Score target of a person whose pose is entirely wrong; a perfect pose has 1."""


def score_targets(
    logits: Float[Tensor, "B Q"], matches: Matches, quality: Float[Tensor, "M"]
) -> Float[Tensor, "B Q"]:
    """FLOOR + (1 - FLOOR) x OKS for matched predictions, 0 for all others."""
    targets = torch.zeros_like(logits)
    targets[matches.frame, matches.prediction] = FLOOR + (1 - FLOOR) * quality.detach()
    return targets


def score_loss(
    logits: Float[Tensor, "B Q"],
    targets: Float[Tensor, "B Q"],
    background: Float[Tensor, "B Q"],
) -> Float[Tensor, ""]:
    """Sum of cross entropies; easy background counts little, unsure background not at all.

    Args:
        background: weight of each place where nobody is matched (`Targets.place_weight`).
    """
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    hardness = logits.detach().sigmoid().square()
    weight = torch.where(targets > 0, torch.ones_like(entropy), 0.75 * hardness * background)
    return (weight * entropy).sum()
