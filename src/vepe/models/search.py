"""Keypoint search: a pose query compares itself with the memory around its keypoint (ours).

A small grid of places around the present estimate, in units of the person's size; the match of
query and memory at each place gives a softmax, and its mean the step towards the keypoint, as
integral regression does on heatmaps (arXiv 1711.08229), but for each query alone. Plain
deformable attention cannot do that: its weights come from the query and never look at the keys.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.deformable import sample_map
from vepe.models.spatial_encoder import Memory


class KeypointSearch(nn.Module):
    """Finds each keypoint near its present estimate.

    Args:
        dim: channels C of queries and memory.
        channels: channels in which query and memory are compared.
        side: places along one side of the grid, odd.
        reach: half the side of the grid in units of the person's size.
        fine: channels of the memory's fine map; 0 where it has none.
    """

    grid: Tensor

    def __init__(
        self, dim: int, channels: int = 32, side: int = 5, reach: float = 0.15, fine: int = 0
    ) -> None:
        super().__init__()
        self.reach = reach
        self.to_query = nn.Linear(dim, channels)
        self.to_key = nn.Conv2d(dim, channels, 1)
        self.to_content = nn.Linear(channels, dim)
        self.to_fine = nn.Conv2d(fine, channels, 1, bias=False) if fine else None
        if self.to_fine is not None:
            # Weights that were trained without it go on as they are.
            nn.init.zeros_(self.to_fine.weight)
        axis = torch.linspace(-1, 1, side)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 2)
        self.register_buffer("grid", grid, persistent=False)
        # Untrained, near places count more than far ones: the estimate stays where it is.
        self.distance_bias = nn.Parameter(-2.0 * grid.square().sum(dim=-1))

    def keys(self, memory: Memory) -> Float[Tensor, "B c h w"]:
        """What queries are compared with: the memory's finest level, sharpened by its fine map."""
        coarse = memory.projected(self.to_key, slice(0, 1))[0]
        if self.to_fine is None:
            return coarse
        fine = memory.projected_fine(self.to_fine)
        return fine + F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)

    def forward(
        self,
        queries: Float[Tensor, "B N K C"],
        keypoints_px: Float[Tensor, "B N K 2"],
        size_px: Float[Tensor, "B N"],
        keys: Float[Tensor, "B c h w"],
        image_wh_px: Float[Tensor, "2"],
    ) -> tuple[Float[Tensor, "B N K 2"], Float[Tensor, "B N K"], Float[Tensor, "B N K C"]]:
        """Steps in units of the person's size, the best match's logit, and what was seen there.

        `keys` are those of the memory (see `keys`).
        """
        people, keypoints = queries.shape[1:3]
        reach = (self.reach * size_px)[:, :, None, None, None]
        places = keypoints_px.unsqueeze(3) + self.grid * reach
        found = sample_map(keys, places.flatten(1, 2), image_wh_px)
        found = found.unflatten(2, (people, keypoints))
        query = self.to_query(queries) / keys.shape[1] ** 0.5
        logits = torch.einsum("bnkc,bcnkp->bnkp", query, found) + self.distance_bias
        weights = logits.float().softmax(dim=-1)
        step = (weights @ self.grid) * self.reach
        content = torch.einsum("bnkp,bcnkp->bnkc", weights.to(found.dtype), found)
        return step, logits.amax(dim=-1), self.to_content(content)
