"""The neck: an FPN over the backbone's maps, and high-resolution features for keypoints.

`FpnNeck` is a feature pyramid with a top-down and a bottom-up path (PANet, arXiv 1803.01534), made
of depthwise separable convolutions with group normalisation, which does not depend on the batch.

`HighResolutionFeatures` (ours) is one thin map at half the finest stride. A person 100 pixels tall
covers a dozen cells at stride 8: enough to detect, too few to localise a wrist. A full level at
half the stride would cost as much as all others together, so this map has few channels and only
the local refinement of keypoints reads it.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """x + pointwise(depthwise(x)) with group normalisation: cheap spatial mixing in one level."""

    def __init__(self, dim: int, kernel: int = 5) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim, bias=False)
        self.norm = nn.GroupNorm(8, dim)
        self.expand = nn.Conv2d(dim, 2 * dim, 1)
        self.reduce = nn.Conv2d(2 * dim, dim, 1)

    def forward(self, level: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """The updated map."""
        hidden = F.gelu(self.expand(self.norm(self.depthwise(level))))  # (B, 2C, h, w)
        return level + self.reduce(hidden)


class FpnNeck(nn.Module):
    """Levels of `dim` channels at the requested strides.

    A stride that the backbone lacks is made from its nearest map: finer ones by interpolation
    (plain ViTs), coarser ones by average pooling.

    Args:
        in_channels, in_strides: of the backbone's maps, finest first.
        strides: of the levels, finest first, each twice the one before.
        dim: channels C of all levels, a multiple of 8.
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
        self.sources = tuple(_nearest(in_strides, stride) for stride in strides)
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(in_channels[i], dim, 1, bias=False), nn.GroupNorm(8, dim))
            for i in self.sources
        )
        self.down = nn.ModuleList(ConvBlock(dim) for _ in strides[:-1])
        self.up = nn.ModuleList(ConvBlock(dim) for _ in strides[1:])

    def forward(
        self, maps: list[Float[Tensor, "B c h w"]], height_px: int, width_px: int
    ) -> list[Float[Tensor, "B C h w"]]:
        """One map per stride, of exactly height/stride x width/stride cells."""
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


def _nearest(strides: tuple[int, ...], requested: int) -> int:
    """Index of the stride nearest to the requested one."""
    return min(range(len(strides)), key=lambda i: abs(strides[i] / requested - 1))


class HighResolutionFeatures(nn.Module):
    """Combines the backbone's map at half the finest stride with the neck's finest level.

    Args:
        in_channels: of the backbone's map.
        dim: channels C of the neck.
        channels: channels D of the result, a multiple of 8.
    """

    def __init__(self, in_channels: int, dim: int, channels: int) -> None:
        super().__init__()
        self.lateral = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False), nn.GroupNorm(8, channels)
        )
        self.coarse = nn.Conv2d(dim, channels, 1)
        self.mix = ConvBlock(channels)

    def forward(
        self, features: Float[Tensor, "B c 2*h 2*w"], level: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B D 2*h 2*w"]:
        """The high-resolution features, from the backbone's map and the neck's finest level."""
        coarse = F.interpolate(
            self.coarse(level), features.shape[-2:], mode="bilinear", align_corners=False
        )  # (B, D, 2h, 2w)
        return self.mix(self.lateral(features) + coarse)
