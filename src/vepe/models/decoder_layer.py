"""One decoder layer, shared by the spatial decoder and the spatio-temporal pose decoder (STPD).

GroupPose's order (arXiv 2308.07313): the queries of a person attend to each other, then the
queries of the same keypoint across people, then the picture, then a feed-forward block; every
layer moves the keypoints. Pre-norm, distances in units of the person's size, and the keypoint
search are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.attention import FeedForwardBlock, SelfAttentionBlock
from vepe.models.deformable import DeformableAttention
from vepe.models.heads import PoseHeads
from vepe.models.positions import PointEmbedding
from vepe.models.search import KeypointSearch
from vepe.models.spatial_encoder import Memory

MIN_SIZE_PX = 8.0
"""People are never taken for smaller than this, so that no division blows up."""


@dataclass(frozen=True)
class LayerOutput:
    """What one layer says of N people: (B, N), (B, N, K, 2) and (B, N, K)."""

    score_logits: Float[Tensor, "B N"]
    keypoints_px: Float[Tensor, "B N K 2"]
    confidence_logits: Float[Tensor, "B N K"]

    def people(self, rows: slice) -> LayerOutput:
        """Some of the people."""
        return LayerOutput(
            self.score_logits[:, rows], self.keypoints_px[:, rows], self.confidence_logits[:, rows]
        )


def person_size_px(keypoints_px: Float[Tensor, "B N K 2"]) -> Float[Tensor, "B N"]:
    """Longer side of the box around a pose, at least `MIN_SIZE_PX`; no gradient."""
    points = keypoints_px.detach()
    extent = points.amax(dim=2) - points.amin(dim=2)
    return extent.amax(dim=-1).clamp_min(MIN_SIZE_PX)


class PoseDecoderLayer(nn.Module):
    """Refines queries and keypoints once.

    Args:
        dim, heads, points, hidden: sizes of attention, deformable sampling and feed-forward.
        levels: levels of the memory.
        search: whether keypoints are also looked for by `KeypointSearch`.
        reach: half the side of the search grid in units of the person's size.
        fine: channels of the memory's fine map, which the search reads; 0 where it has none.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        points: int,
        hidden: int,
        levels: int,
        *,
        search: bool = True,
        reach: float = 0.15,
        fine: int = 0,
    ) -> None:
        super().__init__()
        self.embed = PointEmbedding(dim)
        self.within = SelfAttentionBlock(dim, heads)
        self.across = SelfAttentionBlock(dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.image = DeformableAttention(dim, heads, levels, points)
        self.feed_forward = FeedForwardBlock(dim, hidden)
        self.search = KeypointSearch(dim, reach=reach, fine=fine) if search else None
        self.heads = PoseHeads(dim)

    def forward(
        self,
        queries: Float[Tensor, "B N J C"],
        keypoints_px: Float[Tensor, "B N K 2"],
        memory: Memory,
        people_mask: Bool[Tensor, "B*J 1 N N"] | None = None,
    ) -> tuple[Float[Tensor, "B N J C"], LayerOutput]:
        """Updated queries (instance query first, J = K+1) and what they say.

        `people_mask`: True where one person's queries may look at another's (denoising groups).
        """
        batch, people, tokens, _ = queries.shape
        reference = keypoints_px.detach()
        size = person_size_px(reference)
        centre = reference.mean(dim=2, keepdim=True)
        points = torch.cat([centre, reference], dim=2)
        positions = self.embed(points, centre, size[:, :, None, None], memory.image_wh_px)

        flat = self.within(queries.flatten(0, 1), positions.flatten(0, 1))
        queries = flat.view(batch, people, tokens, -1)

        by_keypoint = queries.transpose(1, 2).flatten(0, 1)
        by_keypoint = self.across(by_keypoint, positions.transpose(1, 2).flatten(0, 1), people_mask)
        queries = by_keypoint.view(batch, tokens, people, -1).transpose(1, 2)

        values = [v.unsqueeze(1) for v in memory.projected(self.image.project)]
        radius = (0.3 * size).repeat_interleave(tokens, dim=1).unsqueeze(-1)
        seen = self.image(
            (self.norm(queries) + positions).flatten(1, 2),
            points.flatten(1, 2),
            radius,
            values,
            memory.image_wh_px,
        )
        queries = self.feed_forward(queries + seen.view_as(queries))
        return self._refine(queries, reference, size, memory)

    def _refine(
        self, queries: Tensor, reference: Tensor, size: Tensor, memory: Memory
    ) -> tuple[Float[Tensor, "B N J C"], LayerOutput]:
        """Moves the keypoints by search and regression, and reads scores off the queries."""
        step = queries.new_zeros(())
        match = None
        if self.search is not None:
            pose = queries[:, :, 1:]
            keys = self.search.keys(memory)
            step, match, content = self.search(pose, reference, size, keys, memory.image_wh_px)
            queries = torch.cat([queries[:, :, :1], pose + content], dim=2)
        score, delta, confidence = self.heads(queries)
        if match is not None:
            confidence = confidence + match.float()
        moved = reference + (step + delta) * size[:, :, None, None]
        return queries, LayerOutput(score, moved, confidence)
