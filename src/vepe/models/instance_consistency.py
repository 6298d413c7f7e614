"""Instance consistency: identity embeddings of people, and the association they give.

The paper's mechanism makes instance queries consistent across frames and distinct across people,
tracks with them and lets them guide the matching of pose queries (abstract of arXiv 2509.01095).
Our reading: one embedding serves all three. Its similarity is the logit of the contrastive loss,
the tracker's cost, and with the overlap of motion-aligned poses the association of the window's
frames. The contrastive training is IDOL's (arXiv 2207.10661).

`Appearance` (ours) adds colour and texture along the body. Queries learn to localise keypoints
whatever a person wears, so they discard clothing; the backbone's earliest map still shows it.

Dimensions: B batch, N and M people of two frames, K keypoints, C channels, D embedding length.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.attention import mlp
from vepe.models.decoder_layer import PoseOutput, person_size_px
from vepe.models.deformable import sample_map

Matching = Literal["identity", "uniform"]

OVERLAP_SCALE = 0.1
"""Distance, in units of the person's size, that counts as one standard deviation of a keypoint."""
MIN_OVERLAP = 0.3
"""Poses that overlap less are different people, or the alignment has failed."""
COSINE_WEIGHT, SCORE_WEIGHT, KEY_SCORE_WEIGHT = 0.3, 0.04, 0.1
"""Weights next to the overlap, which finds the right person nearly always: identity decides where
people overlap each other, the other frame's score against queries that are no person, the key
frame's score which of several queries on one person is the one."""

INWARD = 0.35
"""Besides each keypoint, `Appearance` samples a point this fraction of the way to the body's
centre: keypoints often lie on the border of the body."""


class Appearance(nn.Module):
    """Describes people by the backbone's earliest map at and near their keypoints.

    Args:
        channels: c of that map.
        keypoints: K.
        width: channels per keypoint.
        dim: channels C of the result.
    """

    ninths: Tensor

    def __init__(self, channels: int, keypoints: int, width: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("ninths", torch.full((channels, 1, 3, 3), 1 / 9), persistent=False)
        self.norm = nn.LayerNorm(2 * channels)
        self.describe = nn.Linear(2 * channels, width)
        self.join = nn.Linear(keypoints * width, dim)
        # Zero, so that weights trained without appearance work unchanged at first.
        nn.init.zeros_(self.join.weight)
        nn.init.zeros_(self.join.bias)

    def forward(
        self,
        features: Float[Tensor, "B c h w"],
        keypoints_px: Float[Tensor, "B N K 2"],
        confidence: Float[Tensor, "B N K"],
        image_wh_px: Float[Tensor, "2"],
    ) -> Float[Tensor, "B N C"]:
        """One vector per person; keypoints are weighted by their confidence, 0..1."""
        centre = keypoints_px.mean(dim=2, keepdim=True)  # (B, N, 1, 2)
        inner = torch.lerp(keypoints_px, centre, INWARD)
        smooth = self.neighbourhood_mean(features)
        points = torch.cat([keypoints_px, inner], dim=2)  # (B, N, 2K, 2)
        sampled = sample_map(smooth, points, image_wh_px).permute(0, 2, 3, 1)  # (B, N, 2K, c)
        at_keypoint, inside = sampled.chunk(2, dim=2)  # (B, N, K, c) each
        each = self.describe(self.norm(torch.cat([at_keypoint, inside], dim=-1)))
        each = F.gelu(each)  # (B, N, K, width)
        return self.join((each * confidence.unsqueeze(-1).to(each.dtype)).flatten(2))

    def neighbourhood_mean(self, features: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c h w"]:
        """Mean of each cell's 3x3 neighbourhood, as far as it lies in the map.

        A pooling layer does the same, but takes a tenth of a frame's time in ONNX Runtime.
        """
        ninths = self.ninths.to(features.dtype)
        total = F.conv2d(features, ninths, padding=1, groups=len(ninths))
        ones = features.new_ones(1, 1, *features.shape[-2:])
        return total / F.conv2d(ones, ninths[:1], padding=1)


class IdentityHead(nn.Module):
    """Identity embedding of the instance query (IDOL's three-layer head, arXiv 2207.10661).

    Args:
        dim: channels C of the queries.
        out: length D of the embedding.
    """

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.project = mlp(dim, out, 3)

    def forward(
        self, instance: Float[Tensor, "B N C"], appearance: Float[Tensor, "B N C"] | None = None
    ) -> Float[Tensor, "B N D"]:
        """Embeddings of unit length, float32, from instance queries and appearance, if any."""
        content = self.norm(instance)
        if appearance is not None:
            content = content + appearance
        return F.normalize(self.project(content).float(), dim=-1)


class InstanceConsistency(nn.Module):
    """Association of the people of two frames.

    Args:
        matching: `identity` associates by embedding; `uniform` by person score alone (a control
            that shows the value of identity).
    """

    def __init__(self, matching: Matching = "identity") -> None:
        super().__init__()
        self.matching = matching
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.1)))

    @property
    def temperature(self) -> Float[Tensor, ""]:
        """Divisor of the cosines, here and in the contrastive loss; learnt, 0.02 to 1."""
        return self.log_temperature.clamp(-4.0, 0.0).exp()

    def similarity(
        self, key: Float[Tensor, "... N D"], other: Float[Tensor, "... M D"]
    ) -> Float[Tensor, "... N M"]:
        """Cosines divided by the temperature; float32 under autocast too."""
        cosine = (key.unsqueeze(-2) * other.unsqueeze(-3)).sum(dim=-1)  # (..., N, M)
        return cosine.float() / self.temperature

    def associate(
        self,
        poses: PoseOutput,
        other: PoseOutput,
        carried_px: Float[Tensor, "B M K 2"],
    ) -> tuple[Float[Tensor, "B N M"], Float[Tensor, "B N"]]:
        """Associates the key frame's people with another frame's, one to one.

        Two people are the same where each is the other's best match by overlap of the poses, cosine
        similarity of the embeddings, and scores.

        Args:
            poses: of the key frame.
            other: poses of the other frame, in its own pixels.
            carried_px: the other frame's keypoints in the key frame, see `vepe.models.alignment`.

        Returns:
            association: weights of the other frame's people for each person of the key frame; one 1
                per row, or with `uniform` matching the softmax of the other frame's scores.
            match_confidence: 0..1, the overlap of the matched poses; 0 without a match.
        """
        if self.matching == "uniform":
            weights = F.logsigmoid(other.score_logits).unsqueeze(1).softmax(dim=-1)  # (B, 1, M)
            weights = weights.expand(-1, poses.identity.shape[1], -1)  # (B, N, M)
            mixed = (weights @ carried_px.flatten(2)).view_as(poses.keypoints_px)
            match = _pose_overlap(poses, mixed).diagonal(dim1=1, dim2=2)  # (B, N)
            return weights, match * (match > MIN_OVERLAP)
        overlap = _pose_overlap(poses, carried_px)  # (B, N, M)
        affinity = overlap + COSINE_WEIGHT * (poses.identity @ other.identity.transpose(1, 2))
        affinity = affinity + SCORE_WEIGHT * F.logsigmoid(other.score_logits).unsqueeze(1)
        affinity = affinity + KEY_SCORE_WEIGHT * F.logsigmoid(poses.score_logits).unsqueeze(2)
        best = affinity.argmax(dim=2)  # (B, N)
        back = affinity.argmax(dim=1).gather(1, best)  # (B, N)
        mutual = back == torch.arange(back.shape[1], device=back.device)
        match = overlap.gather(2, best[..., None])[..., 0]  # (B, N)
        match = match * (mutual & (match > MIN_OVERLAP))
        return F.one_hot(best, affinity.shape[2]).to(match.dtype), match


def _pose_overlap(
    poses: PoseOutput, carried_px: Float[Tensor, "B M K 2"]
) -> Float[Tensor, "B N M"]:
    """Overlap of poses, 0..1: OKS with one constant for all keypoints, weighted by confidence."""
    size = person_size_px(poses.keypoints_px)[:, :, None, None]  # (B, N, 1, 1)
    offset = poses.keypoints_px.unsqueeze(2) - carried_px.unsqueeze(1)  # (B, N, M, K, 2)
    distance = offset.square().sum(dim=-1) / (size * OVERLAP_SCALE).square()  # (B, N, M, K)
    confidence = poses.confidence_logits.sigmoid()
    weights = confidence / confidence.sum(dim=-1, keepdim=True)  # (B, N, K)
    return (torch.exp(-0.5 * distance) * weights.unsqueeze(2)).sum(dim=-1)
