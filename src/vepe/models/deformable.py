"""Deformable attention over frames, levels and points, by `grid_sample` alone.

Every query looks at a few places around its reference point, in every frame and level it is
given, and mixes what it finds with one softmax over frames x levels x points. The spatial case is
Deformable DETR's (arXiv 2010.04159); one softmax over the frames of a window follows Snipper
(arXiv 2207.04320). Pure PyTorch: runs on CPU and GPU and exports to ONNX.
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
    """Values at points, bilinear between cell centres, zero outside the picture.

    Coordinates stay in float32 whatever the precision of the rest: half precision would move a
    point by half a pixel in a picture of a thousand.
    """
    grid = points_px.float() / image_wh_px.float() * 2 - 1
    sampled = F.grid_sample(values.float(), grid, align_corners=False, padding_mode="zeros")
    return sampled.to(values.dtype)


class DeformableAttention(nn.Module):
    """Multi-frame, multi-level deformable attention.

    Args:
        dim: channels C of queries and maps.
        heads: attention heads; each looks at its own places.
        levels: maps per frame.
        points: places per head, level and frame.
    """

    def __init__(self, dim: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.to_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.to_weights = nn.Linear(dim, heads * levels * points)
        self.to_value = nn.Linear(dim, dim)
        self.to_out = nn.Linear(dim, dim)
        self._start_on_rings()

    def _start_on_rings(self) -> None:
        """Untrained, head h looks in direction h, its points one, two, ... steps away."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1) / self.points
        rings = direction[:, None, None] * steps[None, None, :, None]
        rings = rings.expand(self.heads, self.levels, self.points, 2)
        nn.init.zeros_(self.to_offsets.weight)
        nn.init.zeros_(self.to_weights.weight)
        nn.init.zeros_(self.to_weights.bias)
        with torch.no_grad():
            self.to_offsets.bias.copy_(rings.flatten())

    def project(self, level_map: Float[Tensor, "X C h w"]) -> Float[Tensor, "X C h w"]:
        """The value projection of one map; done once, however many queries read it."""
        weight = self.to_value.weight[:, :, None, None]
        return F.conv2d(level_map, weight, self.to_value.bias)

    def forward(
        self,
        query: Float[Tensor, "B Q C"],
        reference_px: Float[Tensor, "B Q 2"],
        radius_px: Float[Tensor, "#B #Q #L"],
        values: list[Float[Tensor, "B F C h w"]],
        image_wh_px: Float[Tensor, "2"],
        frame_condition: Float[Tensor, "B F C"] | None = None,
    ) -> Float[Tensor, "B Q C"]:
        """What every query reads.

        Args:
            query: the queries, positions already added.
            reference_px: where each query looks, the same place in all frames.
            radius_px: how far an offset of 1 reaches, by query and level.
            values: one tensor a level of `project`ed maps, frames in axis 1.
            image_wh_px: width and height of the input that the maps cover.
            frame_condition: added to the query for each frame (its relative time), so that
                offsets and weights may follow motion.
        """
        batch, count, _ = query.shape
        frames = values[0].shape[1]
        offsets, logits = self.to_offsets(query)[:, None], self.to_weights(query)[:, None]
        if frame_condition is not None:
            # The maps are linear, so the frame's share is computed once and not for every query.
            offsets = offsets + F.linear(frame_condition, self.to_offsets.weight)[:, :, None]
            logits = logits + F.linear(frame_condition, self.to_weights.weight)[:, :, None]
        shape = (batch, frames, count, self.heads, self.levels, self.points)
        offsets = offsets.reshape(batch, -1, count, *shape[3:], 2).expand(*shape, 2)
        logits = logits.reshape(batch, -1, count, *shape[3:]).expand(*shape)

        # (B, Q, heads, F, L, P): one softmax over all places in all frames.
        logits = logits.permute(0, 2, 3, 1, 4, 5)
        weights = logits.flatten(3).float().softmax(dim=-1).view(logits.shape)
        reach = radius_px[:, None, :, None, :, None, None]
        places = reference_px[:, None, :, None, None, None] + offsets.float() * reach

        total = query.new_zeros(batch * self.heads, query.shape[-1] // self.heads, count)
        for level, maps in enumerate(values):
            height, width = maps.shape[-2:]
            by_head = maps.unflatten(2, (self.heads, -1)).transpose(1, 2)
            by_head = by_head.reshape(batch * self.heads * frames, -1, height, width)
            at = places[:, :, :, :, level].permute(0, 3, 1, 2, 4, 5)
            at = at.reshape(batch * self.heads * frames, count, self.points, 2)
            found = sample_map(by_head, at, image_wh_px)
            found = found.unflatten(0, (batch * self.heads, frames))
            weight = weights[:, :, :, :, level].permute(0, 2, 3, 1, 4).flatten(0, 1)
            weighted = found * weight.unsqueeze(2).to(found.dtype)
            total = total + weighted.sum(dim=(1, 4))
        out = total.view(batch, -1, count).transpose(1, 2)
        return self.to_out(out)
