"""The pyramid: backbone maps to levels of one width, each informed by coarser and finer ones.

Feature pyramid with a way down and a way up (PANet, arXiv 1803.01534), made of depthwise
separable convolutions with group normalisation, which does not depend on the batch.

The fine map: a thin map at half the finest stride, by which keypoints are placed (ours).

A person of a hundred pixels is a dozen cells of stride 8 tall: enough to be found in, too few to
place a wrist in. A full level of half the stride would cost as much as all others together, so
this one has few channels, and only the keypoint search reads it.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """x + pointwise(depthwise(x)), normalised: cheap spatial mixing at one level."""

    def __init__(self, dim: int, kernel: int = 5) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim, bias=False)
        self.norm = nn.GroupNorm(8, dim)
        self.expand = nn.Conv2d(dim, 2 * dim, 1)
        self.reduce = nn.Conv2d(2 * dim, dim, 1)

    def forward(self, level: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """The mixed map."""
        hidden = F.gelu(self.expand(self.norm(self.depthwise(level))))
        return level + self.reduce(hidden)


class Pyramid(nn.Module):
    """Maps of `dim` channels at the wanted strides.

    Strides that the backbone lacks are made from its nearest map: finer ones by interpolation
    (plain ViT), coarser ones by average pooling.

    Args:
        in_channels, in_strides: what the backbone gives, finest first.
        strides: wanted strides, finest first, each twice the one before.
        dim: channels C of all levels.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        in_strides: tuple[int, ...],
        strides: tuple[int, ...],
        dim: int,
    ) -> None:
        super().__init__()
        self.strides = strides
        nearest = [_nearest(in_strides, stride) for stride in strides]
        self.sources = tuple(nearest)
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(in_channels[i], dim, 1, bias=False), nn.GroupNorm(8, dim))
            for i in nearest
        )
        self.down = nn.ModuleList(ConvBlock(dim) for _ in strides[:-1])
        self.up = nn.ModuleList(ConvBlock(dim) for _ in strides[1:])

    def forward(
        self, maps: list[Float[Tensor, "B c h w"]], height_px: int, width_px: int
    ) -> list[Float[Tensor, "B C h w"]]:
        """One map a stride, of exactly height/stride x width/stride cells."""
        levels = []
        for stride, source, lateral in zip(self.strides, self.sources, self.lateral, strict=True):
            level = lateral(maps[source])
            size = (height_px // stride, width_px // stride)
            if level.shape[-1] > size[1]:
                level = F.adaptive_avg_pool2d(level, size)
            elif level.shape[-2:] != size:
                level = F.interpolate(level, size, mode="bilinear", align_corners=False)
            levels.append(level)
        for i in range(len(levels) - 2, -1, -1):
            coarse = F.interpolate(levels[i + 1], levels[i].shape[-2:], mode="nearest")
            levels[i] = self.down[i](levels[i] + coarse)
        for i in range(1, len(levels)):
            fine = F.avg_pool2d(levels[i - 1], 2)
            levels[i] = self.up[i - 1](levels[i] + fine)
        return levels


def _nearest(strides: tuple[int, ...], wanted: int) -> int:
    """Index of the stride that is nearest to the wanted one."""
    return min(range(len(strides)), key=lambda i: abs(strides[i] / wanted - 1))


class HighResolutionFeatures(nn.Module):
    """Joins a fine backbone map with the pyramid's finest level.

    Args:
        in_channels: of the backbone's map.
        dim: channels C of the pyramid.
        channels: of the result, a multiple of 8.
    """

    def __init__(self, in_channels: int, dim: int, channels: int) -> None:
        super().__init__()
        self.lateral = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False), nn.GroupNorm(8, channels)
        )
        self.coarse = nn.Conv2d(dim, channels, 1)
        self.mix = ConvBlock(channels)

    def forward(
        self, fine: Float[Tensor, "B c H W"], level: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B F 2*h 2*w"]:
        """The map; `fine` has twice the level's cells on each side."""
        coarse = F.interpolate(
            self.coarse(level), fine.shape[-2:], mode="bilinear", align_corners=False
        )
        return self.mix(self.lateral(fine) + coarse)
