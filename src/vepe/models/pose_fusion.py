"""STPE over a window: each joint from the key frame and the same person's joint in other frames.

`gather_candidates` collects what the frames say about the people of the key frame: every joint
carried there along the motion (STDME), of the person that instance consistency associates.
`PoseFusion` averages these candidates joint by joint. The weight of a candidate is the softmax over
frames of a sum of terms: its confidence, how reliable the motion is, the person's score in that
frame, whether it is the key frame's own, and how close it is to the mean of all.

Only the weights of these terms are learned: six numbers, which carry over to other video and
other weights of the per-frame path. A network in their place that read the same quantities gained
nothing (docs/experiments.md), and one that reads query contents learns the looks of its training
video. Without other frames the poses stay as they are, so still images cannot lose by it. The paper
names the parts (arXiv 2509.01095); their form is ours, aligned by motion as in DCPose (arXiv
2103.07254).

Dimensions: B batch, S frames (the key frame first), N people of the key frame and M of another,
K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vepe.models.alignment import FrameMotion
from vepe.models.decoder_layer import PoseOutput, person_size_px
from vepe.models.instance_consistency import InstanceConsistency
from vepe.models.memory_encoder import carry_to_key

ERROR_SCALE_PX = 1.5
"""Unit of the round-trip error of a carried joint."""
MOTION_SCALE = 0.1
"""Unit of the displacement, in units of the person's size: flow is worst on fast, blurred limbs."""
AGREEMENT_SCALE = 0.06
"""Standard deviation of the agreement, in units of the person's size."""
SCORE_SHARE = 0.6
"""How much of the difference to the other frames' mean score logit is added to a person's own."""
SEEN_SHARE, SEEN_USUALLY = 0.7, 0.8
"""How much a score logit rises with the mean match confidence of the frames read, above what is
usual for people: nobody has as good a match twice who is not there."""
CONFIDENCE_SHARE, SPREAD_DOUBT = 0.84, 14.0
"""How much of the difference to the candidates' mean confidence logit is added to a joint's own,
and how much it falls with their spread in units of the person's size."""

WEIGHTS = (2.6, 0.7, 0.9, 0.35, 0.3, 0.3)
"""Initial weights, see `PoseFusion`; fitted on rendered video as by the recipe `temporal`, together
with one more term, which gained nothing (docs/experiments.md)."""

_ABSENT = -1e4
"""Log weight of a frame that does not see the person: its softmax is exactly 0."""


@dataclass(frozen=True)
class Candidates:
    """What S frames say about the people of the key frame, which is the first of them.

    Attributes:
        keypoints_px: (B, S, N, K, 2) in the key frame.
        confidence_logits: (B, S, N, K) in the candidate's own frame.
        error_px: (B, S, N, K) round-trip error of the motion, 0 in the key frame.
        moved_px: (B, S, N, K) displacement along it.
        match_confidence: (B, S, N) overlap of the matched poses; 1 in the key frame, 0 where the
            frame does not see the person.
        score_logits: (B, S, N) of the person in the candidate's own frame.
        steps: (B, S) frames from the key frame; negative in the past.
        read: (B, S) False for a frame that is left out.
    """

    keypoints_px: Float[Tensor, "B S N K 2"]
    confidence_logits: Float[Tensor, "B S N K"]
    error_px: Float[Tensor, "B S N K"]
    moved_px: Float[Tensor, "B S N K"]
    match_confidence: Float[Tensor, "B S N"]
    score_logits: Float[Tensor, "B S N"]
    steps: Float[Tensor, "B S"]
    read: Bool[Tensor, "B S"]

    @property
    def present(self) -> Bool[Tensor, "B S N"]:
        """Whether a frame is read and sees the person."""
        return (self.match_confidence > 0) & self.read[..., None]

    def of_frames(self, indices: Sequence[int]) -> Candidates:
        """Only some of the S frames; the first index is 0, the key frame."""
        return Candidates(**{f.name: getattr(self, f.name)[:, indices] for f in fields(self)})


def gather_candidates(
    poses: Sequence[PoseOutput],
    motions: Sequence[FrameMotion | None],
    key: int,
    reads: Sequence[int],
    consistency: InstanceConsistency,
    present: Bool[Tensor, "B T"] | None = None,
) -> Candidates:
    """The candidates of the key frame's joints, from its own frame and those that it reads.

    Args:
        poses: finished poses of the T successive frames of the window.
        motions: T - 1 motions between successive frames; without any, nothing moves (a control).
        key: index of the key frame.
        reads: indices of the frames that it reads, without itself; at least one.
        consistency: associates the people of two frames.
        present: which frames each row of the batch has, where not all have the same; the others
            hold any finite values, and are read with weight 0. None: all of them. With it, no part
            of the computation depends on the data, so that it can be exported.
    """
    own = poses[key]
    aligned = [motion for motion in motions if motion is not None]
    nothing = torch.zeros_like(own.confidence_logits)
    certain = torch.ones_like(own.score_logits)
    confidence = own.confidence_logits.float()
    rows = [(own.keypoints_px, confidence, nothing, nothing, certain, own.score_logits)]
    for frame in reads:
        other = poses[frame]
        carried, error_px = other.keypoints_px, torch.zeros_like(other.confidence_logits)
        if aligned:
            carried, error_px = carry_to_key(other.keypoints_px, aligned, frame, key)
        moved_px = (carried - other.keypoints_px).norm(dim=-1)  # (B, M, K)
        association, match_confidence = consistency.associate(own, other, carried)
        rows.append(
            (
                _gather(association, carried.flatten(2)).view_as(own.keypoints_px),
                _gather(association, other.confidence_logits),
                _gather(association, error_px),
                _gather(association, moved_px),
                match_confidence,
                _gather(association, other.score_logits[..., None])[..., 0],
            )
        )
    steps = own.score_logits.new_tensor([0, *(frame - key for frame in reads)])
    steps = steps.expand(own.score_logits.shape[0], -1)  # (B, S)
    columns = [torch.stack(column, dim=1) for column in zip(*rows, strict=True)]
    keypoints_px, confidences, errors_px, moves_px, matches, scores = columns
    read = torch.ones_like(steps, dtype=torch.bool)
    if present is not None:
        read = present[:, [key, *reads]]
    return Candidates(keypoints_px, confidences, errors_px, moves_px, matches, scores, steps, read)


class PoseFusion(nn.Module):
    """The weighted mean of the candidates.

    Attributes:
        weights: of the terms of a candidate's logit: log confidence, round-trip error,
            displacement, difference of the person scores, being the key frame's own, and log
            agreement with the mean.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(WEIGHTS))

    def forward(
        self,
        poses: Sequence[PoseOutput],
        motions: Sequence[FrameMotion | None],
        key: int,
        reads: Sequence[int],
        consistency: InstanceConsistency,
        present: Bool[Tensor, "B T"] | None = None,
    ) -> PoseOutput:
        """The poses of the key frame of a window; arguments as of `gather_candidates`."""
        candidates = gather_candidates(poses, motions, key, reads, consistency, present)
        return self.fuse(poses[key], candidates)

    def fuse(self, own: PoseOutput, c: Candidates) -> PoseOutput:
        """The poses of the key frame; identities are its own.

        Args:
            own: poses of the key frame alone.
            c: candidates of its joints, with at least one other frame.
        """
        size = person_size_px(own.keypoints_px)[:, None, :, None]  # (B, 1, N, 1)
        terms = torch.stack(_terms(c, size), dim=-1)  # (B, S, N, K, 5)
        *_, agreement_weight = self.weights.unbind()
        logits = (terms * self.weights[:-1]).sum(dim=-1)
        logits = logits.masked_fill(~c.present[..., None], _ABSENT)  # (B, S, N, K)
        mean = _mean(c, logits.softmax(dim=1))  # (B, N, K, 2)
        distance = (c.keypoints_px - mean[:, None]).norm(dim=-1) / size
        # Where no frame agrees with the mean, the first weights stand.
        agreement = torch.exp(-0.5 * (distance / AGREEMENT_SCALE).square()) + 1e-6
        shares = (logits + agreement_weight * agreement.log()).softmax(dim=1)
        fused = _mean(c, shares)
        return PoseOutput(
            own.score_logits + _score_change(c),
            fused,
            own.confidence_logits + _confidence_change(c, fused, shares, size),
            own.identity,
        )


def _terms(
    c: Candidates, size_px: Float[Tensor, "B 1 N 1"]
) -> tuple[Float[Tensor, "B S N K"], ...]:
    """What makes a candidate good, in the order of `PoseFusion.weights`, without agreement."""
    shape = c.error_px.shape
    other_score = (c.score_logits - c.score_logits[:, :1])[..., None]
    return (
        F.logsigmoid(c.confidence_logits),
        -c.error_px / ERROR_SCALE_PX,
        -c.moved_px / size_px / MOTION_SCALE,
        other_score.expand(shape),
        (c.steps == 0).to(other_score.dtype)[..., None, None].expand(shape),
    )


def _score_change(c: Candidates) -> Float[Tensor, "B N"]:
    """What the other frames add to a person's score logit; 0 without any."""
    reads = c.read[:, 1:].sum(dim=1, keepdim=True)  # (B, 1)
    difference = (c.score_logits - c.score_logits[:, :1]) * c.present
    match = c.match_confidence[:, 1:] * c.present[:, 1:]
    change = SCORE_SHARE * difference.sum(dim=1) + SEEN_SHARE * match.sum(dim=1)  # (B, N)
    return change / reads.clamp_min(1) - SEEN_SHARE * SEEN_USUALLY * (reads > 0)


def _confidence_change(
    c: Candidates,
    fused_px: Float[Tensor, "B N K 2"],
    shares: Float[Tensor, "B S N K"],
    size_px: Float[Tensor, "B 1 N 1"],
) -> Float[Tensor, "B N K"]:
    """What the candidates add to a joint's confidence logit; 0 without any other."""
    distance = (c.keypoints_px - fused_px[:, None]).norm(dim=-1) / size_px  # (B, S, N, K)
    difference = c.confidence_logits - c.confidence_logits[:, :1]
    return ((CONFIDENCE_SHARE * difference - SPREAD_DOUBT * distance) * shares).sum(dim=1)


def _mean(c: Candidates, shares: Float[Tensor, "B S N K"]) -> Float[Tensor, "B N K 2"]:
    """The weighted mean of the candidates."""
    return (c.keypoints_px * shares[..., None]).sum(dim=1)


def _gather(
    association: Float[Tensor, "B N M"], values: Float[Tensor, "B M X"]
) -> Float[Tensor, "B N X"]:
    """Values of the associated people; float32 under autocast too: pixels would be rounded."""
    return association.float() @ values.float()
