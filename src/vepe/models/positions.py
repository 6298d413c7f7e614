"""Position embeddings: sine features of points, and cell centres.

Positions are in pixels of the network's input. The origin is the outer corner of the top left
pixel, so the centre of the first cell of a map with stride s is (s/2, s/2).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


def sine_features(values: Float[Tensor, "... D"], count: int) -> Float[Tensor, "... D*count"]:
    """`count` sines and cosines of each value, at the frequencies pi/2, pi, 2 pi, 4 pi ...

    Args:
        values: about -1..1.
        count: features per value, an even number.
    """
    octaves = torch.arange(count // 2, device=values.device, dtype=torch.float32) - 1
    last = values.dim()  # counted from the front: torch.onnx.export gets negative axes wrong here
    phase = values.float().unsqueeze(last) * (math.pi * torch.exp2(octaves))  # (..., D, count/2)
    return torch.cat([phase.sin(), phase.cos()], dim=last).flatten(last - 1)  # (..., D*count)


class PointEmbedding(nn.Module):
    """Embeds keypoints by their position relative to the person and in the image (ours).

    The relative position, (point - centre) / size, is the same for near and far people; the
    position in the image distinguishes people.
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
        """Embeds each point.

        Args:
            points_px: the points.
            centre_px: the person's centre.
            size_px: the person's size.
            image_wh_px: width and height of the network's input.
        """
        in_person = (points_px - centre_px) / size_px
        in_image = points_px / image_wh_px * 2 - 1
        sine = sine_features(torch.cat([in_person, in_image], dim=-1), self.features)
        return self.project(sine.to(self.project.weight.dtype))


def cell_centres_px(
    height: int, width: int, stride: int, device: torch.device
) -> Float[Tensor, "h*w 2"]:
    """Centres (x, y) of the cells of a map of `height` x `width` cells, row by row."""
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * stride
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")  # (h, w) each
    return torch.stack([grid_x, grid_y], dim=-1).reshape(-1, 2)  # (h*w, 2)


def map_wh(values: Float[Tensor, "... h w"]) -> Float[Tensor, "2"]:
    """Width and height of a map in cells; not a constant where the model is exported."""
    height, width = values.shape[-2:]
    sides = [torch.as_tensor(side, device=values.device) for side in (width, height)]
    return torch.stack(sides).float()
