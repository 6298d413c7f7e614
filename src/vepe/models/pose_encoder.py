"""STPE, the spatio-temporal pose encoder: pose queries gather the same person in other frames.

The query of keypoint k of person n in the key frame attends to the queries of keypoint k of the
same person in every frame of the window, where instance consistency says who is the same person.
Keys carry the time between the frames and the keypoint's motion. The paper names the part; its form
is ours, after TransVOD's temporal query encoder (arXiv 2201.05047).

Dimensions: B batch, T frames of the window, N and M people, J = K + 1 queries per person, C
channels, D embedding length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vepe.models.attention import Attention, FeedForwardBlock
from vepe.models.decoder_layer import LayerOutput, person_size_px
from vepe.models.instance_consistency import InstanceConsistency
from vepe.models.positions import TimeEmbedding, sine_features

MOTION_FEATURES = 12


@dataclass(frozen=True)
class FrameQueries:
    """The people of a batch of frames as the spatial decoder leaves them.

    Attributes:
        queries: (B, N, J, C), instance query first.
        points_px: (B, N, J, 2), the person's centre first, then the keypoints.
        identity: (B, N, D) unit embeddings.
        scores: (B, N) person scores in 0..1.
    """

    queries: Float[Tensor, "B N J C"]
    points_px: Float[Tensor, "B N J 2"]
    identity: Float[Tensor, "B N D"]
    scores: Float[Tensor, "B N"]

    @staticmethod
    def of(queries: Tensor, poses: LayerOutput, identity: Tensor) -> FrameQueries:
        """From the decoder's last queries and last prediction."""
        centre = poses.keypoints_px.mean(dim=2, keepdim=True)  # (B, N, 1, 2)
        points = torch.cat([centre, poses.keypoints_px], dim=2)  # (B, N, J, 2)
        return FrameQueries(queries, points, identity, poses.score_logits.sigmoid())

    @property
    def keypoints_px(self) -> Float[Tensor, "B N K 2"]:
        """The keypoints alone."""
        return self.points_px[:, :, 1:]

    def __getitem__(self, rows: slice) -> FrameQueries:
        """Some rows of the batch."""
        return FrameQueries(
            self.queries[rows], self.points_px[rows], self.identity[rows], self.scores[rows]
        )


class PoseEncoderLayer(nn.Module):
    """Attention over the frames of the window, then feed-forward."""

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
        log_match_confidence: Float[Tensor, "B N T"],
    ) -> Float[Tensor, "B N J C"]:
        """Updates the key frame's queries.

        Args:
            queries: of the key frame.
            matched: queries of the same person in each frame.
            motion: displacement from the key frame, in units of the person's size.
            delta_s: seconds from the key frame to each frame.
            log_match_confidence: added to the attention logits, so that frames with a doubtful
                match weigh less.
        """
        batch, people, joints, frames, dim = matched.shape
        content = self.norm(matched)
        # The features of zero motion are subtracted, as for time: a window of one sees neither.
        zero = sine_features(torch.zeros_like(motion), MOTION_FEATURES)  # (B, N, J, T, 2*12)
        sine = sine_features(motion, MOTION_FEATURES) - zero
        moved = self.motion(sine.to(content.dtype))  # (B, N, J, T, C)
        when = self.time(delta_s)[:, None, None]  # (B, 1, 1, T, C)
        tokens = (content + moved + when).view(-1, frames, dim)  # (B*N*J, T, C)
        bias = log_match_confidence[:, :, None, None, None]  # (B, N, 1, 1, 1, T)
        bias = bias.expand(-1, -1, joints, -1, -1, -1).reshape(-1, 1, 1, frames)  # (B*N*J, 1, 1, T)
        query = self.norm(queries).view(-1, 1, dim)  # (B*N*J, 1, C)
        read = self.attention(query, tokens, tokens, bias.to(tokens.dtype))  # (B*N*J, 1, C)
        return self.feed_forward(queries + read.view(batch, people, joints, dim))


class PoseEncoder(nn.Module):
    """STPE: associates the window's frames with the key frame once, then runs `layers` layers."""

    def __init__(self, dim: int, heads: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(PoseEncoderLayer(dim, heads, hidden) for _ in range(layers))

    def forward(
        self,
        window: list[FrameQueries],
        key: int,
        delta_s: Float[Tensor, "B T"],
        consistency: InstanceConsistency,
    ) -> Float[Tensor, "B N J C"]:
        """The key frame's queries, updated from the window.

        Args:
            window: people of all T frames, the key frame at index `key`.
            key: index of the key frame.
            delta_s: seconds from the key frame to each frame.
            consistency: associates the people of two frames.
        """
        own = window[key]
        size = person_size_px(own.keypoints_px)[:, :, None, None]  # (B, N, 1, 1)
        matched, motion, confidence = [], [], []
        for index, frame in enumerate(window):
            if index == key:
                matched.append(own.queries)
                motion.append(torch.zeros_like(own.points_px))
                confidence.append(torch.ones_like(own.scores))
                continue
            association, match_confidence = consistency(own.identity, frame.identity, frame.scores)
            matched.append(_gather(association, frame.queries))
            points_px = _gather_points(association, frame.points_px)
            motion.append((points_px - own.points_px) / size)
            confidence.append(match_confidence)
        stacked = torch.stack(matched, dim=3)  # (B, N, J, T, C)
        moved = torch.stack(motion, dim=3).clamp(-1, 1)  # (B, N, J, T, 2)
        log_confidence = torch.stack(confidence, dim=2).clamp_min(1e-4).log()  # (B, N, T)
        queries = own.queries
        for layer in self.layers:
            queries = layer(queries, stacked, moved, delta_s, log_confidence)
        return queries


def _gather(
    association: Float[Tensor, "B N M"], values: Float[Tensor, "B M J C"]
) -> Float[Tensor, "B N J C"]:
    """Mean of the other frame's people, weighted by the association."""
    return torch.einsum("bnm,bmjc->bnjc", association.to(values.dtype), values)


def _gather_points(
    association: Float[Tensor, "B N M"], points_px: Float[Tensor, "B M J 2"]
) -> Float[Tensor, "B N J 2"]:
    """As `_gather`, but float32 under autocast too: half precision would round by pixels."""
    weights = association.float()[..., None, None]  # (B, N, M, 1, 1)
    return (weights * points_px.unsqueeze(1)).sum(dim=2)  # (B, N, J, 2)
