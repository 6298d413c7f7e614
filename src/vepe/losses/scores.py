"""Score losses: is there a person, and how good is the pose.

The target of a matched prediction grows with its OKS (varifocal idea, arXiv 2008.13367), so that
scores rank poses; its floor keeps a person with a bad pose apart from background (ours).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

from vepe.losses.matcher import Matches

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
