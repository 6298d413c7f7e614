"""Instance consistency: who in this frame is who in another, by the identity of instance queries.

The paper's mechanism makes instance queries consistent across frames and distinct across people,
tracks with them and lets them guide the matching of pose queries (abstract of arXiv 2509.01095).
Our reading: one embedding serves all three. Its similarity is the contrastive loss's logit, the
tracker's cost, and here the soft association that the pose encoder gathers queries with; the
bi-directional softmax is IDOL's (arXiv 2207.10661).

Appearance: what a person looks like, read off the picture along the body (ours).

Queries are trained to know where keypoints are, whatever somebody wears: clothes are what they
learn to overlook. But clothes tell people apart, and the backbone's earliest map still shows them.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.deformable import sample_map

Matching = Literal["identity", "uniform"]


class InstanceConsistency(nn.Module):
    """Soft association of the people of two frames.

    Args:
        matching: `identity` associates by embedding; `uniform` shares out by person score alone,
            whoever it is (the control that shows what identity is worth).
    """

    def __init__(self, matching: Matching = "identity") -> None:
        super().__init__()
        self.matching = matching
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.1)))

    def similarity(
        self, key: Float[Tensor, "... N D"], other: Float[Tensor, "... M D"]
    ) -> Float[Tensor, "... N M"]:
        """Cosines over the learnt temperature, in float32 under autocast too."""
        cosine = (key.unsqueeze(-2) * other.unsqueeze(-3)).sum(dim=-1)
        return cosine.float() / self.temperature

    @property
    def temperature(self) -> Float[Tensor, ""]:
        """What cosines are divided by, here and in the contrastive loss; 0.02 to 1."""
        return self.log_temperature.clamp(-4.0, 0.0).exp()

    def forward(
        self,
        key: Float[Tensor, "B N D"],
        other: Float[Tensor, "B M D"],
        other_scores: Float[Tensor, "B M"],
    ) -> tuple[Float[Tensor, "B N M"], Float[Tensor, "B N"]]:
        """Shares of the other frame's people for each person of the key frame, and certainty.

        Shares sum to 1 over M and leave out queries that are no person (`other_scores`, 0..1).
        Certainty in 0..1 is the largest entry of the bi-directional softmax.
        """
        presence = other_scores.clamp_min(1e-6).log().unsqueeze(1)
        if self.matching == "uniform":
            shares = presence.expand(-1, key.shape[1], -1).softmax(dim=-1)
            return shares, torch.ones_like(shares[..., 0])
        logits = self.similarity(key, other)
        # In log space: products of small shares would vanish, and their roots have no slope there.
        both = (logits + presence).log_softmax(dim=-1) + logits.log_softmax(dim=-2)
        return both.softmax(dim=-1), (0.5 * both.amax(dim=-1)).exp()


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
