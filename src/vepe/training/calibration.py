"""Calibration of the person score: scale and shift of its logit, fitted at the end of a run.

The score loss ranks poses and suppresses easy background; its scores are no probabilities. Platt
scaling (Platt, 1999) turns a score into the probability that the pose is correct, i.e. matched with
a labelled person at an OKS of `CORRECT_OKS` or more. The ranking, and so AP, does not change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

from vepe.data.batch import Batch
from vepe.losses.criterion import Criterion
from vepe.losses.keypoints import MatchedLabels, keypoint_losses
from vepe.models.vepe import Vepe

CORRECT_OKS = 0.5
"""The lowest OKS of a correct pose, the lowest threshold of COCO and PoseTrack."""


@dataclass(frozen=True)
class Calibration:
    """Scale and shift of the logit, and the number of predictions they were fitted on."""

    scale: float
    shift: float
    samples: int


@torch.no_grad()
def calibrate_scores(model: Vepe, criterion: Criterion, batches: Iterable[Batch]) -> Calibration:
    """Fits scale and shift of the model's scores, and gives them to its pose decoder.

    Args:
        model: in eval mode; its score calibration is changed.
        criterion: matches people and weights the background.
        batches: clips such as the model was trained on.
    """
    samples = [_samples(model, criterion, batch) for batch in batches]
    logits, correct, weights = (
        torch.cat([values.flatten().cpu() for values in column])  # (S,)
        for column in zip(*samples, strict=True)
    )
    scale, shift = _fit(logits, correct, weights)
    model.pose_decoder.calibrate(scale, shift)
    return Calibration(scale, shift, len(logits))


def _samples(
    model: Vepe, criterion: Criterion, batch: Batch
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"], Float[Tensor, "B N"]]:
    """Score logits of all frames of a batch, whether the poses are correct (0 or 1), weights."""
    device = criterion.sigmas.device
    poses = model.encode_frame(batch.pixels(device))[0].poses
    targets = batch.targets.to(device)
    matches = criterion.matches(poses, targets)
    matched_px = poses.keypoints_px[matches.frame, matches.prediction]  # (M, K, 2)
    labels = MatchedLabels.of(targets, matches)
    oks = keypoint_losses(matched_px, labels, criterion.sigmas)[2]  # (M,)
    correct = torch.zeros_like(poses.score_logits)  # (B, N)
    correct[matches.frame, matches.prediction] = (oks >= CORRECT_OKS).to(correct.dtype)
    weights = targets.background_weight_at(poses.keypoints_px.mean(dim=2)).clone()  # (B, N)
    weights[matches.frame, matches.prediction] = 1  # matched: known to be correct or wrong
    return poses.score_logits, correct, weights


def _fit(
    logits: Float[Tensor, "S"], correct: Float[Tensor, "S"], weights: Float[Tensor, "S"]
) -> tuple[float, float]:
    """Scale (positive) and shift that minimise the weighted cross entropy.

    Platt's targets, slightly inside 0 and 1, and a weak prior on the scale keep both finite if
    almost no pose is correct, or all are.
    """
    positive, negative = (weights * correct).sum(), (weights * (1 - correct)).sum()
    targets = torch.where(correct > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
    log_scale = torch.zeros((), requires_grad=True)
    shift = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.LBFGS([log_scale, shift], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        fitted = logits * log_scale.exp() + shift
        entropy = F.binary_cross_entropy_with_logits(fitted, targets, weights, reduction="sum")
        value = (entropy + 0.5 * log_scale.square()) / weights.sum().clamp_min(1)
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(loss)
    return log_scale.exp().item(), shift.item()
