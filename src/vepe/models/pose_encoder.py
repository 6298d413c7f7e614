"""STPE, the spatio-temporal pose encoder: the key frame's poses from the same people in all frames.

Two steps, of which the first is computed once per frame. `PoseEncoder` updates the pose queries of
a frame before its pose decoder. `fuse_poses` gathers the finished poses of the window's frames:
carried into the key frame along the motion (STDME), associated with its people by instance
consistency, and averaged joint by joint with the weights

    softmax over frames of ( 2 log confidence + log match confidence + log reliability ),

the mean weighted by squared confidence, match and reliability. A second round gives less weight to
frames whose joint lies far from that mean. Nothing in it is learnt yet, and without other frames
the poses stay as they are, so still images cannot lose by it. The paper names the part (arXiv
2509.01095); its form is ours, aligned by motion as in DCPose (arXiv 2103.07254).

Dimensions: B batch, T frames of the window, N and M people of two frames, K keypoints, J = K + 1
queries per person, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.alignment import FrameMotion
from vepe.models.attention import FeedForwardBlock
from vepe.models.decoder_layer import PoseOutput, person_size_px
from vepe.models.instance_consistency import InstanceConsistency
from vepe.models.memory_encoder import carry_to_key

ERROR_SCALE_PX = 1.5
"""Round-trip error at which the reliability of a carried joint falls to 1/e."""
MOTION_SCALE = 0.1
"""Displacement, in units of the person's size, at which it falls to 1/e: flow is worst on fast,
blurred limbs."""
AGREEMENT_SCALE = 0.06
"""Standard deviation, in units of the person's size, of the weights of the second round."""
SCORE_SHARE = 0.25
"""How much of the difference to the other frames' mean score logit is added to a person's own."""


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


def fuse_poses(
    poses: Sequence[PoseOutput],
    motions: Sequence[FrameMotion] | None,
    key: int,
    reads: Sequence[int],
    consistency: InstanceConsistency,
    present: Bool[Tensor, "B T"] | None = None,
) -> PoseOutput:
    """The poses of the key frame, from its own and those of the frames it reads.

    Args:
        poses: finished poses of the T successive frames of the window.
        motions: T - 1 motions between successive frames; None: nothing moves (a control).
        key: index of the key frame.
        reads: indices of the frames that it reads, without itself; at least one.
        consistency: associates the people of two frames.
        present: which frames each row of the batch has, where not all have the same; the others
            hold any finite values, and are read with weight 0. None: all of them. With it, no part
            of the computation depends on the data, so that it can be exported.

    Returns:
        Poses with fused keypoints and scores; confidences and identities are the key frame's own.
    """
    own = poses[key]
    size = person_size_px(own.keypoints_px)[..., None]  # (B, N, 1)
    keypoints = [own.keypoints_px]
    weights = [own.confidence_logits.sigmoid().square()]  # (B, N, K)
    score_change = torch.zeros_like(own.score_logits)  # (B, N)
    for frame in reads:
        other = poses[frame]
        carried, error_px = other.keypoints_px, torch.zeros_like(other.confidence_logits)
        if motions is not None:
            carried, error_px = carry_to_key(other.keypoints_px, motions, frame, key)
        moved_px = (carried - other.keypoints_px).norm(dim=-1)  # (B, M, K)
        association, match_confidence = consistency.associate(own, other, carried)
        if present is not None:
            match_confidence = match_confidence * present[:, frame, None]  # (B, N)
        reliability = torch.exp(
            -_gather(association, error_px) / ERROR_SCALE_PX
            - _gather(association, moved_px) / size / MOTION_SCALE
        )  # (B, N, K)
        confidence = _gather(association, other.confidence_logits.sigmoid())  # (B, N, K)
        keypoints.append(_gather(association, carried.flatten(2)).view_as(carried))
        weights.append(confidence.square() * match_confidence[..., None] * reliability)
        score = _gather(association, other.score_logits[..., None])[..., 0]  # (B, N)
        score_change = score_change + (score - own.score_logits) * (match_confidence > 0)
    fused = _robust_mean(torch.stack(keypoints), torch.stack(weights), size)
    if present is None:
        score_logits = own.score_logits + SCORE_SHARE / len(reads) * score_change
    else:
        num_reads = present[:, list(reads)].sum(dim=1, keepdim=True)  # (B, 1)
        # Without any other frame the poses are the frame's own, bit for bit.
        fused = torch.where(num_reads[..., None, None] > 0, fused, own.keypoints_px)
        score_logits = own.score_logits + SCORE_SHARE / num_reads.clamp_min(1) * score_change
    return PoseOutput(score_logits, fused, own.confidence_logits, own.identity)


def _robust_mean(
    keypoints_px: Float[Tensor, "T B N K 2"],
    weights: Float[Tensor, "T B N K"],
    size_px: Float[Tensor, "B N 1"],
) -> Float[Tensor, "B N K 2"]:
    """The weighted mean over frames, then once more with less weight for frames far from it."""
    mean = _mean(keypoints_px, weights)  # (B, N, K, 2)
    distance = (keypoints_px - mean).norm(dim=-1) / size_px  # (T, B, N, K)
    agreement = torch.exp(-0.5 * (distance / AGREEMENT_SCALE).square())
    # Where no frame agrees with the mean, the first round stands.
    return _mean(keypoints_px, weights * (agreement + 1e-6))


def _mean(
    keypoints_px: Float[Tensor, "T B N K 2"], weights: Float[Tensor, "T B N K"]
) -> Float[Tensor, "B N K 2"]:
    """The weighted mean over frames."""
    share = weights / weights.sum(dim=0).clamp_min(1e-12)  # (T, B, N, K)
    return (keypoints_px * share[..., None]).sum(dim=0)


def _gather(
    association: Float[Tensor, "B N M"], values: Float[Tensor, "B M X"]
) -> Float[Tensor, "B N X"]:
    """Values of the associated people; float32 under autocast too: pixels would be rounded."""
    return association.float() @ values.float()
