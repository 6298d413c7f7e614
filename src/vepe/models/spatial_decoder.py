"""The spatial decoder: the proposals of a frame become instance and pose queries with keypoints.

Dimensions: B batch, N proposals, M denoising queries, K keypoints, J = K + 1, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.decoder_layer import LayerOutput, PoseDecoderLayer
from vepe.models.deformable import sample_map
from vepe.models.memory import Memory
from vepe.models.proposals import Proposals


@dataclass(frozen=True)
class DenoisingQueries:
    """Labelled poses with noise that the decoder has to recover, in training only.

    Attributes:
        keypoints_px: (B, M, K, 2) noised poses; they follow the N proposals.
        people_mask: (B, N+M, N+M) True where one person's queries may attend to another's.
    """

    keypoints_px: Float[Tensor, "B M K 2"]
    people_mask: Bool[Tensor, "B N+M N+M"]


class SpatialDecoder(nn.Module):
    """Builds the queries of a frame and updates them layer by layer.

    A pose query starts from the memory sampled at its proposed keypoint, plus an embedding of the
    keypoint's index; the instance query from the proposal's token. The radius of the local
    refinement shrinks from layer to layer.

    Args:
        dim, heads, points, hidden: sizes of attention, sampling and feed-forward.
        layers: number of layers, at least 1.
        levels: number of levels of the memory.
        keypoints: K.
        refine, high_resolution_dim: see `PoseDecoderLayer`.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        points: int,
        hidden: int,
        layers: int,
        levels: int,
        keypoints: int,
        *,
        refine: bool = True,
        high_resolution_dim: int = 0,
    ) -> None:
        super().__init__()
        self.keypoint_embedding = nn.Embedding(keypoints, dim)
        self.noised_embedding = nn.Embedding(1, dim)
        self.from_token = nn.Linear(dim, 2 * dim)
        self.from_memory = nn.ModuleList(nn.Linear(dim, dim) for _ in range(levels))
        self.layers = nn.ModuleList(
            PoseDecoderLayer(
                dim,
                heads,
                points,
                hidden,
                levels,
                refine=refine,
                radius=0.15 / 1.4**i,
                high_resolution_dim=high_resolution_dim,
            )
            for i in range(layers)
        )

    def _initial_queries(
        self,
        tokens: Float[Tensor, "B N C"],
        keypoints_px: Float[Tensor, "B N K 2"],
        memory: Memory,
    ) -> Float[Tensor, "B N J C"]:
        """Queries from the tokens and from the memory at the keypoints, instance query first."""
        instance, context = self.from_token(tokens).chunk(2, dim=-1)  # (B, N, C) each
        # Projecting after sampling touches fewer cells than projecting the maps.
        levels = memory.projected(nn.Identity())
        sampled = [
            project(sample_map(level, keypoints_px, memory.image_wh_px).permute(0, 2, 3, 1))
            for project, level in zip(self.from_memory, levels, strict=True)
        ]  # (B, N, K, C) per level
        at_keypoints = torch.stack(sampled).sum(dim=0)
        pose = at_keypoints + context.unsqueeze(2) + self.keypoint_embedding.weight
        return torch.cat([instance.unsqueeze(2), pose], dim=2)  # (B, N, J, C)

    def forward(
        self,
        memory: Memory,
        proposals: Proposals,
        denoising: DenoisingQueries | None = None,
        *,
        skip_last: bool = False,
    ) -> tuple[Float[Tensor, "B N+M J C"], list[LayerOutput]]:
        """Decodes the proposals of a batch of frames.

        Args:
            memory: of the frames.
            proposals: the first poses.
            denoising: further poses to decode; M = 0 without them.
            skip_last: leave the last layer out, so that weights without it can be trained too.

        Returns:
            the queries of the last layer, and the prediction of every layer; in both, the N
            proposals come first, then the M denoising queries.
        """
        tokens, keypoints = proposals.tokens, proposals.keypoints_px.detach()
        mask = None
        if denoising is not None:
            noised = self.noised_embedding.weight.expand(*denoising.keypoints_px.shape[:2], -1)
            tokens = torch.cat([tokens, noised.to(tokens.dtype)], dim=1)  # (B, N+M, C)
            keypoints = torch.cat([keypoints, denoising.keypoints_px], dim=1)  # (B, N+M, K, 2)
            # One mask per frame, for all of its J kinds of queries and all heads.
            mask = denoising.people_mask.repeat_interleave(keypoints.shape[2] + 1, dim=0)
            mask = mask.unsqueeze(1)  # (B*J, 1, N+M, N+M)
        queries = self._initial_queries(tokens, keypoints, memory)
        outputs = []
        for layer in self.layers[:-1] if skip_last else self.layers:
            queries, output = layer(queries, keypoints, memory, mask)
            keypoints = output.keypoints_px
            outputs.append(output)
        return queries, outputs
