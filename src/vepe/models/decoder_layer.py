"""The decoder layer of both decoders, with its heads and the local refinement of keypoints.

`PoseDecoderLayer` follows GroupPose (arXiv 2308.07313): self-attention within a person, then across
people for each keypoint, then deformable attention to the image, then feed-forward; every layer
moves the keypoints. Pre-norm, distances in units of the person's size and the refinement are ours.

`LocalRefinement` (ours) compares a pose query with features around its keypoint, by a soft-argmax
as in integral regression on heatmaps (arXiv 1711.08229), but for each query. Plain deformable
attention cannot do that: its weights come from the query and do not depend on the keys.

Dimensions: B batch, N people, K keypoints, J = K + 1 queries per person (the instance query first,
then one pose query per keypoint), C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.attention import FeedForwardBlock, SelfAttentionBlock, mlp
from vepe.models.deformable import DeformableAttention, sample_grid
from vepe.models.memory import Memory
from vepe.models.positions import PointEmbedding

MIN_SIZE_PX = 8.0
"""Lower bound of a person's size; sizes are divided by."""


@dataclass(frozen=True)
class LayerOutput:
    """The prediction of one decoder layer.

    Attributes:
        score_logits: (B, N) person scores.
        keypoints_px: (B, N, K, 2) in pixels of the network's input.
        confidence_logits: (B, N, K) confidence of each keypoint: how close it is to the true one,
            see `vepe.losses.keypoints`. It is trained on its own, not derived from the person's
            score: PoseTrack ranks keypoints, not people.
    """

    score_logits: Float[Tensor, "B N"]
    keypoints_px: Float[Tensor, "B N K 2"]
    confidence_logits: Float[Tensor, "B N K"]

    def people(self, index: slice) -> LayerOutput:
        """Only some of the people of every frame."""
        return LayerOutput(
            self.score_logits[:, index],
            self.keypoints_px[:, index],
            self.confidence_logits[:, index],
        )

    def detach(self) -> LayerOutput:
        """The same prediction without gradient."""
        return LayerOutput(
            self.score_logits.detach(), self.keypoints_px.detach(), self.confidence_logits.detach()
        )


@dataclass(frozen=True)
class PoseOutput(LayerOutput):
    """The finished poses of a frame, with identities.

    Attributes:
        identity: (B, N, D) unit embeddings.
    """

    identity: Float[Tensor, "B N D"]

    @staticmethod
    def of(poses: LayerOutput, identity: Float[Tensor, "B N D"]) -> PoseOutput:
        """From a layer's prediction."""
        return PoseOutput(poses.score_logits, poses.keypoints_px, poses.confidence_logits, identity)

    def __getitem__(self, rows: slice | list[int]) -> PoseOutput:
        """Some rows of the batch."""
        return PoseOutput(
            self.score_logits[rows],
            self.keypoints_px[rows],
            self.confidence_logits[rows],
            self.identity[rows],
        )


def person_size_px(keypoints_px: Float[Tensor, "B N K 2"]) -> Float[Tensor, "B N"]:
    """Longer side of the box around each pose, at least `MIN_SIZE_PX`; carries no gradient."""
    points = keypoints_px.detach()
    extent = points.amax(dim=2) - points.amin(dim=2)  # (B, N, 2)
    return extent.amax(dim=-1).clamp_min(MIN_SIZE_PX)


class PoseHeads(nn.Module):
    """Person score from the instance query; keypoint delta and confidence from each pose query."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.score = nn.Linear(dim, 1)
        self.step = mlp(dim, 2, 2, zero_last=True)  # the keypoint delta, by its name in weights
        self.confidence = nn.Linear(dim, 1)
        nn.init.constant_(self.score.bias, -math.log(9))  # 0.1: few proposals are people

    def forward(
        self, queries: Float[Tensor, "B N J C"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N K 2"], Float[Tensor, "B N K"]]:
        """Score logits, deltas in units of the person's size, confidence logits; all float32."""
        normed = self.norm(queries)
        # A product and a sum stay in float32 under autocast. In bf16, a score whose weights are
        # large and nearly cancel its bias would be off by whole logits.
        score = (normed[:, :, 0].float() * self.score.weight[0]).sum(dim=-1) + self.score.bias
        pose = normed[:, :, 1:]  # (B, N, K, C)
        confidence = self.confidence(pose)[..., 0]
        return score, self.step(pose).float(), confidence.float()


class LocalRefinement(nn.Module):
    """Moves each keypoint to the best match of its query in a small grid around it.

    The dot products of the query with the features at the grid's points give a softmax; its mean
    position is the keypoint's delta. The features are the memory's finest level plus the
    high-resolution features, if the memory has them.

    Args:
        dim: channels C of queries and memory.
        channels: channels D in which query and features are compared.
        side: points along one side of the grid, odd.
        radius: half the side of the grid, in units of the person's size.
        high_resolution_dim: channels of the high-resolution features; 0: none.
    """

    grid: Tensor

    def __init__(
        self,
        dim: int,
        channels: int = 32,
        side: int = 5,
        radius: float = 0.15,
        high_resolution_dim: int = 0,
    ) -> None:
        super().__init__()
        self.radius = radius
        self.to_query = nn.Linear(dim, channels)
        self.to_key = nn.Conv2d(dim, channels, 1)
        self.to_content = nn.Linear(channels, dim)
        self.to_fine: nn.Conv2d | None = None
        if high_resolution_dim:
            self.to_fine = nn.Conv2d(high_resolution_dim, channels, 1, bias=False)
            # Zero, so that weights trained without these features work unchanged at first.
            nn.init.zeros_(self.to_fine.weight)
        axis = torch.linspace(-1, 1, side)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)  # (side, side, 2)
        grid = grid.reshape(-1, 2)  # (P, 2), P = side * side
        self.register_buffer("grid", grid, persistent=False)
        # Untrained, points near the centre weigh more: the keypoint stays where it is.
        self.distance_bias = nn.Parameter(-2.0 * grid.square().sum(dim=-1))

    def keys(self, memory: Memory) -> Float[Tensor, "B D h w"]:
        """The features that queries are compared with."""
        coarse = memory.projected(self.to_key, slice(0, 1))[0]
        if self.to_fine is None:
            return coarse
        fine = memory.projected_high_resolution(self.to_fine)
        return fine + F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)

    def forward(
        self,
        queries: Float[Tensor, "B N K C"],
        keypoints_px: Float[Tensor, "B N K 2"],
        size_px: Float[Tensor, "B N"],
        keys: Float[Tensor, "B D h w"],
        image_wh_px: Float[Tensor, "2"],
    ) -> tuple[Float[Tensor, "B N K 2"], Float[Tensor, "B N K"], Float[Tensor, "B N K C"]]:
        """Refines the keypoints.

        Args:
            queries: pose queries.
            keypoints_px: present keypoints, the centres of the grids.
            size_px: sizes of the people.
            keys: `keys` of the memory.
            image_wh_px: width and height of the network's input.

        Returns:
            deltas in units of the person's size, the logit of the best match, and the matched
            features as an update of the queries.
        """
        people, channels = queries.shape[1], keys.shape[1]
        # Queries and points with the people's keypoints innermost, see `vepe.models.deformable`.
        scale = 2 / image_wh_px.float()
        centre = (keypoints_px.float() * scale - 1).flatten(1, 2)  # (B, N*K, 2)
        radius = (self.radius * size_px)[:, :, None, None] * scale  # (B, N, 1, 2)
        radius = radius.expand_as(keypoints_px).flatten(1, 2)  # (B, N*K, 2)
        grid = centre.unsqueeze(1) + self.grid.unsqueeze(1) * radius.unsqueeze(1)
        sampled = sample_grid(keys, grid)  # (B, D, P, N*K)
        query = self.to_query(queries).flatten(1, 2) * channels**-0.5
        query = query.transpose(1, 2).unsqueeze(2)  # (B, D, 1, N*K)
        logits = (sampled * query).sum(dim=1).transpose(1, 2) + self.distance_bias  # (B, N*K, P)
        weights = logits.float().softmax(dim=-1)  # (B, N*K, P)
        delta = (weights @ self.grid) * self.radius  # (B, N*K, 2)
        spread = weights.to(sampled.dtype).transpose(1, 2).unsqueeze(1)  # (B, 1, P, N*K)
        content = self.to_content((sampled * spread).sum(dim=2).transpose(1, 2))  # (B, N*K, C)
        by_person = (people, -1)
        return (
            delta.unflatten(1, by_person),
            logits.amax(dim=-1).unflatten(1, by_person),
            content.unflatten(1, by_person),
        )


class PoseDecoderLayer(nn.Module):
    """Updates queries and keypoints once.

    Args:
        dim, heads, points, hidden: sizes of attention, sampling and feed-forward.
        levels: number of levels of the memory.
        refine: whether keypoints are also moved by `LocalRefinement`.
        radius: of the refinement, in units of the person's size.
        high_resolution_dim: channels of the memory's high-resolution features; 0: none.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        points: int,
        hidden: int,
        levels: int,
        *,
        refine: bool = True,
        radius: float = 0.15,
        high_resolution_dim: int = 0,
    ) -> None:
        super().__init__()
        self.embed = PointEmbedding(dim)
        self.within = SelfAttentionBlock(dim, heads)
        self.across = SelfAttentionBlock(dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.image = DeformableAttention(dim, heads, levels, points)
        self.feed_forward = FeedForwardBlock(dim, hidden)
        self.search: LocalRefinement | None = None
        if refine:
            self.search = LocalRefinement(
                dim, radius=radius, high_resolution_dim=high_resolution_dim
            )
        self.heads = PoseHeads(dim)

    def forward(
        self,
        queries: Float[Tensor, "B N J C"],
        keypoints_px: Float[Tensor, "B N K 2"],
        memory: Memory,
        people_mask: Bool[Tensor, "B*J 1 N N"] | None = None,
    ) -> tuple[Float[Tensor, "B N J C"], LayerOutput]:
        """Runs the layer.

        Args:
            queries: instance query first.
            keypoints_px: present keypoints.
            memory: of the frame.
            people_mask: True where queries of one person may attend to another's (denoising).

        Returns:
            the updated queries, and the layer's prediction.
        """
        batch, people, tokens, _ = queries.shape
        reference = keypoints_px.detach()
        size = person_size_px(reference)  # (B, N)
        centre = reference.mean(dim=2, keepdim=True)  # (B, N, 1, 2)
        points = torch.cat([centre, reference], dim=2)  # (B, N, J, 2)
        positions = self.embed(points, centre, size[:, :, None, None], memory.image_wh_px)

        # Within a person: J tokens in each of B*N sequences.
        flat = self.within(queries.flatten(0, 1), positions.flatten(0, 1))  # (B*N, J, C)
        queries = flat.view(batch, people, tokens, -1)  # (B, N, J, C)

        # Across people: N tokens in each of B*J sequences.
        by_keypoint = queries.transpose(1, 2).flatten(0, 1)  # (B*J, N, C)
        by_keypoint = self.across(by_keypoint, positions.transpose(1, 2).flatten(0, 1), people_mask)
        queries = by_keypoint.view(batch, tokens, people, -1).transpose(1, 2)  # (B, N, J, C)

        # To the image: N*J tokens sample the memory.
        radius = (
            (0.3 * size)[:, :, None, None].expand(-1, -1, tokens, 1).flatten(1, 2)
        )  # (B, N*J, 1)
        sampled = self.image(
            (self.norm(queries) + positions).flatten(1, 2),  # (B, N*J, C)
            points.flatten(1, 2),  # (B, N*J, 2)
            radius,
            memory.projected(self.image.project),
            memory.image_wh_px,
        )
        queries = self.feed_forward(queries + sampled.view_as(queries))
        return self._predict(queries, reference, size, memory)

    def _predict(
        self, queries: Tensor, reference: Tensor, size: Tensor, memory: Memory
    ) -> tuple[Float[Tensor, "B N J C"], LayerOutput]:
        """Moves the keypoints by refinement and regression, and reads scores off the queries."""
        refined = queries.new_zeros(())
        match = None
        if self.search is not None:
            pose = queries[:, :, 1:]  # (B, N, K, C)
            keys = self.search.keys(memory)
            refined, match, content = self.search(pose, reference, size, keys, memory.image_wh_px)
            queries = torch.cat([queries[:, :, :1], pose + content], dim=2)
        score, delta, confidence = self.heads(queries)
        if match is not None:
            confidence = confidence + match.float()
        keypoints = reference + (refined + delta) * size[:, :, None, None]
        return queries, LayerOutput(score, keypoints, confidence)
