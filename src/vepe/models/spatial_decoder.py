"""The spatial decoder: proposals of one frame become instance and pose queries with keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.decoder_layer import LayerOutput, PoseDecoderLayer
from vepe.models.deformable import sample_map
from vepe.models.proposals import Proposals
from vepe.models.spatial_encoder import Memory


@dataclass(frozen=True)
class NoisedPoses:
    """Known poses with noise, that the decoder must mend (training alone; see losses.denoising).

    Attributes:
        keypoints_px: (B, M, K, 2) noised poses, M of them behind the N proposals.
        people_mask: (B, N+M, N+M) True where one query may look at another.
    """

    keypoints_px: Float[Tensor, "B M K 2"]
    people_mask: Bool[Tensor, "B N+M N+M"]


class SpatialDecoder(nn.Module):
    """Builds the queries of one frame and refines them in `layers` layers.

    A pose query starts from what the memory holds at its proposed keypoint, plus an embedding of
    which keypoint it is; the instance query from the proposal's token.
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
        search: bool = True,
        fine: int = 0,
    ) -> None:
        super().__init__()
        self.keypoint_embedding = nn.Embedding(keypoints, dim)
        self.noised_embedding = nn.Embedding(1, dim)
        self.from_token = nn.Linear(dim, 2 * dim)
        self.from_memory = nn.ModuleList(nn.Linear(dim, dim) for _ in range(levels))
        reaches = [0.15 / 1.4**i for i in range(layers)]
        self.layers = nn.ModuleList(
            PoseDecoderLayer(
                dim, heads, points, hidden, levels, search=search, reach=reach, fine=fine
            )
            for reach in reaches
        )

    def _start(
        self, tokens: Float[Tensor, "B N C"], keypoints_px: Tensor, memory: Memory
    ) -> Float[Tensor, "B N J C"]:
        """Queries at their proposed places, instance query first."""
        instance, context = self.from_token(tokens).chunk(2, dim=-1)
        seen = [
            project(sample_map(level, keypoints_px, memory.image_wh_px).permute(0, 2, 3, 1))
            for project, level in zip(self.from_memory, memory.projected(_same), strict=True)
        ]
        at_keypoints = torch.stack(seen).sum(dim=0)
        pose = at_keypoints + context.unsqueeze(2) + self.keypoint_embedding.weight
        return torch.cat([instance.unsqueeze(2), pose], dim=2)

    def forward(
        self, memory: Memory, proposals: Proposals, noised: NoisedPoses | None = None
    ) -> tuple[Float[Tensor, "B N J C"], list[LayerOutput]]:
        """Queries of the last layer and what every layer says (noised people last, where given)."""
        tokens, keypoints = proposals.tokens, proposals.keypoints_px.detach()
        mask = None
        if noised is not None:
            extra = self.noised_embedding.weight.expand(*noised.keypoints_px.shape[:2], -1)
            tokens = torch.cat([tokens, extra.to(tokens.dtype)], dim=1)
            keypoints = torch.cat([keypoints, noised.keypoints_px], dim=1)
            # One mask a frame, the same for all of its J kinds of queries and all heads.
            joints = keypoints.shape[2] + 1
            mask = noised.people_mask.repeat_interleave(joints, dim=0).unsqueeze(1)
        queries = self._start(tokens, keypoints, memory)
        outputs = []
        for layer in self.layers:
            queries, output = layer(queries, keypoints, memory, mask)
            keypoints = output.keypoints_px
            outputs.append(output)
        return queries, outputs


def _same(level: Tensor) -> Tensor:
    """No projection: here it follows the sampling, which touches fewer places."""
    return level
