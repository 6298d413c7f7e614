"""Loss values: zero where they should be, and gradients that point home."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from labels import SIGMAS, labelled_people

from vepe.config.training import LossConfig
from vepe.losses.criterion import Criterion, total
from vepe.losses.denoising import NoiseSettings, make_noised
from vepe.losses.identity import identity_losses
from vepe.losses.keypoints import FLOOR, score_loss
from vepe.models.decoder_layer import LayerOutput


def output_at(keypoints_px: torch.Tensor, logit: float = 2.0) -> LayerOutput:
    people = keypoints_px.shape[1]
    return LayerOutput(torch.full((1, people), logit), keypoints_px, torch.zeros(1, people, 5))


def test_perfect_poses_cost_no_place_loss() -> None:
    targets = labelled_people((50, 50), (150, 60))
    parts, matches = Criterion(SIGMAS).layer(output_at(targets.keypoints_px), targets, "a")
    assert len(matches) == 2
    assert parts["a/l1"] == 0
    assert parts["a/oks"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("weight", ["score", "l1", "oks", "confidence"])
def test_a_weight_of_zero_switches_a_part_off(weight: str) -> None:
    targets = labelled_people((50, 50))
    off = targets.keypoints_px + 5
    full, _ = Criterion(SIGMAS).layer(output_at(off), targets, "a")
    without, _ = Criterion(SIGMAS, LossConfig(**{weight: 0.0})).layer(output_at(off), targets, "a")
    assert full[f"a/{weight}"] > 0
    assert set(without) == set(full) - {f"a/{weight}"}


def test_descent_brings_poses_home_and_leaves_unlabelled_joints_alone() -> None:
    targets = labelled_people((50, 50))
    labelled = targets.labelled.clone()
    labelled[0, 0, 4] = False
    targets = replace(targets, labelled=labelled)
    start = targets.keypoints_px + torch.tensor([6.0, -4.0])
    points = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([points], 0.3)
    for _ in range(120):
        parts, _ = Criterion(SIGMAS).layer(output_at(points), targets, "a")
        optimiser.zero_grad()
        total(parts).backward()
        optimiser.step()
    off = (points - targets.keypoints_px).norm(dim=-1)[0, 0]
    assert off[:4].max() < 1
    assert torch.equal(points[0, 0, 4], start[0, 0, 4])


def test_unknown_background_teaches_nothing() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    score_loss(logits, torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.2]])).backward()
    gradient = logits.grad[0]
    assert gradient[1] == 0
    assert 0 < gradient[2] < gradient[0]


def test_scores_aim_at_the_quality_of_the_pose() -> None:
    targets = labelled_people((50, 50))
    for shift, low, high in ((0.0, 0.99, 1.0), (200.0, FLOOR, FLOOR + 0.01)):
        logit = torch.zeros(1, 1, requires_grad=True)
        optimiser = torch.optim.SGD([logit], 1.0)
        for _ in range(300):
            output = LayerOutput(logit, targets.keypoints_px + shift, torch.zeros(1, 1, 5))
            parts, _ = Criterion(SIGMAS).layer(output, targets, "a")
            optimiser.zero_grad()
            parts["a/score"].backward()
            optimiser.step()
        assert low - 0.02 <= logit.sigmoid().item() <= high


@pytest.mark.parametrize("groups", [0, 2, 4])
def test_denoising_copies(groups: int) -> None:
    targets = labelled_people((50, 50), (150, 60), room=1)
    noised = make_noised(targets, 6, NoiseSettings(groups), [(1,)])
    if groups == 0:
        assert noised is None
        return
    assert noised is not None
    assert noised.poses.keypoints_px.shape == (1, 3 * groups, 5, 2)
    assert len(noised.matches) == 2 * groups // 2
    unit = targets.areas_px[0, 0].sqrt()
    for prediction, person in zip(noised.matches.prediction, noised.matches.person, strict=True):
        near = noised.poses.keypoints_px[0, prediction] - targets.keypoints_px[0, person]
        assert near.norm(dim=-1).mean() < 1.2 * unit
    far = noised.poses.keypoints_px[0, 3] - targets.keypoints_px[0, 0]
    assert far.mean(dim=0).norm() > 0.4 * unit
    mask = noised.poses.people_mask[0]
    assert not mask[:6, 6:].any()
    assert not mask[6:, :6].any()
    assert mask[6:8, 6:8].all()
    assert not mask[6:8, 8:].any()  # neither the empty place nor the other groups
    assert mask.diagonal().all()


def test_nobody_to_denoise() -> None:
    assert make_noised(labelled_people(room=1), 6, NoiseSettings(2), [(0,)]) is None


def test_noise_belongs_to_the_frame_and_not_to_the_batch() -> None:
    """The same key gives the same copies whatever room there is; another key gives others."""
    first = make_noised(labelled_people((50, 50), (90, 60)), 6, NoiseSettings(2), [(3, 1)])
    roomy = make_noised(labelled_people((50, 50), (90, 60), room=5), 6, NoiseSettings(2), [(3, 1)])
    other = make_noised(labelled_people((50, 50), (90, 60)), 6, NoiseSettings(2), [(3, 2)])
    assert first is not None
    assert roomy is not None
    assert other is not None
    copies = [n.poses.keypoints_px.unflatten(1, (2, -1))[:, :, :2] for n in (first, roomy, other)]
    assert torch.equal(copies[0], copies[1])
    assert not (copies[0] == copies[2]).any()


def unit(*rows: list[float]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)


@pytest.mark.parametrize(
    ("embeddings", "ids", "frames", "anchors"),
    [
        (unit([1.0, 0], [1, 0], [0, 1], [0, 1]), [0, 0, 1, 1], [0, 1, 0, 1], 4),
        (unit([1.0, 0], [1, 0]), [0, 0], [0, 0], 0),  # one frame: nobody to agree with
        (unit([1.0, 0], [1, 0], [0, 1]), [-1, -1, 3], [0, 1, 0], 0),  # unknown tracks
    ],
)
def test_identity_anchors(
    embeddings: torch.Tensor, ids: list[int], frames: list[int], anchors: int
) -> None:
    contrastive, cosine, count = identity_losses(
        embeddings, torch.tensor(ids), torch.tensor(frames), torch.tensor(0.1)
    )
    assert count == anchors
    assert contrastive < 0.01
    assert cosine < 0.01


def test_another_clip_changes_nothing() -> None:
    """Neither what a clip's people are compared with, nor the sum of their losses."""
    torch.manual_seed(1)
    e = torch.nn.functional.normalize(torch.randn(8, 4), dim=-1)
    ids, frames = torch.tensor([0, 1, 0, 1, 7, 8, 7, 8]), torch.tensor([0, 0, 2, 2, 1, 1, 3, 3])
    heat = torch.tensor(0.1)
    both = identity_losses(e, ids, frames, heat, frames % 2)
    alone = [identity_losses(e[r], ids[r], frames[r], heat) for r in (slice(4), slice(4, 8))]
    for together, first, second in zip(both, *alone, strict=True):
        assert float(together) == pytest.approx(float(first + second), rel=1e-5)


def test_identity_loss_tells_people_apart() -> None:
    torch.manual_seed(0)
    raw = torch.randn(6, 8, requires_grad=True)
    ids, frames = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 0, 1, 1, 1])
    optimiser = torch.optim.Adam([raw], 0.1)
    for _ in range(150):
        e = torch.nn.functional.normalize(raw, dim=-1)
        contrastive, cosine, _ = identity_losses(e, ids, frames, torch.tensor(0.1))
        optimiser.zero_grad()
        (contrastive + cosine).backward()
        optimiser.step()
    e = torch.nn.functional.normalize(raw, dim=-1).detach()
    similarity = e[:3] @ e[3:].T
    assert (similarity.argmax(dim=1) == torch.arange(3)).all()
    assert similarity.diag().min() > 0.9
    assert (similarity - torch.diag(similarity.diag())).max() < 0.3
