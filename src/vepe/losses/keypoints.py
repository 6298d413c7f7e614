"""Losses of matched people: keypoint positions (L1, OKS), keypoint confidence, person score.

Unlabelled keypoints enter none of them. The target of a matched person's score grows with its OKS
(varifocal loss, arXiv 2008.13367), so that scores rank poses; its minimum keeps a person with a bad
pose apart from the background (ours).
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
"""Sigma of the confidence target: an error of a tenth of the root of the person's area gives 0.61.
The same for all keypoints, so that a confidence means the same for a nose and a hip."""

MIN_CELL_TARGET = 0.3
"""Score target of a matched cell whose pose is entirely wrong; a perfect pose has 1."""
MIN_LAYER_TARGET = 0.05
"""The same for decoder layers: their scores rank poses, those of cells select the proposals."""


@dataclass(frozen=True)
class MatchedLabels:
    """Labels of M matched people: (M, K, 2), (M, K) and (M,)."""

    keypoints_px: Float[Tensor, "M K 2"]
    labelled: Bool[Tensor, "M K"]
    areas_px: Float[Tensor, "M"]

    @staticmethod
    def of(targets: Targets, matches: Matches) -> MatchedLabels:
        """The labels of the matched people, in the order of the matches."""
        at = (matches.frame, matches.person)
        return MatchedLabels(targets.keypoints_px[at], targets.labelled[at], targets.areas_px[at])


def keypoint_losses(
    keypoints_px: Float[Tensor, "M K 2"], labels: MatchedLabels, sigmas: Float[Tensor, "K"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, "M"]]:
    """Position losses of matched people.

    Returns:
        the sum of the normalised L1 distances, the sum of 1 - OKS, and the OKS of every person.
    """
    target = (labels.keypoints_px, labels.labelled, labels.areas_px)
    l1 = normalised_l1(keypoints_px, *target)
    similarity = oks(keypoints_px, *target, sigmas)
    return l1.sum(), (1 - similarity).sum(), similarity


def confidence_loss(
    logits: Float[Tensor, "M K"], keypoints_px: Float[Tensor, "M K 2"], labels: MatchedLabels
) -> Float[Tensor, ""]:
    """Cross entropy of each keypoint's confidence with its similarity to the label (ours).

    Returns:
        the sum over people of the mean over their labelled keypoints.
    """
    sigmas = keypoints_px.new_full((logits.shape[-1],), CONFIDENCE_SIGMA)
    close = keypoint_similarity(keypoints_px.detach(), labels.keypoints_px, labels.areas_px, sigmas)
    entropy = F.binary_cross_entropy_with_logits(logits, close, reduction="none")  # (M, K)
    masked = torch.where(labels.labelled, entropy, torch.zeros_like(entropy))
    return (masked.sum(dim=-1) / labels.labelled.sum(dim=-1).clamp_min(1)).sum()


def score_targets(
    logits: Float[Tensor, "B Q"],
    matches: Matches,
    quality: Float[Tensor, "M"],
    minimum: float = MIN_LAYER_TARGET,
) -> Float[Tensor, "B Q"]:
    """Targets of the person scores, 0 for unmatched predictions.

    That of a matched one rises with its OKS (`quality`) from `minimum` to 1.
    """
    targets = torch.zeros_like(logits)
    targets[matches.frame, matches.prediction] = minimum + (1 - minimum) * quality.detach()
    return targets


def score_loss(
    logits: Float[Tensor, "B Q"],
    targets: Float[Tensor, "B Q"],
    background: Float[Tensor, "B Q"],
) -> Float[Tensor, ""]:
    """Sum of cross entropies of person scores; unmatched predictions weigh 0.75 x score² at most.

    Args:
        logits: person scores.
        targets: `score_targets`.
        background: further weight of unmatched predictions, 0..1
            (see `Targets.background_weight_at`).
    """
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    hardness = logits.detach().sigmoid().square()
    weight = torch.where(targets > 0, torch.ones_like(entropy), 0.75 * hardness * background)
    return (weight * entropy).sum()
