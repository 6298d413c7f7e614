"""STPE over a window: each joint from the key frame and the same person's joint in other frames.

`gather_candidates` collects what the frames say about the people of the key frame: every joint
carried there along the motion (STDME), of the person that instance consistency associates.
`PoseFusion` averages these candidates joint by joint with the weights

    softmax over frames of ( 2 log confidence + log match confidence + log reliability
                             + log agreement + learned residual ),

where agreement gives less weight to frames whose joint lies far from the mean without it. The
residual is a small network that starts at zero, so that training starts at the mean weighted by
squared confidence, match, reliability and agreement; the same holds for what it adds to
confidences and scores. It reads no contents of queries, only how the candidates relate: contents
of rendered training video would not carry over to real video. Without other frames poses stay as
they are, so still images cannot lose by it. The paper names the part (arXiv 2509.01095); its form
is ours, aligned by motion as in DCPose (arXiv 2103.07254).

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
"""Round-trip error at which the reliability of a carried joint falls to 1/e."""
MOTION_SCALE = 0.1
"""Displacement, in units of the person's size, at which it falls to 1/e: flow is worst on fast,
blurred limbs."""
AGREEMENT_SCALE = 0.06
"""Standard deviation of the agreement, in units of the person's size."""
SCORE_SHARE = 0.25
"""How much of the difference to the other frames' mean score logit is added to a person's own."""

CANDIDATE_FEATURES, PERSON_FEATURES = 14, 9
"""What the learned residuals read of a candidate and of a person, see the functions below."""

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

    def __getitem__(self, rows: Tensor | slice) -> Candidates:
        """Some rows of the batch."""
        return Candidates(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @staticmethod
    def cat(parts: Sequence[Candidates]) -> Candidates:
        """Batches of the same frames as one."""
        names = [f.name for f in fields(Candidates)]
        return Candidates(**{n: torch.cat([getattr(p, n) for p in parts]) for n in names})


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
    stacked = (torch.stack(column, dim=1) for column in zip(*rows, strict=True))
    if present is None:
        return Candidates(*stacked, steps, torch.ones_like(steps, dtype=torch.bool))
    return Candidates(*stacked, steps, present[:, [key, *reads]])


class PoseFusion(nn.Module):
    """The weighted mean of the candidates, with learned residuals.

    Args:
        dim: channels of the residual; 0: nothing is learned, the weights are those of the mean.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        if not dim:
            return
        self.describe = nn.Linear(CANDIDATE_FEATURES, dim)
        self.compare = nn.Linear(2 * dim, dim)
        self.weight = _zero(nn.Linear(dim, 1))
        self.confidence = _zero(nn.Linear(dim, 1))
        self.person = nn.Sequential(nn.Linear(PERSON_FEATURES, dim), nn.GELU())
        self.score = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), _zero(nn.Linear(dim, 1)))

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

    def fuse(self, own: PoseOutput, candidates: Candidates) -> PoseOutput:
        """The poses of the key frame; identities are its own.

        Args:
            own: poses of the key frame alone.
            candidates: of its joints, with at least one other frame.
        """
        c = candidates
        size = person_size_px(own.keypoints_px)[:, None, :, None]  # (B, 1, N, 1)
        present = c.present[..., None]  # (B, S, N, 1)
        logits = (
            2 * F.logsigmoid(c.confidence_logits)
            + c.match_confidence.clamp_min(1e-6).log()[..., None]
            - c.error_px / ERROR_SCALE_PX
            - c.moved_px / size / MOTION_SCALE
        ).masked_fill(~present, _ABSENT)  # (B, S, N, K)
        mean = _mean(c.keypoints_px, logits.softmax(dim=1))  # (B, N, K, 2)
        distance = (c.keypoints_px - mean[:, None]).norm(dim=-1) / size  # (B, S, N, K)
        # Where no frame agrees with the mean, the first weights stand.
        agreement = torch.exp(-0.5 * (distance / AGREEMENT_SCALE).square()) + 1e-6
        logits = logits + agreement.log()
        confidence_logits, score_logits = own.confidence_logits, own.score_logits
        score_logits = score_logits + SCORE_SHARE * _score_change(c)
        if self.dim:
            weights = logits.softmax(dim=1)
            features = _candidate_features(c, size, distance)  # (B, S, N, K, F)
            described = F.gelu(self.describe(features))
            pooled = (described * weights[..., None]).sum(dim=1, keepdim=True).expand_as(described)
            compared = F.gelu(self.compare(torch.cat([described, pooled], dim=-1)))
            logits = logits + self.weight(compared)[..., 0].masked_fill(~present, 0)
            weights = logits.softmax(dim=1)
            seen = c.present[:, 1:].any(dim=1)[..., None]  # (B, N, 1)
            change = self.confidence((compared * weights[..., None]).sum(dim=1))[..., 0]
            confidence_logits = confidence_logits + change * seen
        weights = logits.softmax(dim=1)
        fused = _mean(c.keypoints_px, weights)
        if self.dim:
            features = _person_features(c, fused, weights, size).detach()
            change = self.score(self.person(features))[..., 0]  # (B, N)
            score_logits = score_logits + change * c.read[:, 1:].any(dim=1)[:, None]
        return PoseOutput(score_logits, fused, confidence_logits, own.identity)


def _zero(layer: nn.Linear) -> nn.Linear:
    """The layer with all weights zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _mean(
    keypoints_px: Float[Tensor, "B S N K 2"], weights: Float[Tensor, "B S N K"]
) -> Float[Tensor, "B N K 2"]:
    """The weighted mean over frames."""
    return (keypoints_px * weights[..., None]).sum(dim=1)


def _gather(
    association: Float[Tensor, "B N M"], values: Float[Tensor, "B M X"]
) -> Float[Tensor, "B N X"]:
    """Values of the associated people; float32 under autocast too: pixels would be rounded."""
    return association.float() @ values.float()


def _score_change(c: Candidates) -> Float[Tensor, "B N"]:
    """Sum of the differences of the other frames' score logits to the own one, per frame read."""
    change = (c.score_logits - c.score_logits[:, :1]) * c.present  # (B, S, N)
    return change.sum(dim=1) / c.read[:, 1:].sum(dim=1, keepdim=True).clamp_min(1)


def _candidate_features(
    c: Candidates, size_px: Float[Tensor, "B 1 N 1"], distance: Float[Tensor, "B S N K"]
) -> Float[Tensor, "B S N K F"]:
    """What a candidate is like beside the others; all about -4..6.

    `distance` is that to the mean, in units of the person's size.
    """
    own_distance = (c.keypoints_px - c.keypoints_px[:, :1]).norm(dim=-1) / size_px
    steps = c.steps[..., None, None]  # (B, S, 1, 1)
    seen = c.present[:, 1:].sum(dim=1)[:, None, :, None]  # (B, 1, N, 1)
    features = (
        c.confidence_logits / 3,
        c.confidence_logits[:, :1] / 3,
        c.match_confidence[..., None],
        c.error_px / ERROR_SCALE_PX,
        30 * c.error_px / size_px,
        c.moved_px / size_px / MOTION_SCALE,
        10 * own_distance,
        10 * distance,
        steps.abs() / 4,
        steps.sign(),
        (steps == 0).float(),
        size_px.log() - 4,
        seen / 4,
        c.score_logits[..., None] / 3,
    )
    return torch.stack([f.expand_as(distance).clamp(-6, 6) for f in features], dim=-1)


def _person_features(
    c: Candidates,
    fused_px: Float[Tensor, "B N K 2"],
    weights: Float[Tensor, "B S N K"],
    size_px: Float[Tensor, "B 1 N 1"],
) -> Float[Tensor, "B N F"]:
    """How the frames agree about a person; all about -4..6."""
    own = c.score_logits[:, 0]  # (B, N)
    present = c.present[:, 1:].to(own.dtype)  # (B, S-1, N)
    seen = present.sum(dim=1).clamp_min(1)
    reads = c.read[:, 1:].sum(dim=1, keepdim=True).clamp_min(1)  # (B, 1)
    difference = (c.score_logits[:, 1:] - own[:, None]) * present
    distance = (c.keypoints_px - fused_px[:, None]).norm(dim=-1) / size_px
    spread = (distance * weights).sum(dim=1)  # (B, N, K)
    features = (
        own / 3,
        difference.sum(dim=1) / seen / 3,
        difference.square().sum(dim=1).div(seen).sqrt() / 3,
        present.sum(dim=1) / reads,
        (c.match_confidence[:, 1:] * present).sum(dim=1) / seen,
        10 * spread.mean(dim=-1),
        4 * spread.amax(dim=-1),
        own.new_tensor(0.25) * reads.expand_as(own),
        difference.sum(dim=1) / reads / 3,
    )
    return torch.stack([f.clamp(-6, 6) for f in features], dim=-1)
