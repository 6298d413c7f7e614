"""The criterion: all losses, each under its name, with one table of weights.

Every decoder layer and the proposals are supervised. The parts are kept apart until the end, so
that a log can show them and an ablation can set a weight to zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from vepe.config.training import LossConfig
from vepe.losses.consistency import identity_losses
from vepe.losses.denoising import Noised
from vepe.losses.keypoints import MatchedLabels, confidence_loss, place_losses
from vepe.losses.matcher import (
    FORBIDDEN,
    MatchCosts,
    Matches,
    cell_costs,
    match,
    match_many,
    pair_costs,
)
from vepe.losses.scores import score_loss, score_targets
from vepe.losses.targets import Targets
from vepe.models.decoder_layer import LayerOutput
from vepe.models.proposals import Proposals

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
        weight: float = 1.0,
        matches: Matches | None = None,
        counts: Tensor | None = None,
    ) -> tuple[Parts, Matches]:
        """Losses of one decoder layer, matched here unless `matches` are given (denoising).

        `counts`: True for predictions that take part; the rest is left out.
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
        w, count = self.weights, targets.people_count()
        scale = weight / count
        return {
            f"{prefix}/score": w.score * scale * score,
            f"{prefix}/l1": w.l1 * scale * l1,
            f"{prefix}/oks": w.oks * scale * oks,
            f"{prefix}/confidence": w.confidence * scale * sure,
        }, matches

    def matches(self, output: LayerOutput, targets: Targets) -> Matches:
        """Which of a layer's people is which labelled person."""
        cost = pair_costs(output.keypoints_px, targets, self.sigmas, self.costs)
        return match(output.score_logits, cost, targets, self.costs)

    def proposals(self, proposals: Proposals, targets: Targets) -> Parts:
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
        one = match(proposals.all_score_logits, cost, targets, self.costs)
        many = match_many(dense, cost, targets, self.costs, self.dense_cells)
        parts: Parts = {}
        w, count = self.weights, targets.people_count()
        for name, logits, matches, weight in (
            ("proposals", proposals.all_score_logits, one, w.proposals),
            ("dense", dense, many, w.dense),
        ):
            labels = MatchedLabels.of(targets, matches)
            placed = poses[matches.frame, matches.prediction]
            l1, oks, quality = place_losses(placed, labels, self.sigmas)
            wanted = score_targets(logits, matches, quality)
            people = count if name == "proposals" else logits.new_tensor(max(len(matches), 1))
            score = score_loss(logits, wanted, background)
            parts[f"{name}/score"] = w.score * weight * score / people
            parts[f"{name}/l1"] = w.l1 * weight * l1 / people
            parts[f"{name}/oks"] = w.oks * weight * oks / people
        return parts

    def frames(
        self,
        layers: list[LayerOutput],
        proposals: Proposals,
        targets: Targets,
        noised: Noised | None,
    ) -> tuple[Parts, Matches]:
        """Losses of the per-frame path, and the last layer's matches."""
        parts = self.proposals(proposals, targets)
        own = slice(0, proposals.score_logits.shape[1])
        behind = slice(proposals.score_logits.shape[1], None)
        for index, output in enumerate(layers):
            name = f"spatial{index}"
            found, matches = self.layer(output.people(own), targets, name, self.weights.layers)
            parts |= found
            if noised is not None:
                found, _ = self.layer(
                    output.people(behind),
                    targets,
                    f"denoise{index}",
                    self.weights.denoising / noised.near_groups,
                    noised.matches,
                    noised.counts,
                )
                parts |= found
        return parts, matches

    def key_frame(self, layers: list[LayerOutput], targets: Targets, share: float) -> Parts:
        """Losses of the spatio-temporal pose decoder for one key frame of `share` in all."""
        parts: Parts = {}
        for index, output in enumerate(layers):
            parts |= self.layer(output, targets, f"temporal{index}", share)[0]
        return parts

    def identity(
        self,
        embeddings: Float[Tensor, "B N D"],
        matches: Matches,
        targets: Targets,
        temperature: Float[Tensor, ""],
    ) -> Parts:
        """Identity losses over all frames of the batch (rows of `embeddings` are frames)."""
        seen = embeddings[matches.frame, matches.prediction]
        ids = targets.track_ids[matches.frame, matches.person]
        contrastive, cosine, _ = identity_losses(seen, ids, matches.frame, temperature)
        return {
            "identity/contrastive": self.weights.contrastive * contrastive,
            "identity/cosine": self.weights.cosine * cosine,
        }


def total(parts: Parts) -> Float[Tensor, ""]:
    """The sum of all parts."""
    return torch.stack([value.float() for value in parts.values()]).sum()
