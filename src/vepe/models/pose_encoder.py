"""STPE, the spatio-temporal pose encoder: the pose queries of a frame before its pose decoder.

Computed once per frame, on its own queries. What STPE does with the other frames of a window, on
finished poses, is in `vepe.models.pose_fusion`. The paper names the part (arXiv 2509.01095); its
form is ours.

Dimensions: B batch, N people, K keypoints, J = K + 1 queries per person, C channels.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.attention import FeedForwardBlock


class PoseEncoderLayer(nn.Module):
    """Updates each query on its own: a linear map of the normalised query, then feed-forward."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mix = nn.Linear(dim, dim)
        self.feed_forward = FeedForwardBlock(dim, hidden)

    def forward(self, queries: Float[Tensor, "B N J C"]) -> Float[Tensor, "B N J C"]:
        """The updated queries."""
        return self.feed_forward(queries + self.mix(self.norm(queries)))


class PoseEncoder(nn.Module):
    """The pass of STPE over a frame's own queries: a stack of `layers` layers."""

    def __init__(self, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(PoseEncoderLayer(dim, hidden) for _ in range(layers))

    def forward(self, queries: Float[Tensor, "B N J C"]) -> Float[Tensor, "B N J C"]:
        """The updated queries."""
        for layer in self.layers:
            queries = layer(queries)
        return queries
