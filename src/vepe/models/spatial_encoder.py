"""The spatial encoder: memory tokens of one frame look around in all levels of that frame.

Deformable DETR's encoder (arXiv 2010.04159). Which levels are updated is a choice: on a CPU the
two coarse levels are enough, the fine one is read but passes through (as in Lite DETR,
arXiv 2303.07335).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.attention import FeedForwardBlock, flatten_maps
from vepe.models.deformable import DeformableAttention
from vepe.models.positions import cell_centres_px, sine_features

POSITION_FEATURES = 32


class Memory:
    """Maps of one frame (or of a batch of frames) with what is needed to read them.

    Attributes:
        maps: levels (B, C, h, w), finest first.
        padding: for each level, True where a cell lies in the padding, (B, h, w); or None.
        strides: stride of each level in pixels.
        fine: (B, F, 2 h, 2 w) of the first level's h and w, see `HighResolutionFeatures`; or None.
        image_wh_px: width and height of the padded input, as a float tensor of 2.
    """

    __slots__ = ("fine", "image_wh_px", "maps", "padding", "strides")

    def __init__(
        self,
        maps: list[Float[Tensor, "B C h w"]],
        padding: list[Bool[Tensor, "B h w"]] | None,
        strides: tuple[int, ...],
        fine: Float[Tensor, "B F H W"] | None = None,
    ) -> None:
        self.maps, self.padding, self.strides, self.fine = maps, padding, strides, fine
        height, width = maps[0].shape[-2:]
        size = [float(width * strides[0]), float(height * strides[0])]
        self.image_wh_px = torch.tensor(size, device=maps[0].device)

    def with_maps(self, maps: list[Tensor]) -> Memory:
        """The same memory with other maps of the same sizes."""
        return Memory(maps, self.padding, self.strides, self.fine)

    def __getitem__(self, rows: slice) -> Memory:
        """Some rows of the batch."""
        padding = None if self.padding is None else [p[rows] for p in self.padding]
        fine = None if self.fine is None else self.fine[rows]
        return Memory([m[rows] for m in self.maps], padding, self.strides, fine)

    def level_centres_px(self, level: int) -> Float[Tensor, "h*w 2"]:
        """Centres of a level's cells in pixels of the input."""
        level_map = self.maps[level]
        height, width = level_map.shape[-2:]
        return cell_centres_px(height, width, self.strides[level], level_map.device)

    def projected(
        self, project: Callable[[Tensor], Tensor], levels: slice = slice(None)
    ) -> list[Float[Tensor, "B D h w"]]:
        """Chosen levels after a projection, with zeros in the padding.

        Padding then reads like the places outside the picture: nothing is there.
        """
        values = [project(level) for level in self.maps[levels]]
        if self.padding is None:
            return values
        return [
            value.masked_fill(padded.unsqueeze(1), 0.0)
            for value, padded in zip(values, self.padding[levels], strict=True)
        ]

    def projected_fine(self, project: Callable[[Tensor], Tensor]) -> Float[Tensor, "B D H W"]:
        """The fine map after a projection, with zeros in the padding.

        Raises:
            ValueError: where there is no fine map.
        """
        if self.fine is None:
            raise ValueError("this memory has no fine map")
        value = project(self.fine)
        if self.padding is None:
            return value
        padded = self.padding[0].unsqueeze(1).repeat_interleave(2, -1).repeat_interleave(2, -2)
        return value.masked_fill(padded, 0.0)


class MemoryTokens(nn.Module):
    """Tokens of chosen levels with their positions, and the way back into maps."""

    def __init__(self, dim: int, levels: tuple[int, ...], all_levels: int) -> None:
        super().__init__()
        self.levels, self.all_levels = levels, all_levels
        self.level_embedding = nn.Embedding(all_levels, dim)
        nn.init.normal_(self.level_embedding.weight, std=0.02)
        self.project = nn.Linear(2 * POSITION_FEATURES, dim)

    def read(
        self, memory: Memory
    ) -> tuple[Float[Tensor, "B S C"], Float[Tensor, "S C"], Float[Tensor, "S 2"], Tensor]:
        """Tokens, their position embeddings, their centres in pixels, and radii (S, all levels).

        The radius lets an offset of 1 reach two cells of the level that is looked at, or of the
        token's own level where that is coarser.
        """
        strides = torch.tensor(memory.strides, dtype=torch.float32, device=memory.maps[0].device)
        tokens = flatten_maps([memory.maps[i] for i in self.levels])
        centres, positions, radii = [], [], []
        for i in self.levels:
            at = memory.level_centres_px(i)
            sine = sine_features(at / memory.image_wh_px * 2 - 1, POSITION_FEATURES)
            embedded = self.project(sine.to(self.project.weight.dtype))
            positions.append(embedded + self.level_embedding.weight[i])
            centres.append(at)
            radii.append((2 * torch.maximum(strides, strides[i])).expand(len(at), -1))
        return tokens, torch.cat(positions), torch.cat(centres), torch.cat(radii)

    def write(self, memory: Memory, tokens: Float[Tensor, "B S C"]) -> Memory:
        """The memory with the chosen levels replaced by `tokens`."""
        maps = list(memory.maps)
        cells = [maps[i].shape[-2] * maps[i].shape[-1] for i in self.levels]
        for i, part in zip(self.levels, tokens.split(cells, dim=1), strict=True):
            maps[i] = part.transpose(1, 2).unflatten(2, maps[i].shape[-2:])
        return memory.with_maps(maps)


class SpatialEncoderLayer(nn.Module):
    """Deformable attention within the frame, then a feed-forward block."""

    def __init__(
        self, dim: int, heads: int, points: int, hidden: int, levels: tuple[int, ...], total: int
    ) -> None:
        super().__init__()
        self.tokens = MemoryTokens(dim, levels, total)
        self.norm = nn.LayerNorm(dim)
        self.attention = DeformableAttention(dim, heads, total, points)
        self.feed_forward = FeedForwardBlock(dim, hidden)

    def forward(self, memory: Memory) -> Memory:
        """The memory with the chosen levels updated."""
        tokens, positions, centres, radii = self.tokens.read(memory)
        values = [v.unsqueeze(1) for v in memory.projected(self.attention.project)]
        seen = self.attention(
            self.norm(tokens) + positions,
            centres.expand(len(tokens), -1, -1),
            radii.unsqueeze(0),
            values,
            memory.image_wh_px,
        )
        return self.tokens.write(memory, self.feed_forward(tokens + seen))


class SpatialEncoder(nn.Module):
    """A stack of layers; with none the pyramid's maps are the memory."""

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
            SpatialEncoderLayer(dim, heads, points, hidden, levels, total) for _ in range(layers)
        )

    def forward(self, memory: Memory) -> Memory:
        """The encoded memory."""
        for layer in self.layers:
            memory = layer(memory)
        return memory
