"""Proposals: every cell of the memory predicts a person's score and pose; the best N go on.

The N best cells become the first poses of the decoder (two-stage selection as in GroupPose,
arXiv 2308.07313). Their score is trained one-to-one, so that one person gives one proposal and no
suppression is needed. A second score, trained one-to-many, exists for training only and speeds up
its start (the dual heads of YOLOv10, arXiv 2405.14458, applied to poses by us).

Dimensions: B batch, S cells of all levels, N proposals, K keypoints, C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vepe.models.attention import flatten_maps, mlp
from vepe.models.memory import Memory

PRIOR = 0.01
"""Score of an untrained cell: most cells hold no person's centre (as in RetinaNet)."""

PADDING_LOGIT = -1e4
"""Score logit of cells in the padding, which are never proposals and never trained."""


@dataclass(frozen=True)
class CellPredictions:
    """What all S cells predict; only the losses read it.

    Attributes:
        score_logits: (B, S) one-to-one person scores; `PADDING_LOGIT` in the padding.
        dense_score_logits: (B, S) one-to-many person scores.
        keypoints_px: (B, S, K, 2) poses.
        centres_px, strides_px: (S, 2) and (S,), of the cells.
    """

    score_logits: Float[Tensor, "B S"]
    dense_score_logits: Float[Tensor, "B S"]
    keypoints_px: Float[Tensor, "B S K 2"]
    centres_px: Float[Tensor, "S 2"]
    strides_px: Float[Tensor, "S"]


@dataclass(frozen=True)
class Proposals:
    """The N best cells of each frame, best first.

    Attributes:
        score_logits: (B, N) one-to-one person scores.
        keypoints_px: (B, N, K, 2) poses.
        tokens: (B, N, C) memory tokens.
        index: (B, N) of each proposal among the S cells.
        cells: predictions of all cells, or None.
    """

    score_logits: Float[Tensor, "B N"]
    keypoints_px: Float[Tensor, "B N K 2"]
    tokens: Float[Tensor, "B N C"]
    index: Int[Tensor, "B N"]
    cells: CellPredictions | None


class ProposalHead(nn.Module):
    """Scores all cells and regresses poses.

    Args:
        dim: channels C.
        keypoints: K.
        queries: N, the largest number of people in a frame.
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
        self, tokens: Float[Tensor, "... C"], centres: Tensor, strides: Float[Tensor, "..."]
    ) -> Float[Tensor, "... K 2"]:
        """Poses in pixels; offsets from the centre are in units of 4 strides, half a person."""
        offsets = self.pose(tokens).float().unflatten(-1, (self.keypoints, 2))  # (..., K, 2)
        return centres.unsqueeze(-2) + offsets * (4 * strides)[..., None, None]

    def forward(self, memory: Memory, *, all_cells: bool = False) -> Proposals:
        """The N best cells of every frame, outside the padding (fewer, if there are fewer cells).

        Args:
            memory: of the frames.
            all_cells: also predict the poses and one-to-many scores of all cells, for the losses.
        """
        tokens = self.norm(flatten_maps(memory.maps))  # (B, S, C)
        centres = torch.cat([memory.level_centres_px(i) for i in range(len(memory.maps))])  # (S, 2)
        strides = torch.cat(
            [
                torch.full((m.shape[-2] * m.shape[-1],), float(stride), device=tokens.device)
                for m, stride in zip(memory.maps, memory.strides, strict=True)
            ]
        )  # (S,)
        scores = self.score(tokens).squeeze(-1).float()  # (B, S)
        if memory.padding is not None:
            padded = torch.cat([p.flatten(1) for p in memory.padding], dim=1)  # (B, S)
            scores = scores.masked_fill(padded, PADDING_LOGIT)
        best, index = scores.topk(min(self.queries, scores.shape[1]), dim=1)  # (B, N)
        by_channel = index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])  # (B, N, C)
        chosen = tokens.gather(1, by_channel)
        if not all_cells:
            poses = self._poses(chosen, centres[index], strides[index])
            return Proposals(best, poses, chosen, index, None)
        dense = self.dense_score(tokens).squeeze(-1).float()  # (B, S)
        all_poses = self._poses(tokens, centres, strides)  # (B, S, K, 2)
        by_keypoint = index[..., None, None].expand(-1, -1, self.keypoints, 2)  # (B, N, K, 2)
        poses = all_poses.gather(1, by_keypoint)
        cells = CellPredictions(scores, dense, all_poses, centres, strides)
        return Proposals(best, poses, chosen, index, cells)
