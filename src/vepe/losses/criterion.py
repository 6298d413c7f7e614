"""The criterion: all losses by name, with one table of weights.

Every decoder layer and the proposals are supervised. Losses stay apart until `total`, so that a log
can show them and an ablation can set a weight to 0; a loss of weight 0 is not computed. To add a
loss, add its weight to `LossConfig` and its value to the method of what it supervises.

Each loss is a sum over people, divided by the labelled people of the whole optimiser step
(`LossNormaliser`): a mean over the people of each batch would weigh a person by the batch that it
happens to be in. The numbers come from labels only, so they are known before any batch is run.

Dimensions: B batch, Q predictions, S cells, N people per frame, K keypoints, D embedding length.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vepe.config.training import LossConfig
from vepe.losses.denoising import DenoisingGroups
from vepe.losses.identity import identity_losses
from vepe.losses.keypoints import (
    MIN_CELL_TARGET,
    MatchedLabels,
    confidence_loss,
    keypoint_losses,
    score_loss,
    score_targets,
)
from vepe.losses.matcher import (
    FORBIDDEN,
    MatchCosts,
    Matches,
    cell_costs,
    match,
    match_many,
    pair_costs,
)
from vepe.losses.oks import normalised_l1, oks
from vepe.losses.targets import Targets
from vepe.models.decoder_layer import LayerOutput, PoseOutput
from vepe.models.proposals import PADDING_LOGIT, CellPredictions
from vepe.models.streaming import FrameOutput

MAX_DISTANCE, MIN_OKS = 1.0, 0.1
"""Decoded poses farther from a person than this, in roots of the area, and with a lower OKS, are
not matched with it."""

Losses = dict[str, Tensor]
"""Weighted losses by name, such as `spatial0/l1`."""


@dataclass(frozen=True)
class LossNormaliser:
    """Divisors of the losses.

    Attributes:
        num_instances: labelled people.
        num_anchors: those of them whose identity occurs in another frame of their clip.
    """

    num_instances: float
    num_anchors: float

    @staticmethod
    def of(targets: Targets) -> LossNormaliser:
        """The numbers of one batch."""
        ids = targets.track_ids[targets.valid & (targets.track_ids >= 0)]
        frames = torch.unique(ids, return_counts=True)[1]
        return LossNormaliser(float(targets.valid.sum()), float(frames[frames > 1].sum()))

    def per_process(self, processes: int = 1) -> LossNormaliser:
        """At least 1 each, divided by the number of processes, whose gradients are averaged."""
        return LossNormaliser(
            max(self.num_instances, 1.0) / processes, max(self.num_anchors, 1.0) / processes
        )


@dataclass(frozen=True)
class Criterion:
    """Losses of frames, key frames and identities.

    Attributes:
        sigmas: (K,) of the skeleton.
        weights: of the losses.
        costs: weights of the matching costs.
        dense_cells: cells per person in the one-to-many matching.
    """

    sigmas: Float[Tensor, "K"]
    weights: LossConfig = field(default_factory=LossConfig)
    costs: MatchCosts = field(default_factory=MatchCosts)
    dense_cells: int = 9

    def frames(
        self,
        output: FrameOutput,
        targets: Targets,
        denoising: DenoisingGroups | None,
        num_instances: float,
    ) -> tuple[Losses, Matches]:
        """Losses of frames on their own.

        Args:
            output: of `Vepe.encode_frame`, with all cells unless their losses have weight 0.
            targets: labels of the frames.
            denoising: what the decoder got besides the proposals, if anything.
            num_instances: divisor of the sums over people.

        Returns:
            the losses, and the matches of the last layer.
        """
        w = self.weights
        losses: Losses = {}
        if w.proposals or w.dense:
            losses |= self.cells(output.proposals.cells, targets, num_instances)
        num_proposals = output.proposals.score_logits.shape[1]
        proposals, copies = slice(0, num_proposals), slice(num_proposals, None)
        matches = None
        for index, layer in enumerate(output.layers):
            if w.layers:
                layer_losses, matches = self.layer(
                    layer.people(proposals), targets, f"spatial{index}", num_instances, w.layers
                )
                losses |= layer_losses
            if denoising is not None:
                layer_losses, _ = self.layer(
                    layer.people(copies),
                    targets,
                    f"denoise{index}",
                    num_instances * denoising.num_positive,
                    w.denoising,
                    denoising.matches,
                    denoising.valid,
                )
                losses |= layer_losses
        if matches is None:
            matches = self.matches(output.layers[-1].people(proposals), targets)
        return losses, matches

    def refined(self, layers: list[LayerOutput], targets: Targets, num_instances: float) -> Losses:
        """Losses of the spatio-temporal pose decoder (STPD) on single frames."""
        losses: Losses = {}
        for index, output in enumerate(layers):
            losses |= self.layer(output, targets, f"temporal{index}", num_instances)[0]
        return losses

    def fused(
        self, poses: PoseOutput, matches: Matches, targets: Targets, num_instances: float
    ) -> Losses:
        """Losses of poses fused over a window.

        Args:
            poses: of the key frames.
            matches: of the key frames' own poses with the labelled people.
            targets: labels of the key frames.
            num_instances: divisor of the sums over people.
        """
        labels = MatchedLabels.of(targets, matches)
        fused_px = poses.keypoints_px[matches.frame, matches.prediction]  # (M, K, 2)
        l1, oks_loss, _ = keypoint_losses(fused_px, labels, self.sigmas)
        w, scale = self.weights, 1 / num_instances
        return _weighted("fused", {"l1": (w.l1 * scale, l1), "oks": (w.oks * scale, oks_loss)})

    def identity(
        self,
        embeddings: Float[Tensor, "B N D"],
        matches: Matches,
        targets: Targets,
        temperature: Float[Tensor, ""],
        clips: int,
        num_anchors: float,
    ) -> Losses:
        """Identity losses over all frames; row r of the batch is a frame of clip r % clips."""
        w = self.weights
        if not w.contrastive and not w.cosine:
            return {}
        matched = embeddings[matches.frame, matches.prediction]  # (M, D)
        ids = targets.track_ids[matches.frame, matches.person]  # (M,)
        contrastive, cosine, _ = identity_losses(
            matched, ids, matches.frame, temperature, matches.frame % clips
        )
        return _weighted(
            "identity",
            {
                "contrastive": (w.contrastive / num_anchors, contrastive),
                "cosine": (w.cosine / num_anchors, cosine),
            },
        )

    def matches(self, output: LayerOutput, targets: Targets) -> Matches:
        """One-to-one matching of a layer's people with the labelled people."""
        cost = pair_costs(output.keypoints_px, targets, self.sigmas, self.costs)
        return match(output.score_logits, cost, targets, self.costs)

    def near(self, output: LayerOutput, targets: Targets, matches: Matches) -> Matches:
        """The matches without pairs that are too far apart to be the same person.

        If nothing was proposed near a person, one-to-one matching takes a query that is left over
        anywhere in the image: such pairs made up most of the L1 loss, and taught queries without a
        person to score (ours).
        """
        labels = MatchedLabels.of(targets, matches)
        pred_px = output.keypoints_px.detach()[matches.frame, matches.prediction]  # (M, K, 2)
        pair = (pred_px, labels.keypoints_px, labels.labelled, labels.areas_px)
        near = (normalised_l1(*pair) <= MAX_DISTANCE) | (oks(*pair, self.sigmas) >= MIN_OKS)  # (M,)
        return Matches(matches.frame[near], matches.prediction[near], matches.person[near])

    def layer(
        self,
        output: LayerOutput,
        targets: Targets,
        prefix: str,
        num_instances: float | None = None,
        weight: float = 1.0,
        matches: Matches | None = None,
        valid: Bool[Tensor, "B Q"] | None = None,
    ) -> tuple[Losses, Matches]:
        """Losses of one decoder layer.

        Args:
            output: its prediction.
            targets: labels of the frames.
            prefix: of the losses' names.
            num_instances: divisor of the sums over people; None: the people of `targets`.
            weight: of all losses of this layer.
            matches: of predictions and people; None: matched here (given for denoising).
            valid: True for predictions that take part, wherever they are; None: all, weighed by
                `Targets.background_weight_at`.

        Returns:
            the losses score, l1, oks and confidence, and the matches.
        """
        if matches is None:
            matches = self.near(output, targets, self.matches(output, targets))
        at = (matches.frame, matches.prediction)
        labels = MatchedLabels.of(targets, matches)
        l1, oks_loss, quality = keypoint_losses(output.keypoints_px[at], labels, self.sigmas)
        if valid is None:
            background = targets.background_weight_at(output.keypoints_px.detach().mean(dim=2))
        else:
            background = valid.float()
        target = score_targets(output.score_logits, matches, quality)
        score = score_loss(output.score_logits, target, background)
        confidence = confidence_loss(output.confidence_logits[at], output.keypoints_px[at], labels)
        w = self.weights
        scale = weight / (num_instances or LossNormaliser.of(targets).per_process().num_instances)
        return _weighted(
            prefix,
            {
                "score": (w.score * scale, score),
                "l1": (w.l1 * scale, l1),
                "oks": (w.oks * scale, oks_loss),
                "confidence": (w.confidence * scale, confidence),
            },
        ), matches

    def cells(
        self, cells: CellPredictions | None, targets: Targets, num_instances: float
    ) -> Losses:
        """Losses of all cells: one-to-one scores, which select proposals, and one-to-many scores.

        Raises:
            ValueError: if there are no cells: the frames were encoded without `all_cells`.
        """
        if cells is None:
            raise ValueError("encode the frames with all_cells=True to train the proposals")
        cost = cell_costs(cells.centres_px, cells.strides_px, targets)  # (B, S, P)
        cost = cost + pair_costs(cells.keypoints_px, targets, self.sigmas, self.costs)
        centres = cells.centres_px.expand(len(cells.keypoints_px), -1, -1)  # (B, S, 2)
        background = targets.background_weight_at(centres)  # (B, S)
        usable = cells.score_logits > PADDING_LOGIT / 10
        background = background * usable
        cost = cost + FORBIDDEN * (~usable).unsqueeze(-1)
        losses: Losses = {}
        w = self.weights
        if w.proposals:
            logits = cells.score_logits
            matches = match(logits, cost, targets, self.costs)
            scale = w.proposals / num_instances
            losses |= self._cells(
                "proposals", logits, cells.keypoints_px, matches, targets, background, scale
            )
        if w.dense:
            logits = cells.dense_score_logits
            matches = match_many(logits, cost, targets, self.costs, self.dense_cells)
            scale = w.dense / (num_instances * self.dense_cells)
            losses |= self._cells(
                "dense", logits, cells.keypoints_px, matches, targets, background, scale
            )
        return losses

    def _cells(
        self,
        prefix: str,
        logits: Float[Tensor, "B S"],
        keypoints_px: Float[Tensor, "B S K 2"],
        matches: Matches,
        targets: Targets,
        background: Float[Tensor, "B S"],
        scale: float,
    ) -> Losses:
        labels = MatchedLabels.of(targets, matches)
        matched = keypoints_px[matches.frame, matches.prediction]  # (M, K, 2)
        l1, oks_loss, quality = keypoint_losses(matched, labels, self.sigmas)
        target = score_targets(logits, matches, quality, MIN_CELL_TARGET)
        score = score_loss(logits, target, background)
        w = self.weights
        return _weighted(
            prefix,
            {
                "score": (w.score * scale, score),
                "l1": (w.l1 * scale, l1),
                "oks": (w.oks * scale, oks_loss),
            },
        )


def _weighted(prefix: str, values: dict[str, tuple[float, Tensor]]) -> Losses:
    """Losses times their weights; those with weight 0 are left out."""
    return {f"{prefix}/{name}": w * loss for name, (w, loss) in values.items() if w}


def total(losses: Losses) -> Float[Tensor, ""]:
    """The sum of all losses."""
    return torch.stack([value.float() for value in losses.values()]).sum()
