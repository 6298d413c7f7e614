"""The fine map: a thin map at half the finest stride, by which keypoints are placed (ours).

A person of a hundred pixels is a dozen cells of stride 8 tall: enough to be found in, too few to
place a wrist in. A full level of half the stride would cost as much as all others together, so
this one has few channels, and only the keypoint search reads it.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.pyramid import ConvBlock


class FineMap(nn.Module):
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
