"""Where and when: sine features of points and of time differences, and the grid of map cells.

All positions are in pixels of the network's input, with the origin at the outer corner of the top
left pixel, so the centre of the first cell of a map with stride s is (s/2, s/2).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


def sine_features(values: Float[Tensor, "... D"], count: int) -> Float[Tensor, "... D*count"]:
    """`count` sines and cosines for each value, of frequencies 1/2, 1, 2, 4 ... pi.

    Values are expected in about -1..1. `count` must be even.
    """
    octaves = torch.arange(count // 2, device=values.device, dtype=torch.float32) - 1
    phase = values.float().unsqueeze(-1) * (math.pi * torch.exp2(octaves))
    return torch.cat([phase.sin(), phase.cos()], dim=-1).flatten(-2)


class PointEmbedding(nn.Module):
    """Embeds keypoints by their place in the picture and in the body (ours).

    The body part, (point - centre) / size, is the same for near and far people; the picture part
    tells people apart.
    """

    def __init__(self, dim: int, features: int = 12) -> None:
        super().__init__()
        self.features = features
        self.project = nn.Linear(4 * features, dim)

    def forward(
        self,
        points_px: Float[Tensor, "B N J 2"],
        centre_px: Float[Tensor, "B N 1 2"],
        size_px: Float[Tensor, "B N 1 1"],
        image_wh_px: Float[Tensor, "2"],
    ) -> Float[Tensor, "B N J C"]:
        """Embedding of every point; `size_px` is the person's size, `image_wh_px` the input's."""
        body = (points_px - centre_px) / size_px
        picture = points_px / image_wh_px * 2 - 1
        sine = sine_features(torch.cat([body, picture], dim=-1), self.features)
        return self.project(sine.to(self.project.weight.dtype))


class TimeEmbedding(nn.Module):
    """Embeds a time difference in seconds, so that 10 fps and 60 fps video are alike (ours).

    The difference is squashed by arsinh: fine around zero, coarse after a second. The embedding of
    0 s is exactly zero, so a window of one frame sees no time at all.
    """

    def __init__(self, dim: int, features: int = 16) -> None:
        super().__init__()
        self.features = features
        self.project = nn.Linear(features, dim, bias=False)

    def forward(self, delta_s: Float[Tensor, "..."]) -> Float[Tensor, "... C"]:
        """Embedding of (other frame's time - key frame's time)."""
        squashed = torch.asinh(delta_s.float() * 10).unsqueeze(-1) / 4
        zero = torch.zeros_like(squashed)
        sine = sine_features(squashed, self.features) - sine_features(zero, self.features)
        return self.project(sine.to(self.project.weight.dtype))


def cell_centres_px(
    height: int, width: int, stride: int, device: torch.device
) -> Float[Tensor, "h*w 2"]:
    """Centres (x, y) of the cells of a map of `height` x `width` cells, row by row."""
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * stride
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y], dim=-1).reshape(-1, 2)
