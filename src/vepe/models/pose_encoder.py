"""STPE, the spatio-temporal pose encoder: pose queries gather the same person in other frames.

The key frame's query of keypoint k of person n reads the queries of keypoint k of the person that
instance consistency takes for n, in every frame of the window, with the time between the frames
and the way the keypoint has moved. The paper names the part; its form is ours, after TransVOD's
temporal query encoder (arXiv 2201.05047).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.attention import Attention, FeedForwardBlock
from vepe.models.instance_consistency import InstanceConsistency
from vepe.models.positions import TimeEmbedding, sine_features

MOTION_FEATURES = 12


@dataclass(frozen=True)
class FrameQueries:
    """The queries of one frame and where their keypoints are.

    Attributes:
        queries: (B, N, J, C), instance query first.
        points_px: (B, N, J, 2), the person's centre first.
        identity: (B, N, D) unit embeddings.
        scores: (B, N) person scores in 0..1.
    """

    queries: Float[Tensor, "B N J C"]
    points_px: Float[Tensor, "B N J 2"]
    identity: Float[Tensor, "B N D"]
    scores: Float[Tensor, "B N"]


class PoseEncoderLayer(nn.Module):
    """One round of reading: attention over the frames of the window, then feed-forward."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.feed_forward = FeedForwardBlock(dim, hidden)
        self.time = TimeEmbedding(dim)
        self.motion = nn.Linear(2 * MOTION_FEATURES, dim)

    def forward(
        self,
        queries: Float[Tensor, "B N J C"],
        matched: Float[Tensor, "B N J T C"],
        motion: Float[Tensor, "B N J T 2"],
        delta_s: Float[Tensor, "B T"],
        log_certainty: Float[Tensor, "B N T"],
    ) -> Float[Tensor, "B N J C"]:
        """Queries that know what the window knows of them.

        `motion` is in units of the person's size; `log_certainty` lowers the weight of frames
        where the person was hardly found.
        """
        batch, people, joints, frames, dim = matched.shape
        content = self.norm(matched)
        # Motion passes through a sine, whose zero is no zero: take it off, so that a window of one
        # sees neither time nor motion.
        still = sine_features(torch.zeros_like(motion), MOTION_FEATURES)
        moved = self.motion((sine_features(motion, MOTION_FEATURES) - still).to(content.dtype))
        when = self.time(delta_s)[:, None, None]
        tokens = (content + moved + when).view(-1, frames, dim)
        bias = log_certainty[:, :, None, None, None].expand(-1, -1, joints, -1, -1, -1)
        bias = bias.reshape(-1, 1, 1, frames).to(tokens.dtype)
        query = self.norm(queries).view(-1, 1, dim)
        read = self.attention(query, tokens, tokens, bias)
        return self.feed_forward(queries + read.view(batch, people, joints, dim))


class PoseEncoder(nn.Module):
    """STPE. The window's other frames are associated once; `layers` rounds read them."""

    def __init__(self, dim: int, heads: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(PoseEncoderLayer(dim, heads, hidden) for _ in range(layers))

    def forward(
        self,
        window: list[FrameQueries],
        key: int,
        delta_s: Float[Tensor, "B T"],
        size_px: Float[Tensor, "B N"],
        consistency: InstanceConsistency,
    ) -> Float[Tensor, "B N J C"]:
        """The key frame's queries, enhanced.

        Args:
            window: queries of all frames, the key frame at index `key`.
            delta_s: seconds from the key frame to each frame.
            size_px: sizes of the key frame's people.
            consistency: gives the soft association of two frames.
        """
        own = window[key]
        matched, motion, certainty = [], [], []
        for index, frame in enumerate(window):
            if index == key:
                matched.append(own.queries)
                motion.append(torch.zeros_like(own.points_px))
                certainty.append(torch.ones_like(own.scores))
                continue
            shares, sure = consistency(own.identity, frame.identity, frame.scores)
            matched.append(_gather(shares, frame.queries))
            place = _gather_points(shares, frame.points_px)
            motion.append((place - own.points_px) / size_px[:, :, None, None])
            certainty.append(sure)
        stacked, moved = torch.stack(matched, dim=3), torch.stack(motion, dim=3).clamp(-1, 1)
        log_certainty = torch.stack(certainty, dim=2).clamp_min(1e-4).log()
        queries = own.queries
        for layer in self.layers:
            queries = layer(queries, stacked, moved, delta_s, log_certainty)
        return queries


def _gather_points(
    shares: Float[Tensor, "B N M"], points_px: Float[Tensor, "B M J 2"]
) -> Float[Tensor, "B N J 2"]:
    """As `_gather`, but in float32 under autocast too: half precision would round by pixels."""
    return (shares.float()[..., None, None] * points_px.unsqueeze(1)).sum(dim=2)


def _gather(
    shares: Float[Tensor, "B N M"], values: Float[Tensor, "B M J C"]
) -> Float[Tensor, "B N J C"]:
    """The share-weighted mean of the other frame's people, joint by joint."""
    return torch.einsum("bnm,bmjc->bnjc", shares.to(values.dtype), values)
