"""Calibration of the person score: a scale and a shift of its logit, fitted when a run ends.

The score loss ranks poses, and lets easy background be; its scores are no chances. Platt scaling
(Platt, 1999) makes a score the chance that the pose is right: that it is matched to a labelled
person with an OKS of `RIGHT_OKS` or more. The ranking, hence AP, stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

from vepe.data.batch import Batch
from vepe.losses.criterion import Criterion
from vepe.losses.keypoints import MatchedLabels, place_losses
from vepe.models.decoder_layer import PoseDecoderLayer
from vepe.models.vepe import Vepe

RIGHT_OKS = 0.5
"""The OKS from which on a pose is right, COCO's and PoseTrack's lowest bar."""


@dataclass(frozen=True)
class Calibration:
    """What the logits were multiplied by and shifted by, on how many people and places."""

    scale: float
    shift: float
    samples: int


@torch.no_grad()
def calibrate_scores(model: Vepe, criterion: Criterion, batches: Iterable[Batch]) -> Calibration:
    """Fits scale and shift on the last layer's scores and puts them into its weights.

    Args:
        model: in evaluation mode; its score head is changed.
        criterion: matches people and knows what counts as background.
        batches: clips such as the model was trained on.
    """
    found = [part for batch in batches for part in _scores(model, criterion, batch)]
    logits, targets, weights = (
        torch.cat([part.flatten().cpu() for part in parts]) for parts in zip(*found, strict=True)
    )
    scale, shift = _fit(logits, targets, weights)
    layer = cast(PoseDecoderLayer, model.pose_decoder.layers[-1])
    layer.heads.score.weight.mul_(scale)
    layer.heads.score.bias.mul_(scale).add_(shift)
    return Calibration(scale, shift, len(logits))


def _scores(
    model: Vepe, criterion: Criterion, batch: Batch
) -> list[tuple[Float[Tensor, "B N"], Float[Tensor, "B N"], Float[Tensor, "B N"]]]:
    """Logits, whether their poses are right (0 or 1), and weights, of every frame of a batch."""
    device = criterion.sigmas.device
    features = model.encode_frame(batch.pixels(device))
    frames = [features[batch.rows(t)] for t in range(batch.frames)]
    found = []
    for t, output in enumerate(model.fuse_keys(frames, batch.times_s, range(batch.frames))):
        targets = batch.targets[batch.rows(t)].to(device)
        last = output.layers[-1]
        matches = criterion.matches(last, targets)
        placed = last.keypoints_px[matches.frame, matches.prediction]
        quality = place_losses(placed, MatchedLabels.of(targets, matches), criterion.sigmas)[2]
        right = torch.zeros_like(last.score_logits)
        right[matches.frame, matches.prediction] = (quality >= RIGHT_OKS).to(right.dtype)
        weight = targets.place_weight(last.keypoints_px.mean(dim=2)).clone()
        weight[matches.frame, matches.prediction] = 1  # right or wrong, but never unknown
        found.append((last.score_logits, right, weight))
    return found


def _fit(
    logits: Float[Tensor, "S"], right: Float[Tensor, "S"], weights: Float[Tensor, "S"]
) -> tuple[float, float]:
    """Scale and shift with the least weighted cross entropy; the scale stays positive.

    Platt's targets, drawn in a little from 0 and 1, and a weak prior of the scale keep both finite
    where hardly a pose is right, or all are.
    """
    yes, no = (weights * right).sum(), (weights * (1 - right)).sum()
    targets = torch.where(right > 0, (yes + 1) / (yes + 2), 1 / (no + 2))
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
