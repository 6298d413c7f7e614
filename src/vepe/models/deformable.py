"""Deformable attention over levels and points (arXiv 2010.04159), on top of `grid_sample`.

Every query samples a few points around its reference point in every level, and averages them with
one softmax over levels x points. Plain PyTorch: the same code runs on CPU and GPU. Samples are laid
out with the queries innermost, so that every runtime weighs and adds whole rows of them.

Dimensions: B batch, Q queries, H heads, L levels, P points, C channels, c = C / H.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn


def sample_map(
    values: Float[Tensor, "X C h w"],
    points_px: Float[Tensor, "X Q P 2"],
    image_wh_px: Float[Tensor, "2"],
) -> Float[Tensor, "X C Q P"]:
    """Samples a map at points: bilinear between cell centres, zero outside the image.

    Coordinates are always float32: half precision would shift a point by half a pixel in an image
    of a thousand pixels.

    Args:
        values: feature maps.
        points_px: (x, y) in pixels of the network's input.
        image_wh_px: width and height of the input that the maps cover.
    """
    return sample_grid(values, points_px.float() * (2 / image_wh_px.float()) - 1)


def sample_grid(
    values: Float[Tensor, "X C h w"], grid: Float[Tensor, "X Q P 2"]
) -> Float[Tensor, "X C Q P"]:
    """As `sample_map`, for float32 points in -1..1 from border to border of the map."""
    sampled = F.grid_sample(values.float(), grid, align_corners=False, padding_mode="zeros")
    return sampled.to(values.dtype)


class DeformableAttention(nn.Module):
    """Multi-level deformable attention.

    Args:
        dim: channels C of queries and maps.
        heads: attention heads H; each samples its own points.
        levels: maps L.
        points: points P per head and level.
    """

    def __init__(self, dim: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.to_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.to_weights = nn.Linear(dim, heads * levels * points)
        self.to_value = nn.Linear(dim, dim)
        self.to_out = nn.Linear(dim, dim)
        self._init_on_rings()

    def _init_on_rings(self) -> None:
        """Untrained, head h looks in direction h, and its points lie 1/P, 2/P ... 1 radius away."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)  # (H, 2)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        distance = torch.arange(1, self.points + 1) / self.points  # (P,)
        rings = direction[:, None, None] * distance[None, None, :, None]  # (H, 1, P, 2)
        rings = rings.expand(self.heads, self.levels, self.points, 2)
        nn.init.zeros_(self.to_offsets.weight)
        nn.init.zeros_(self.to_weights.weight)
        nn.init.zeros_(self.to_weights.bias)
        with torch.no_grad():
            self.to_offsets.bias.copy_(rings.flatten())

    def project(self, level_map: Float[Tensor, "X C h w"]) -> Float[Tensor, "X C h w"]:
        """The value projection of a map; computed once, however many queries sample it."""
        weight = self.to_value.weight[:, :, None, None]  # (C, C, 1, 1)
        return F.conv2d(level_map, weight, self.to_value.bias)

    def forward(
        self,
        query: Float[Tensor, "B Q C"],
        reference_px: Float[Tensor, "B Q 2"],
        radius_px: Float[Tensor, "#B #Q #L"],
        values: list[Float[Tensor, "B C h w"]],
        image_wh_px: Float[Tensor, "2"],
    ) -> Float[Tensor, "B Q C"]:
        """Samples the maps and mixes the samples.

        Args:
            query: queries with their positions added.
            reference_px: reference points.
            radius_px: distance in pixels of an offset of 1, per query and level.
            values: one `project`ed map per level.
            image_wh_px: width and height of the input that the maps cover.

        Returns:
            The weighted mean of the samples for every query, after the output projection.
        """
        batch, queries, channels = query.shape
        heads, levels, points = self.heads, self.levels, self.points
        # One softmax over all points of all levels.
        logits = self.to_weights(query).unflatten(-1, (heads, -1))  # (B, Q, H, L*P)
        weights = logits.float().softmax(dim=-1).permute(0, 2, 3, 1)  # (B, H, L*P, Q)
        weights = weights.flatten(0, 1).unsqueeze(1).split(points, dim=2)  # (B*H, 1, P, Q) each

        # Points in -1..1, as `sample_grid` takes them.
        scale = 2 / image_wh_px.float()
        centre = (reference_px.float() * scale - 1)[:, None, None]  # (B, 1, 1, Q, 2)
        radius = (radius_px.float().unsqueeze(-1) * scale).permute(2, 0, 1, 3)  # (L, B, Q, 2)
        offsets = self.to_offsets(query).unflatten(-1, (heads, levels, points, 2))
        offsets = offsets.float().permute(3, 0, 2, 4, 1, 5)  # (L, B, H, P, Q, 2)
        grids = centre + offsets * radius[:, :, None, None]
        grids = grids.flatten(1, 2).unbind(0)  # (B*H, P, Q, 2) each

        mean = query.new_zeros(())
        for level, grid, weight in zip(values, grids, weights, strict=True):
            by_head = level.unflatten(1, (heads, -1)).flatten(0, 1)  # (B*H, c, h, w)
            sampled = sample_grid(by_head, grid)  # (B*H, c, P, Q)
            mean = mean + (sampled * weight.to(sampled.dtype)).sum(dim=2)  # (B*H, c, Q)
        return self.to_out(mean.view(batch, channels, queries).transpose(1, 2))
