"""Appearance: what a person looks like, read off the picture along the body (ours).

Queries are trained to know where keypoints are, whatever somebody wears: clothes are what they
learn to overlook. But clothes tell people apart, and the backbone's earliest map still shows them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.deformable import sample_map

INWARD = 0.35
"""Besides each keypoint a place that lies this far on the way to the body's middle is looked at:
a joint's own is often at the border of the body."""


class Appearance(nn.Module):
    """Describes people by the backbone's earliest map at and near their keypoints.

    Args:
        channels: of that map.
        keypoints: K.
        width: numbers that describe each keypoint.
        dim: channels C of what comes out.
    """

    def __init__(self, channels: int, keypoints: int, width: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * channels)
        self.describe = nn.Linear(2 * channels, width)
        self.join = nn.Linear(keypoints * width, dim)
        # Weights that were trained without it go on as they are.
        nn.init.zeros_(self.join.weight)
        nn.init.zeros_(self.join.bias)

    def forward(
        self,
        level: Float[Tensor, "B c h w"],
        keypoints_px: Float[Tensor, "B N K 2"],
        confidence: Float[Tensor, "B N K"],
        image_wh_px: Float[Tensor, "2"],
    ) -> Float[Tensor, "B N C"]:
        """One description a person. Keypoints count by their confidence, 0..1."""
        middle = keypoints_px.mean(dim=2, keepdim=True)
        inner = torch.lerp(keypoints_px, middle, INWARD)
        smooth = F.avg_pool2d(level, 3, stride=1, padding=1, count_include_pad=False)
        places = torch.cat([keypoints_px, inner], dim=2)
        found = sample_map(smooth, places, image_wh_px).permute(0, 2, 3, 1)
        outer, within = found.chunk(2, dim=2)
        each = F.gelu(self.describe(self.norm(torch.cat([outer, within], dim=-1))))
        return self.join((each * confidence.unsqueeze(-1).to(each.dtype)).flatten(2))
