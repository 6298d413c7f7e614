"""What losses are divided by: people of a whole optimiser step, however it is cut into batches.

A mean over each process's own people would weigh a person by who shares its batch. Counted from
the labels alone, so that the counts of all parts are known before any of them is run.

The criterion: all losses, each under its name, with one table of weights.

Every decoder layer and the proposals are supervised. The parts are kept apart until the end, so
that a log can show them and an ablation can set a weight to zero; such a part is not computed.
Each is a sum over people, divided by the people of the whole optimiser step (`LossNormaliser`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from vepe.config.training import LossConfig
from vepe.losses.denoising import Noised
from vepe.losses.identity import identity_losses
from vepe.losses.keypoints import (
    MatchedLabels,
    confidence_loss,
    place_losses,
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
from vepe.losses.targets import Targets
from vepe.models.decoder_layer import LayerOutput
from vepe.models.proposals import Proposals


@dataclass(frozen=True)
class LossNormaliser:
    """Labelled people, and those of them whose identity is seen in another frame of their clip."""

    people: float
    anchors: float

    @staticmethod
    def of(targets: Targets) -> LossNormaliser:
        """The counts of one batch; its track ids are unique over the clips."""
        ids = targets.track_ids[targets.valid & (targets.track_ids >= 0)]
        times = torch.unique(ids, return_counts=True)[1]
        return LossNormaliser(float(targets.valid.sum()), float(times[times > 1].sum()))

    def divisors(self, parts: int = 1) -> LossNormaliser:
        """At least 1 each, and divided by the number of parts whose mean will be taken."""
        return LossNormaliser(max(self.people, 1.0) / parts, max(self.anchors, 1.0) / parts)


Parts = dict[str, Tensor]


@dataclass(frozen=True)
class Criterion:
    """Losses of frames, key frames and identities. Sigmas are the skeleton's, as a tensor."""

    sigmas: Float[Tensor, "K"]
    weights: LossConfig = field(default_factory=LossConfig)
    costs: MatchCosts = field(default_factory=MatchCosts)
    dense_cells: int = 9

    def layer(
        self,
        output: LayerOutput,
        targets: Targets,
        prefix: str,
        people: float | None = None,
        weight: float = 1.0,
        matches: Matches | None = None,
        counts: Tensor | None = None,
    ) -> tuple[Parts, Matches]:
        """Losses of one decoder layer, matched here unless `matches` are given (denoising).

        Args:
            people: what sums are divided by; the targets' own people where None.
            counts: True for predictions that take part; the rest is left out.
        """
        if matches is None:
            matches = self.matches(output, targets)
        at = (matches.frame, matches.prediction)
        labels = MatchedLabels.of(targets, matches)
        l1, oks, quality = place_losses(output.keypoints_px[at], labels, self.sigmas)
        background = targets.place_weight(output.keypoints_px.detach().mean(dim=2))
        if counts is not None:
            background = counts.float()
        wanted = score_targets(output.score_logits, matches, quality)
        score = score_loss(output.score_logits, wanted, background)
        sure = confidence_loss(output.confidence_logits[at], output.keypoints_px[at], labels)
        w = self.weights
        scale = weight / (people or LossNormaliser.of(targets).divisors().people)
        return _weighted(
            prefix,
            {
                "score": (w.score * scale, score),
                "l1": (w.l1 * scale, l1),
                "oks": (w.oks * scale, oks),
                "confidence": (w.confidence * scale, sure),
            },
        ), matches

    def matches(self, output: LayerOutput, targets: Targets) -> Matches:
        """Which of a layer's people is which labelled person."""
        cost = pair_costs(output.keypoints_px, targets, self.sigmas, self.costs)
        return match(output.score_logits, cost, targets, self.costs)

    def proposals(self, proposals: Proposals, targets: Targets, people: float) -> Parts:
        """Losses of all cells: one-to-one (what selects) and one-to-many (training alone)."""
        poses, dense = proposals.all_keypoints_px, proposals.dense_score_logits
        if poses is None or dense is None:
            raise ValueError("proposals of a model in evaluation mode carry no dense outputs")
        cost = cell_costs(proposals.centres_px, proposals.strides_px, targets)
        cost = cost + pair_costs(poses, targets, self.sigmas, self.costs)
        background = targets.place_weight(proposals.centres_px.expand(len(poses), -1, -1))
        usable = proposals.all_score_logits > -1e3  # cells in the padding never learn
        background = background * usable
        cost = cost + FORBIDDEN * (~usable).unsqueeze(-1)
        parts: Parts = {}
        w = self.weights
        if w.proposals:
            logits = proposals.all_score_logits
            matches = match(logits, cost, targets, self.costs)
            scale = w.proposals / people
            parts |= self._cells("proposals", logits, poses, matches, targets, background, scale)
        if w.dense:
            matches = match_many(dense, cost, targets, self.costs, self.dense_cells)
            scale = w.dense / (people * self.dense_cells)
            parts |= self._cells("dense", dense, poses, matches, targets, background, scale)
        return parts

    def _cells(
        self,
        name: str,
        logits: Float[Tensor, "B S"],
        poses: Float[Tensor, "B S K 2"],
        matches: Matches,
        targets: Targets,
        background: Float[Tensor, "B S"],
        scale: float,
    ) -> Parts:
        labels = MatchedLabels.of(targets, matches)
        placed = poses[matches.frame, matches.prediction]
        l1, oks, quality = place_losses(placed, labels, self.sigmas)
        score = score_loss(logits, score_targets(logits, matches, quality), background)
        w = self.weights
        values = {
            "score": (w.score * scale, score),
            "l1": (w.l1 * scale, l1),
            "oks": (w.oks * scale, oks),
        }
        return _weighted(name, values)

    def frames(
        self,
        layers: list[LayerOutput],
        proposals: Proposals,
        targets: Targets,
        noised: Noised | None,
        people: float,
    ) -> tuple[Parts, Matches]:
        """Losses of the per-frame path, and the last layer's matches."""
        w = self.weights
        parts = self.proposals(proposals, targets, people) if w.proposals or w.dense else {}
        own = slice(0, proposals.score_logits.shape[1])
        behind = slice(proposals.score_logits.shape[1], None)
        matches = None
        for index, output in enumerate(layers):
            if w.layers:
                name = f"spatial{index}"
                found, matches = self.layer(output.people(own), targets, name, people, w.layers)
                parts |= found
            if noised is not None:
                found, _ = self.layer(
                    output.people(behind),
                    targets,
                    f"denoise{index}",
                    people * noised.near_groups,
                    w.denoising,
                    noised.matches,
                    noised.counts,
                )
                parts |= found
        if matches is None:
            matches = self.matches(layers[-1].people(own), targets)
        return parts, matches

    def key_frame(self, layers: list[LayerOutput], targets: Targets, people: float) -> Parts:
        """Losses of the spatio-temporal pose decoder for one key frame."""
        parts: Parts = {}
        for index, output in enumerate(layers):
            parts |= self.layer(output, targets, f"temporal{index}", people)[0]
        return parts

    def identity(
        self,
        embeddings: Float[Tensor, "B N D"],
        matches: Matches,
        targets: Targets,
        temperature: Float[Tensor, ""],
        clips: int,
        anchors: float,
    ) -> Parts:
        """Identity losses over all frames; row r of `embeddings` is a frame of clip r % clips."""
        w = self.weights
        if not w.contrastive and not w.cosine:
            return {}
        seen = embeddings[matches.frame, matches.prediction]
        ids = targets.track_ids[matches.frame, matches.person]
        contrastive, cosine, _ = identity_losses(
            seen, ids, matches.frame, temperature, matches.frame % clips
        )
        return _weighted(
            "identity",
            {
                "contrastive": (w.contrastive / anchors, contrastive),
                "cosine": (w.cosine / anchors, cosine),
            },
        )


def _weighted(prefix: str, values: dict[str, tuple[float, Tensor]]) -> Parts:
    """The parts whose weight is not 0."""
    return {f"{prefix}/{name}": w * value for name, (w, value) in values.items() if w}


def total(parts: Parts) -> Float[Tensor, ""]:
    """The sum of all parts."""
    return torch.stack([value.float() for value in parts.values()]).sum()
