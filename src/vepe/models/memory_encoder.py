"""STDME, the spatio-temporal deformable memory encoder: the key frame's memory reads the window's.

A token of the key frame samples the memories of all frames around its own place, with one softmax
over frames x levels x points. Offsets and weights depend on the time between the frames, so one
set of weights serves any window and any frame rate. The paper names the part; the form is ours,
after TransVOD's temporal deformable encoder (arXiv 2201.05047) and Snipper (arXiv 2207.04320).
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.attention import FeedForwardBlock
from vepe.models.deformable import DeformableAttention
from vepe.models.positions import TimeEmbedding
from vepe.models.spatial_encoder import Memory, MemoryTokens

FrameValues = list[Float[Tensor, "B C h w"]]
"""The value projections of one frame's levels for one layer."""


class MemoryEncoderLayer(nn.Module):
    """Deformable attention over the window, then a feed-forward block."""

    def __init__(
        self, dim: int, heads: int, points: int, hidden: int, levels: tuple[int, ...], total: int
    ) -> None:
        super().__init__()
        self.tokens = MemoryTokens(dim, levels, total)
        self.norm = nn.LayerNorm(dim)
        self.time = TimeEmbedding(dim)
        self.attention = DeformableAttention(dim, heads, total, points)
        self.feed_forward = FeedForwardBlock(dim, hidden)

    def forward(
        self, memory: Memory, window: list[FrameValues], delta_s: Float[Tensor, "B T"]
    ) -> Memory:
        """`memory` with its chosen levels enhanced by what the window holds."""
        tokens, positions, centres, radii = self.tokens.read(memory)
        values = [torch.stack(level, dim=1) for level in zip(*window, strict=True)]
        seen = self.attention(
            self.norm(tokens) + positions,
            centres.expand(len(tokens), -1, -1),
            radii.unsqueeze(0),
            values,
            memory.image_wh_px,
            self.time(delta_s),
        )
        return self.tokens.write(memory, self.feed_forward(tokens + seen))


class MemoryEncoder(nn.Module):
    """STDME: a stack of layers. The key frame changes from layer to layer, the window does not."""

    def __init__(
        self,
        dim: int,
        heads: int,
        points: int,
        hidden: int,
        layers: int,
        levels: tuple[int, ...],
        total: int,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MemoryEncoderLayer(dim, heads, points, hidden, levels, total) for _ in range(layers)
        )

    def project(self, memory: Memory) -> list[FrameValues]:
        """What each layer reads of a frame; made once a frame, whatever windows it is in."""
        layers = cast(list[MemoryEncoderLayer], list(self.layers))
        return [memory.projected(layer.attention.project) for layer in layers]

    def forward(
        self, memory: Memory, window: list[list[FrameValues]], delta_s: Float[Tensor, "B T"]
    ) -> Memory:
        """The key frame's memory, enhanced.

        Args:
            memory: the key frame's.
            window: `project`ed memories of all frames of the window, the key frame's among them.
            delta_s: seconds from the key frame to each of them.
        """
        for index, layer in enumerate(self.layers):
            memory = layer(memory, [frame[index] for frame in window], delta_s)
        return memory
