"""STDME, the spatio-temporal deformable memory encoder.

A token of the key frame's memory samples the memories of all frames of the window around its own
position, with one softmax over frames x levels x points. Offsets and weights depend on the time
between the frames, so one set of weights serves any window and any frame rate. The paper names the
part; its form is ours, after TransVOD's temporal deformable encoder (arXiv 2201.05047) and Snipper
(arXiv 2207.04320).
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.memory import DeformableEncoderLayer, LevelValues, Memory


class MemoryEncoder(nn.Module):
    """STDME: a stack of layers. Each updates the key frame; the window's values stay the same."""

    def __init__(
        self,
        dim: int,
        heads: int,
        points: int,
        hidden: int,
        layers: int,
        levels: tuple[int, ...],
        num_levels: int,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(dim, heads, points, hidden, levels, num_levels, temporal=True)
            for _ in range(layers)
        )

    def project(self, memory: Memory) -> list[LevelValues]:
        """What each layer reads of a frame; computed once per frame, for all its windows."""
        layers = cast(list[DeformableEncoderLayer], list(self.layers))
        return [layer.project(memory) for layer in layers]

    def forward(
        self, memory: Memory, window: list[list[LevelValues]], delta_s: Float[Tensor, "B T"]
    ) -> Memory:
        """The key frame's memory, updated from the window.

        Args:
            memory: of the key frame.
            window: `project`ed memories of the T frames of the window, the key frame's included.
            delta_s: seconds from the key frame to each of them.
        """
        for index, layer in enumerate(self.layers):
            levels = zip(*(frame[index] for frame in window), strict=True)
            values = [torch.stack(level, dim=1) for level in levels]  # (B, T, C, h, w) per level
            memory = layer(memory, values, delta_s)
        return memory
