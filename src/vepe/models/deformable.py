"""Deformable attention over frames, levels and points, on top of `grid_sample`.

Every query samples a few points around its reference point in every frame and level, and averages
them with one softmax over frames x levels x points. With one frame this is Deformable DETR
(arXiv 2010.04159); the softmax over the frames of a window follows Snipper (arXiv 2207.04320).
Plain PyTorch: the same code runs on CPU and GPU.

Dimensions: B batch, T frames, Q queries, H heads, L levels, P points, C channels, c = C / H.
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
    grid = points_px.float() / image_wh_px.float() * 2 - 1  # (X, Q, P, 2) in -1..1
    sampled = F.grid_sample(values.float(), grid, align_corners=False, padding_mode="zeros")
    return sampled.to(values.dtype)


class DeformableAttention(nn.Module):
    """Multi-frame, multi-level deformable attention.

    Args:
        dim: channels C of queries and maps.
        heads: attention heads H; each samples its own points.
        levels: maps L per frame.
        points: points P per head, level and frame.
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
        values: list[Float[Tensor, "B T C h w"]],
        image_wh_px: Float[Tensor, "2"],
    ) -> Float[Tensor, "B Q C"]:
        """Samples the maps and mixes the samples.

        Args:
            query: queries with their positions added.
            reference_px: reference points, the same in all frames.
            radius_px: distance in pixels of an offset of 1, per query and level.
            values: one tensor of `project`ed maps per level, frames in axis 1.
            image_wh_px: width and height of the input that the maps cover.

        Returns:
            The weighted mean of the samples for every query, after the output projection.
        """
        batch, queries, _ = query.shape
        frames = values[0].shape[1]
        heads, levels, points = self.heads, self.levels, self.points

        offsets = self.to_offsets(query).unsqueeze(1)  # (B, 1, Q, H*L*P*2)
        logits = self.to_weights(query).unsqueeze(1)  # (B, 1, Q, H*L*P)
        shape = (batch, frames, queries, heads, levels, points)
        offsets = offsets.unflatten(-1, (heads, levels, points, 2)).expand(*shape, 2)
        logits = logits.unflatten(-1, (heads, levels, points)).expand(shape)

        # One softmax over all points of all levels and frames.
        logits = logits.permute(0, 2, 3, 1, 4, 5)  # (B, Q, H, T, L, P)
        weights = logits.flatten(3).float().softmax(dim=-1).view(logits.shape)
        radius = radius_px[:, None, :, None, :, None, None]  # (B, 1, Q, 1, L, 1, 1)
        centre = reference_px[:, None, :, None, None, None]  # (B, 1, Q, 1, 1, 1, 2)
        points_px = centre + offsets.float() * radius  # (B, T, Q, H, L, P, 2)

        out = query.new_zeros(batch * heads, query.shape[-1] // heads, queries)  # (B*H, c, Q)
        for level, maps in enumerate(values):
            height, width = maps.shape[-2:]
            by_head = maps.unflatten(2, (heads, -1)).transpose(1, 2)  # (B, H, T, c, h, w)
            by_head = by_head.reshape(batch * heads * frames, -1, height, width)
            at = points_px[:, :, :, :, level].permute(0, 3, 1, 2, 4, 5)  # (B, H, T, Q, P, 2)
            at = at.reshape(batch * heads * frames, queries, points, 2)
            sampled = sample_map(by_head, at, image_wh_px)  # (B*H*T, c, Q, P)
            sampled = sampled.unflatten(0, (batch * heads, frames))  # (B*H, T, c, Q, P)
            weight = weights[:, :, :, :, level].permute(0, 2, 3, 1, 4)  # (B, H, T, Q, P)
            weight = weight.flatten(0, 1).unsqueeze(2)  # (B*H, T, 1, Q, P)
            out = out + (sampled * weight.to(sampled.dtype)).sum(dim=(1, 4))  # (B*H, c, Q)
        out = out.view(batch, -1, queries).transpose(1, 2)  # (B, Q, C)
        return self.to_out(out)
