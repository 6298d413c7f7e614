"""Fusion is the mean of carried poses by confidence, match and reliability, or changes nothing."""

from __future__ import annotations

import torch

from vepe.models.alignment import FrameMotion
from vepe.models.decoder_layer import PoseOutput
from vepe.models.instance_consistency import InstanceConsistency
from vepe.models.pose_fusion import SCORE_SHARE, PoseFusion

BODY = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 100.0], [40.0, 100.0]])
IDENTITY = torch.eye(2)[None]  # (1, 2, 2)


def poses(
    offset: tuple[float, float] = (0.0, 0.0),
    confidence: float = 2.0,
    score: float = 2.0,
    apart: float = 300.0,
) -> PoseOutput:
    """Two people next to each other."""
    first = BODY + torch.tensor(offset)
    keypoints = torch.stack([first, first + torch.tensor([apart, 0.0])])[None]  # (1, 2, 4, 2)
    scores = torch.full((1, 2), score)
    return PoseOutput(scores, keypoints, torch.full((1, 2, 4), confidence), IDENTITY)


def still(x: float = 0.0) -> FrameMotion:
    """Everything moves by x pixels per frame."""
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = x
    return FrameMotion(flow, -flow, torch.tensor([512.0, 512.0]))


def fuse(
    window: list[PoseOutput],
    motions: list[FrameMotion] | None,
    key: int,
    consistency: InstanceConsistency | None = None,
    present: torch.Tensor | None = None,
    fusion: PoseFusion | None = None,
) -> PoseOutput:
    reads = [i for i in range(len(window)) if i != key]
    consistency = consistency or InstanceConsistency()
    fusion = fusion or PoseFusion()
    return fusion(window, motions or [], key, reads, consistency, present)


def test_equal_frames_give_the_mean() -> None:
    fused = fuse([poses((2.0, 0.0)), poses((0.0, 0.0))], [still()], 1)
    # The key frame's own joint weighs a little more.
    offset = (fused.keypoints_px - poses().keypoints_px)[..., 0]
    assert torch.all((offset > 0.8) & (offset < 1.0))


def test_the_frame_with_higher_confidence_decides() -> None:
    fused = fuse([poses((2.0, 0.0), confidence=5.0), poses(confidence=-2.0)], [still()], 1)
    assert (fused.keypoints_px - poses((2.0, 0.0)).keypoints_px).abs().max() < 0.1


def test_poses_are_compared_after_alignment() -> None:
    window = [poses((-6.0, 0.0)), poses(), poses((6.0, 0.0))]
    fused = fuse(window, [still(6.0), still(6.0)], 1)
    assert (fused.keypoints_px - poses().keypoints_px).abs().max() < 1e-3
    # Frames that are not aligned pull the keypoints away.
    unaligned = fuse(window[:2], None, 1)
    assert (unaligned.keypoints_px - poses().keypoints_px).abs().max() > 1


def test_a_duplicate_does_not_rise_with_its_person() -> None:
    """Two queries on one person, seen in the other frame with a high score."""
    body = BODY.expand(1, 2, 4, 2)
    same = IDENTITY[:, :1].expand(-1, 2, -1)
    scores, confidence = torch.tensor([[2.0, -1.0]]), torch.full((1, 2, 4), 2.0)
    own = PoseOutput(scores, body + torch.tensor([[0.0, 2.0]]).view(1, 2, 1, 1), confidence, same)
    other = PoseOutput(torch.tensor([[4.0, -4.0]]), body, confidence, same)
    fused = fuse([other, own], [still()], 1)
    assert fused.score_logits[0, 0] > 2.0
    assert fused.score_logits[0, 1] < -1.0


def test_a_frame_far_from_the_others_has_less_weight() -> None:
    window = [poses((15.0, 0.0)), poses(), poses(), poses()]
    fused = fuse(window, [still()] * 3, 3)
    plain_mean = 15 / 4
    assert (fused.keypoints_px - poses().keypoints_px).abs().max() < 0.75 * plain_mean


def test_a_person_without_a_match_keeps_the_pose_and_loses_score() -> None:
    other = poses((200.0, 200.0))
    fused = fuse([other, poses()], [still()], 1)
    torch.testing.assert_close(fused.keypoints_px, poses().keypoints_px)
    assert (fused.score_logits - poses().score_logits).max() < 0


def test_scores_move_towards_the_other_frames() -> None:
    changes = [
        fuse([poses(score=s), poses(score=0.0), poses(score=s - 2)], [still()] * 2, 1).score_logits
        for s in (4.0, 2.0)
    ]
    torch.testing.assert_close(changes[0] - changes[1], torch.full((1, 2), 2 * SCORE_SHARE))


def test_uniform_matching_mixes_people() -> None:
    window = [poses(), poses()]
    control = InstanceConsistency("uniform")
    mixed = fuse(window, [still()], 1, control)
    assert (mixed.keypoints_px - poses().keypoints_px).abs().max() < 1e-3  # far from both: left out
    near = [poses(apart=20.0), poses(apart=20.0)]
    mixed = fuse(near, [still()], 1, control)
    assert (mixed.keypoints_px - near[1].keypoints_px).abs().max() > 1


def test_weights_act_on_people_that_other_frames_see() -> None:
    changed = PoseFusion()
    torch.nn.init.constant_(changed.weights, 0.5)
    window = [poses((2.0, 1.0), confidence=1.0), poses()]
    usual, other = (fuse(window, [still()], 1, fusion=f) for f in (PoseFusion(), changed))
    assert (usual.keypoints_px - other.keypoints_px).abs().min() > 1e-3
    unseen = fuse([poses((200.0, 200.0)), poses()], [still()], 1, fusion=changed)
    assert torch.equal(unseen.keypoints_px, poses().keypoints_px)
    assert torch.equal(unseen.confidence_logits, poses().confidence_logits)


def test_confidence_falls_where_the_frames_disagree() -> None:
    alike, apart = (fuse([poses((x, 0.0)), poses()], [still()], 1) for x in (0.0, 8.0))
    assert torch.equal(alike.confidence_logits, poses().confidence_logits)
    assert (apart.confidence_logits - poses().confidence_logits).max() < -0.05


def test_frames_that_are_not_present_are_not_read() -> None:
    """One row lacks the first frame, the other all: as if the window did not hold them."""
    window = [poses((9.0, 3.0), score=4.0), poses((2.0, 0.0), score=3.0), poses()]
    rows = [p[[0, 0]] for p in window]
    motion = still()
    motions = [
        FrameMotion(
            *(torch.cat([f, f]) for f in (motion.forward, motion.backward)), motion.image_wh_px
        )
    ] * 2
    present = torch.tensor([[False, True, True], [False, False, True]])
    fused = fuse(rows, motions, 2, present=present)
    one = fuse(window[1:], [motion], 1)
    torch.testing.assert_close(fused.keypoints_px[:1], one.keypoints_px)
    torch.testing.assert_close(fused.score_logits[:1], one.score_logits)
    torch.testing.assert_close(fused.keypoints_px[1:], poses().keypoints_px, rtol=0, atol=0)
    torch.testing.assert_close(fused.score_logits[1:], poses().score_logits, rtol=0, atol=0)
