"""Heads: what is read off the queries: person score, keypoint step, keypoint confidence, identity.

The confidence of a keypoint is trained to say how close it is (see `vepe.losses.keypoints`), and
is not a by-product of the person's score: PoseTrack ranks joints, not people.
"""

from __future__ import annotations

import math

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.attention import mlp


class PoseHeads(nn.Module):
    """Score of the instance query; step and confidence of each pose query."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.score = nn.Linear(dim, 1)
        self.step = mlp(dim, 2, 2, zero_last=True)
        self.confidence = nn.Linear(dim, 1)
        nn.init.constant_(self.score.bias, -math.log(9))  # 0.1: a proposal is seldom a person

    def forward(
        self, queries: Float[Tensor, "B N J C"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N K 2"], Float[Tensor, "B N K"]]:
        """Score logits, steps in units of the person's size, confidence logits; all float32."""
        normed = self.norm(queries)
        score = self.score(normed[:, :, 0]).squeeze(-1)
        pose = normed[:, :, 1:]
        confidence = self.confidence(pose).squeeze(-1)
        return score.float(), self.step(pose).float(), confidence.float()


class IdentityHead(nn.Module):
    """Identity embedding of the instance query (IDOL's three-layer head, arXiv 2207.10661).

    Args:
        dim: channels C of the queries.
        out: length D of the embedding.
    """

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.project = mlp(dim, out, 3)

    def forward(
        self, instance: Float[Tensor, "B N C"], looks: Float[Tensor, "B N C"] | None = None
    ) -> Float[Tensor, "B N D"]:
        """Embeddings of unit length, float32; `looks` is what `Appearance` says, if anything."""
        known = self.norm(instance)
        if looks is not None:
            known = known + looks
        return F.normalize(self.project(known).float(), dim=-1)
