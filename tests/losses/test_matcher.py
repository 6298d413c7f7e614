"""Matching: one-to-one, and one-to-many for cells."""

from __future__ import annotations

from dataclasses import replace

import torch
from labels import SIGMAS, labelled_people

from vepe.losses.matcher import MatchCosts, cell_costs, match, match_many, pair_costs
from vepe.models.positions import cell_centres_px

COSTS = MatchCosts()


def cost_of(poses, targets):
    return pair_costs(poses, targets, SIGMAS, COSTS)


def test_every_person_is_matched_with_the_nearest_pose() -> None:
    targets = labelled_people((50, 50), (150, 60), (90, 140), padding=2)
    poses = torch.cat(
        [
            targets.keypoints_px[:, [2]] + 3,
            torch.full((1, 1, 5, 2), 300.0),
            targets.keypoints_px[:, [0]] - 2,
            targets.keypoints_px[:, [1]] + 1,
        ],
        dim=1,
    )
    matches = match(torch.zeros(1, 4), cost_of(poses, targets), targets, COSTS)
    assert dict(zip(matches.prediction.tolist(), matches.person.tolist(), strict=True)) == {
        0: 2,
        2: 0,
        3: 1,
    }


def test_without_labelled_people_nothing_is_matched() -> None:
    targets = labelled_people(padding=2)
    poses = torch.rand(1, 4, 5, 2) * 100
    assert len(match(torch.zeros(1, 4), cost_of(poses, targets), targets, COSTS)) == 0


def test_higher_score_wins_between_duplicates() -> None:
    targets = labelled_people((50, 50))
    poses = targets.keypoints_px.repeat(1, 2, 1, 1)
    logits = torch.tensor([[-1.0, 2.0]])
    assert match(logits, cost_of(poses, targets), targets, COSTS).prediction.tolist() == [1]


def test_unlabelled_keypoints_change_no_cost() -> None:
    targets = labelled_people((50, 50), (80, 50))
    labelled = targets.labelled.clone()
    labelled[0, :, 3:] = False
    moved = targets.keypoints_px.clone()
    moved[0, :, 3:] = 999.0
    masked = replace(targets, labelled=labelled)
    changed = replace(targets, labelled=labelled, keypoints_px=moved)
    poses = targets.keypoints_px + torch.randn(
        1, 2, 5, 2, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(cost_of(poses, masked), cost_of(poses, changed))


def test_cells_near_the_centre_on_the_right_level_are_matched() -> None:
    size = 64.0
    targets = labelled_people((64, 64), size=size)
    strides = torch.cat([torch.full((16 * 16,), 8.0), torch.full((8 * 8,), 16.0)])
    centres = torch.cat(
        [cell_centres_px(16, 16, 8, SIGMAS.device), cell_centres_px(8, 8, 16, SIGMAS.device)]
    )
    poses = centres[None, :, None] + torch.zeros(1, 1, 5, 1)
    cost = cell_costs(centres, strides, targets) + cost_of(poses, targets)
    many = match_many(torch.zeros(1, len(centres)), cost, targets, COSTS, 9)
    assert len(many) == 9
    assert (many.person == 0).all()
    distance = (centres[many.prediction] - 64).norm(dim=-1)
    assert distance.max() < 0.4 * size
    assert (strides[many.prediction] == 8).all()  # eight cells tall


def test_a_cell_among_the_best_of_two_people_is_matched_with_one() -> None:
    targets = labelled_people((60, 64), (68, 64))
    centres = cell_centres_px(16, 16, 8, SIGMAS.device)
    poses = centres[None, :, None] + torch.zeros(1, 1, 5, 1)
    cost = cell_costs(centres, torch.full((256,), 8.0), targets) + cost_of(poses, targets)
    many = match_many(torch.zeros(1, 256), cost, targets, COSTS, 9)
    assert len(set(many.prediction.tolist())) == len(many)
    assert set(many.person.tolist()) == {0, 1}
