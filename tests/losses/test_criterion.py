"""The criterion: normalisation, weights, and gradients that lead to the labels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from labels import SIGMAS, labelled_people

from vepe.config.training import LossConfig
from vepe.losses.criterion import Criterion, LossNormaliser, total
from vepe.losses.keypoints import MIN_LAYER_TARGET
from vepe.losses.targets import Targets
from vepe.models.decoder_layer import LayerOutput


def output_at(keypoints_px: torch.Tensor, logit: float = 2.0) -> LayerOutput:
    people = keypoints_px.shape[1]
    return LayerOutput(torch.full((1, people), logit), keypoints_px, torch.zeros(1, people, 5))


@pytest.mark.parametrize(
    ("ids", "instances", "anchors"),
    [([0, 1], 2, 0), ([4, 4], 2, 2), ([-1, -1], 2, 0)],
)
def test_normaliser_counts_instances_and_anchors(
    ids: list[int], instances: int, anchors: int
) -> None:
    targets: Targets = labelled_people((10, 10), (50, 50), padding=2)
    targets = replace(targets, track_ids=torch.tensor([[*ids, -1, -1]]))
    assert LossNormaliser.of(targets) == LossNormaliser(instances, anchors)


def test_normaliser_is_never_zero() -> None:
    assert LossNormaliser(0, 0).per_process() == LossNormaliser(1, 1)
    assert LossNormaliser(6, 0).per_process(2) == LossNormaliser(3, 0.5)


def test_perfect_poses_have_no_keypoint_loss() -> None:
    targets = labelled_people((50, 50), (150, 60))
    losses, matches = Criterion(SIGMAS).layer(output_at(targets.keypoints_px), targets, "a")
    assert len(matches) == 2
    assert losses["a/l1"] == 0
    assert losses["a/oks"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("weight", ["score", "l1", "oks", "confidence"])
def test_a_weight_of_zero_switches_a_loss_off(weight: str) -> None:
    targets = labelled_people((50, 50))
    off = targets.keypoints_px + 5
    full, _ = Criterion(SIGMAS).layer(output_at(off), targets, "a")
    without, _ = Criterion(SIGMAS, LossConfig(**{weight: 0.0})).layer(output_at(off), targets, "a")
    assert full[f"a/{weight}"] > 0
    assert set(without) == set(full) - {f"a/{weight}"}


def test_descent_reaches_the_labels_and_leaves_unlabelled_keypoints_alone() -> None:
    targets = labelled_people((50, 50))
    labelled = targets.labelled.clone()
    labelled[0, 0, 4] = False
    targets = replace(targets, labelled=labelled)
    start = targets.keypoints_px + torch.tensor([6.0, -4.0])
    points = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([points], 0.3)
    for _ in range(120):
        losses, _ = Criterion(SIGMAS).layer(output_at(points), targets, "a")
        optimiser.zero_grad()
        total(losses).backward()
        optimiser.step()
    distance = (points - targets.keypoints_px).norm(dim=-1)[0, 0]
    assert distance[:4].max() < 1
    assert torch.equal(points[0, 0, 4], start[0, 0, 4])


def test_scores_converge_to_the_quality_of_the_pose() -> None:
    targets = labelled_people((50, 50))
    for shift, low, high in (
        (0.0, 0.99, 1.0),
        (30.0, MIN_LAYER_TARGET, 0.4),  # near, but with a low OKS
        (500.0, 0.0, 0.5),  # too far to be matched: background
    ):
        logit = torch.zeros(1, 1, requires_grad=True)
        optimiser = torch.optim.SGD([logit], 1.0)
        for _ in range(300):
            output = LayerOutput(logit, targets.keypoints_px + shift, torch.zeros(1, 1, 5))
            losses, _ = Criterion(SIGMAS).layer(output, targets, "a")
            optimiser.zero_grad()
            losses["a/score"].backward()
            optimiser.step()
        assert low - 0.02 <= logit.sigmoid().item() <= high


def test_training_proposals_without_all_cells_raises() -> None:
    with pytest.raises(ValueError, match="all_cells"):
        Criterion(SIGMAS).cells(None, labelled_people((50, 50)), 1.0)
