"""The encoder memory of a frame, and the deformable encoder that makes it.

`DeformableEncoderLayer` is Deformable DETR's (arXiv 2010.04159) and serves twice: the spatial
encoder reads the frame itself, STDME (`vepe.models.memory_encoder`) reads a window of frames.
Which levels a layer updates is a choice: on a CPU the two coarse levels are enough; the finest one
is read, but passes through unchanged (as in Lite DETR, arXiv 2303.07335).

Dimensions: B batch, T frames, S tokens (cells of the updated levels), L levels, C channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.attention import FeedForwardBlock, flatten_maps
from vepe.models.deformable import DeformableAttention
from vepe.models.positions import cell_centres_px, map_wh, sine_features

POSITION_FEATURES = 32


class Memory:
    """The encoded levels of a batch of frames.

    Attributes:
        maps: levels (B, C, h, w), finest first.
        padding: for each level, True where a cell is padding, (B, h, w); None: no padding.
        strides: stride of each level in pixels.
        high_resolution: (B, D, 2h, 2w) features at half the finest stride, which has h x w cells
            (see `vepe.models.neck`); None if the model has none.
        image_wh_px: (2,) width and height of the network's input, padding included.
    """

    __slots__ = ("high_resolution", "image_wh_px", "maps", "padding", "strides")

    def __init__(
        self,
        maps: list[Float[Tensor, "B C h w"]],
        padding: list[Bool[Tensor, "B h w"]] | None,
        strides: tuple[int, ...],
        high_resolution: Float[Tensor, "B D 2*h 2*w"] | None = None,
    ) -> None:
        self.maps, self.padding, self.strides = maps, padding, strides
        self.high_resolution = high_resolution
        self.image_wh_px = strides[0] * map_wh(maps[0])

    def with_maps(self, maps: list[Tensor]) -> Memory:
        """The same memory with other maps of the same sizes."""
        return Memory(maps, self.padding, self.strides, self.high_resolution)

    def __getitem__(self, rows: slice) -> Memory:
        """Some rows of the batch."""
        padding = None if self.padding is None else [p[rows] for p in self.padding]
        high_resolution = None if self.high_resolution is None else self.high_resolution[rows]
        return Memory([m[rows] for m in self.maps], padding, self.strides, high_resolution)

    def level_centres_px(self, level: int) -> Float[Tensor, "h*w 2"]:
        """Centres (x, y) of a level's cells in pixels of the input, row by row."""
        level_map = self.maps[level]
        height, width = level_map.shape[-2:]
        return cell_centres_px(height, width, self.strides[level], level_map.device)

    def projected(
        self, project: Callable[[Tensor], Tensor], levels: slice = slice(None)
    ) -> list[Float[Tensor, "B D h w"]]:
        """Some levels after a projection, zero in the padding.

        Padding then reads like the area outside the image, which `sample_map` takes as zero.
        """
        values = [project(level) for level in self.maps[levels]]
        if self.padding is None:
            return values
        return [
            value.masked_fill(padded.unsqueeze(1), 0.0)
            for value, padded in zip(values, self.padding[levels], strict=True)
        ]

    def projected_high_resolution(
        self, project: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "B D 2*h 2*w"]:
        """The high-resolution features after a projection, zero in the padding.

        Raises:
            ValueError: if this memory has no high-resolution features.
        """
        if self.high_resolution is None:
            raise ValueError("this memory has no high-resolution features")
        value = project(self.high_resolution)
        if self.padding is None:
            return value
        # Not repeat_interleave: torch.onnx.export then reads every -1 of the model as its axis.
        padded = self.padding[0][:, None, :, None, :, None]  # (B, 1, h, 1, w, 1)
        padded = padded.expand(-1, -1, -1, 2, -1, 2).flatten(4, 5).flatten(2, 3)  # (B, 1, 2h, 2w)
        return value.masked_fill(padded, 0.0)


def padding_by_level(
    padding: Bool[Tensor, "B H W"] | None, strides: tuple[int, ...]
) -> list[Bool[Tensor, "B h w"]] | None:
    """The padding mask of each level: a cell is padding if its centre is."""
    if padding is None:
        return None
    return [padding[:, stride // 2 :: stride, stride // 2 :: stride] for stride in strides]


class MemoryTokens(nn.Module):
    """Flattens the updated levels to tokens with positions, and writes tokens back into maps.

    Args:
        dim: channels C.
        levels: indices of the updated levels.
        num_levels: levels L of the memory.
    """

    def __init__(self, dim: int, levels: tuple[int, ...], num_levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.level_embedding = nn.Embedding(num_levels, dim)
        nn.init.normal_(self.level_embedding.weight, std=0.02)
        self.project = nn.Linear(2 * POSITION_FEATURES, dim)

    def read(
        self, memory: Memory
    ) -> tuple[
        Float[Tensor, "B S C"], Float[Tensor, "S C"], Float[Tensor, "S 2"], Float[Tensor, "S L"]
    ]:
        """The tokens of the updated levels.

        Returns:
            tokens, position embeddings, centres in pixels, and sampling radii in pixels. With the
            radius, an offset of 1 spans two cells of the sampled level, or of the token's own level
            if that is coarser.
        """
        strides = torch.tensor(memory.strides, dtype=torch.float32, device=memory.maps[0].device)
        tokens = flatten_maps([memory.maps[i] for i in self.levels])
        centres, positions, radii = [], [], []
        for i in self.levels:
            at = memory.level_centres_px(i)  # (h*w, 2)
            sine = sine_features(at / memory.image_wh_px * 2 - 1, POSITION_FEATURES)
            embedded = self.project(sine.to(self.project.weight.dtype))  # (h*w, C)
            positions.append(embedded + self.level_embedding.weight[i])
            centres.append(at)
            radii.append(
                (2 * torch.maximum(strides, strides[i])).expand(at.shape[0], -1)
            )  # (h*w, L)
        return tokens, torch.cat(positions), torch.cat(centres), torch.cat(radii)

    def write(self, memory: Memory, tokens: Float[Tensor, "B S C"]) -> Memory:
        """The memory with the updated levels replaced by `tokens`."""
        maps = list(memory.maps)
        start = 0
        for i in self.levels:
            end = start + maps[i].shape[-2] * maps[i].shape[-1]
            maps[i] = tokens[:, start:end].transpose(1, 2).reshape(maps[i].shape)  # (B, C, h, w)
            start = end
        return memory.with_maps(maps)


class DeformableEncoderLayer(nn.Module):
    """Deformable attention from memory tokens to the maps of their frame, then feed-forward.

    Args:
        dim, heads, points, hidden: sizes of attention, sampling and feed-forward.
        levels: indices of the updated levels; all levels are read.
        num_levels: levels L of the memory.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        points: int,
        hidden: int,
        levels: tuple[int, ...],
        num_levels: int,
    ) -> None:
        super().__init__()
        self.tokens = MemoryTokens(dim, levels, num_levels)
        self.norm = nn.LayerNorm(dim)
        self.attention = DeformableAttention(dim, heads, num_levels, points)
        self.feed_forward = FeedForwardBlock(dim, hidden)

    def forward(self, memory: Memory) -> Memory:
        """The updated memory."""
        tokens, positions, centres, radii = self.tokens.read(memory)
        sampled = self.attention(
            self.norm(tokens) + positions,
            centres.expand(tokens.shape[0], -1, -1),  # (B, S, 2)
            radii.unsqueeze(0),  # (1, S, L)
            memory.projected(self.attention.project),
            memory.image_wh_px,
        )
        return self.tokens.write(memory, self.feed_forward(tokens + sampled))


class SpatialEncoder(nn.Module):
    """Encodes each frame on its own; without layers the neck's maps are the memory."""

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
            DeformableEncoderLayer(dim, heads, points, hidden, levels, num_levels)
            for _ in range(layers)
        )

    def forward(self, memory: Memory) -> Memory:
        """The encoded memory."""
        for layer in self.layers:
            memory = layer(memory)
        return memory
