"""Proposals: every cell of the memory guesses whether a person is centred there, and the pose.

The N best cells become the first poses of the decoder (two-stage selection as in GroupPose,
arXiv 2308.07313). Their score is trained one-to-one, so that one person gives one proposal and no
suppression is needed; a second score, trained one-to-many, exists for training alone and speeds
up the start (the dual heads of YOLOv10, arXiv 2405.14458, carried over to poses by us).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vepe.models.attention import flatten_maps, mlp
from vepe.models.spatial_encoder import Memory

PRIOR = 0.01
"""Score of an untrained cell: most cells hold no person's centre (as in RetinaNet)."""


@dataclass(frozen=True)
class Proposals:
    """The N chosen cells and, in training, what all S cells say.

    Attributes:
        score_logits: (B, N) of the chosen cells, best first.
        keypoints_px: (B, N, K, 2) their poses.
        tokens: (B, N, C) their memory tokens.
        index: (B, N) where they stand among the S cells.
        all_score_logits, dense_score_logits: (B, S) one-to-one and one-to-many scores.
        all_keypoints_px: (B, S, K, 2).
        centres_px, strides_px: (S, 2) and (S,) of the cells.
    """

    score_logits: Float[Tensor, "B N"]
    keypoints_px: Float[Tensor, "B N K 2"]
    tokens: Float[Tensor, "B N C"]
    index: Int[Tensor, "B N"]
    all_score_logits: Float[Tensor, "B S"]
    dense_score_logits: Float[Tensor, "B S"] | None
    all_keypoints_px: Float[Tensor, "B S K 2"] | None
    centres_px: Float[Tensor, "S 2"]
    strides_px: Float[Tensor, "S"]


class ProposalHead(nn.Module):
    """Scores all cells and regresses poses.

    Args:
        dim: channels C.
        keypoints: K.
        queries: N, the number of people that a frame can hold.
    """

    def __init__(self, dim: int, keypoints: int, queries: int) -> None:
        super().__init__()
        self.keypoints, self.queries = keypoints, queries
        self.norm = nn.LayerNorm(dim)
        self.score = nn.Linear(dim, 1)
        self.dense_score = nn.Linear(dim, 1)
        self.pose = mlp(dim, 2 * keypoints, 3)
        for head in (self.score, self.dense_score):
            nn.init.constant_(head.bias, -math.log(1 / PRIOR - 1))

    def _poses(
        self, tokens: Tensor, centres: Float[Tensor, "... 2"], strides: Float[Tensor, "..."]
    ) -> Float[Tensor, "... K 2"]:
        """Poses in pixels; the unit of regression is 4 strides, so that 1 is half a person."""
        offsets = self.pose(tokens).float().unflatten(-1, (self.keypoints, 2))
        return centres.unsqueeze(-2) + offsets * (4 * strides)[..., None, None]

    def forward(self, memory: Memory) -> Proposals:
        """The best N cells of every frame. Cells in the padding are never chosen."""
        tokens = self.norm(flatten_maps(memory.maps))
        centres = torch.cat([memory.level_centres_px(i) for i in range(len(memory.maps))])
        cells = [m.shape[-2] * m.shape[-1] for m in memory.maps]
        strides = torch.cat(
            [
                torch.full((n,), float(s), device=tokens.device)
                for n, s in zip(cells, memory.strides, strict=True)
            ]
        )
        scores = self.score(tokens).squeeze(-1).float()
        if memory.padding is not None:
            padded = torch.cat([p.flatten(1) for p in memory.padding], dim=1)
            scores = scores.masked_fill(padded, -1e4)
        count = min(self.queries, scores.shape[1])
        best, index = scores.topk(count, dim=1)
        chosen = tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
        dense = every = None
        if self.training:
            dense = self.dense_score(tokens).squeeze(-1).float()
            every = self._poses(tokens, centres, strides)
            picked = index[..., None, None].expand(-1, -1, self.keypoints, 2)
            poses = every.gather(1, picked)
        else:
            poses = self._poses(chosen, centres[index], strides[index])
        return Proposals(best, poses, chosen, index, scores, dense, every, centres, strides)
