"""STPD, the spatio-temporal pose decoder: enhanced queries read the enhanced memory.

The same layer as the spatial decoder's, continuing from the key frame's poses: attention within a
person, across people and to the memory, and a step of the keypoints in every layer.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.decoder_layer import LayerOutput, PoseDecoderLayer
from vepe.models.spatial_encoder import Memory


class PoseDecoder(nn.Module):
    """STPD: `layers` layers; the last one's output is the model's answer."""

    def __init__(
        self,
        dim: int,
        heads: int,
        points: int,
        hidden: int,
        layers: int,
        levels: int,
        *,
        search: bool = True,
        fine: int = 0,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            PoseDecoderLayer(
                dim, heads, points, hidden, levels, search=search, reach=0.08, fine=fine
            )
            for _ in range(layers)
        )

    def forward(
        self,
        queries: Float[Tensor, "B N J C"],
        keypoints_px: Float[Tensor, "B N K 2"],
        memory: Memory,
    ) -> list[LayerOutput]:
        """What every layer says of the key frame."""
        outputs = []
        for layer in self.layers:
            queries, output = layer(queries, keypoints_px, memory)
            keypoints_px = output.keypoints_px
            outputs.append(output)
        return outputs
