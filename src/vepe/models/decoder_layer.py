"""Heads: what is read off the queries: person score, keypoint step, keypoint confidence, identity.

The confidence of a keypoint is trained to say how close it is (see `vepe.losses.keypoints`), and
is not a by-product of the person's score: PoseTrack ranks joints, not people.

Keypoint search: a pose query compares itself with the memory around its keypoint (ours).

A small grid of places around the present estimate, in units of the person's size; the match of
query and memory at each place gives a softmax, and its mean the step towards the keypoint, as
integral regression does on heatmaps (arXiv 1711.08229), but for each query alone. Plain
deformable attention cannot do that: its weights come from the query and never look at the keys.

One decoder layer, shared by the spatial decoder and the spatio-temporal pose decoder (STPD).

GroupPose's order (arXiv 2308.07313): the queries of a person attend to each other, then the
queries of the same keypoint across people, then the picture, then a feed-forward block; every
layer moves the keypoints. Pre-norm, distances in units of the person's size, and the keypoint
search are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.attention import FeedForwardBlock, SelfAttentionBlock, mlp
from vepe.models.deformable import DeformableAttention, sample_map
from vepe.models.positions import PointEmbedding
from vepe.models.spatial_encoder import Memory


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


class LocalRefinement(nn.Module):
    """Finds each keypoint near its present estimate.

    Args:
        dim: channels C of queries and memory.
        channels: channels in which query and memory are compared.
        side: places along one side of the grid, odd.
        reach: half the side of the grid in units of the person's size.
        fine: channels of the memory's fine map; 0 where it has none.
    """

    grid: Tensor

    def __init__(
        self, dim: int, channels: int = 32, side: int = 5, reach: float = 0.15, fine: int = 0
    ) -> None:
        super().__init__()
        self.reach = reach
        self.to_query = nn.Linear(dim, channels)
        self.to_key = nn.Conv2d(dim, channels, 1)
        self.to_content = nn.Linear(channels, dim)
        self.to_fine = nn.Conv2d(fine, channels, 1, bias=False) if fine else None
        if self.to_fine is not None:
            # Weights that were trained without it go on as they are.
            nn.init.zeros_(self.to_fine.weight)
        axis = torch.linspace(-1, 1, side)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 2)
        self.register_buffer("grid", grid, persistent=False)
        # Untrained, near places count more than far ones: the estimate stays where it is.
        self.distance_bias = nn.Parameter(-2.0 * grid.square().sum(dim=-1))

    def keys(self, memory: Memory) -> Float[Tensor, "B c h w"]:
        """What queries are compared with: the memory's finest level, sharpened by its fine map."""
        coarse = memory.projected(self.to_key, slice(0, 1))[0]
        if self.to_fine is None:
            return coarse
        fine = memory.projected_fine(self.to_fine)
        return fine + F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)

    def forward(
        self,
        queries: Float[Tensor, "B N K C"],
        keypoints_px: Float[Tensor, "B N K 2"],
        size_px: Float[Tensor, "B N"],
        keys: Float[Tensor, "B c h w"],
        image_wh_px: Float[Tensor, "2"],
    ) -> tuple[Float[Tensor, "B N K 2"], Float[Tensor, "B N K"], Float[Tensor, "B N K C"]]:
        """Steps in units of the person's size, the best match's logit, and what was seen there.

        `keys` are those of the memory (see `keys`).
        """
        people, keypoints = queries.shape[1:3]
        reach = (self.reach * size_px)[:, :, None, None, None]
        places = keypoints_px.unsqueeze(3) + self.grid * reach
        found = sample_map(keys, places.flatten(1, 2), image_wh_px)
        found = found.unflatten(2, (people, keypoints))
        query = self.to_query(queries) / keys.shape[1] ** 0.5
        logits = torch.einsum("bnkc,bcnkp->bnkp", query, found) + self.distance_bias
        weights = logits.float().softmax(dim=-1)
        step = (weights @ self.grid) * self.reach
        content = torch.einsum("bnkp,bcnkp->bnkc", weights.to(found.dtype), found)
        return step, logits.amax(dim=-1), self.to_content(content)


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
        search: whether keypoints are also looked for by `LocalRefinement`.
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
        self.search = LocalRefinement(dim, reach=reach, fine=fine) if search else None
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
