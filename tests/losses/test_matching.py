"""Matching: one-to-one, one-to-many, and what counts as background."""

from __future__ import annotations

from dataclasses import replace

import torch
from labels import SIGMAS, labelled_people

from vepe.losses.matcher import MatchCosts, cell_costs, match, match_many, pair_costs
from vepe.losses.oks import oks
from vepe.models.positions import cell_centres_px

COSTS = MatchCosts()


def costs_of(poses, targets):
    return pair_costs(poses, targets, SIGMAS, COSTS)


def test_every_person_gets_the_nearest_pose() -> None:
    targets = labelled_people((50, 50), (150, 60), (90, 140), room=2)
    poses = torch.cat(
        [
            targets.keypoints_px[:, [2]] + 3,
            torch.full((1, 1, 5, 2), 300.0),
            targets.keypoints_px[:, [0]] - 2,
            targets.keypoints_px[:, [1]] + 1,
        ],
        dim=1,
    )
    matches = match(torch.zeros(1, 4), costs_of(poses, targets), targets, COSTS)
    assert dict(zip(matches.prediction.tolist(), matches.person.tolist(), strict=True)) == {
        0: 2,
        2: 0,
        3: 1,
    }


def test_nobody_labelled_matches_nothing() -> None:
    targets = labelled_people(room=2)
    poses = torch.rand(1, 4, 5, 2) * 100
    assert len(match(torch.zeros(1, 4), costs_of(poses, targets), targets, COSTS)) == 0


def test_of_two_equal_poses_the_surer_wins() -> None:
    targets = labelled_people((50, 50))
    poses = targets.keypoints_px.repeat(1, 2, 1, 1)
    logits = torch.tensor([[-1.0, 2.0]])
    assert match(logits, costs_of(poses, targets), targets, COSTS).prediction.tolist() == [1]


def test_unlabelled_keypoints_change_nothing() -> None:
    targets = labelled_people((50, 50), (80, 50))
    labelled = targets.labelled.clone()
    labelled[0, :, 3:] = False
    moved = targets.keypoints_px.clone()
    moved[0, :, 3:] = 999.0
    masked = replace(targets, labelled=labelled)
    garbled = replace(targets, labelled=labelled, keypoints_px=moved)
    poses = targets.keypoints_px + torch.randn(
        1, 2, 5, 2, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(costs_of(poses, masked), costs_of(poses, garbled))


def test_cells_near_the_middle_on_the_right_level_answer() -> None:
    size = 64.0
    targets = labelled_people((64, 64), size=size)
    strides = torch.cat([torch.full((16 * 16,), 8.0), torch.full((8 * 8,), 16.0)])
    centres = torch.cat(
        [cell_centres_px(16, 16, 8, SIGMAS.device), cell_centres_px(8, 8, 16, SIGMAS.device)]
    )
    poses = centres[None, :, None] + torch.zeros(1, 1, 5, 1)
    cost = cell_costs(centres, strides, targets) + costs_of(poses, targets)
    many = match_many(torch.zeros(1, len(centres)), cost, targets, COSTS, 9)
    assert len(many) == 9
    assert (many.person == 0).all()
    away = (centres[many.prediction] - 64).norm(dim=-1)
    assert away.max() < 0.4 * size
    assert (strides[many.prediction] == 8).all()  # eight cells tall


def test_a_cell_wanted_by_two_answers_for_one() -> None:
    targets = labelled_people((60, 64), (68, 64))
    centres = cell_centres_px(16, 16, 8, SIGMAS.device)
    poses = centres[None, :, None] + torch.zeros(1, 1, 5, 1)
    cost = cell_costs(centres, torch.full((256,), 8.0), targets) + costs_of(poses, targets)
    many = match_many(torch.zeros(1, 256), cost, targets, COSTS, 9)
    assert len(set(many.prediction.tolist())) == len(many)
    assert set(many.person.tolist()) == {0, 1}


def test_background_weights() -> None:
    targets = replace(
        labelled_people((50, 50), background=0.2),
        ignore_boxes_xyxy_px=torch.tensor([[[100.0, 100.0, 140.0, 140.0]]]),
    )
    places = torch.tensor([[[50.0, 60.0], [120.0, 120.0], [300.0, 20.0]]])
    assert targets.place_weight(places).tolist()[0] == [1.0, 0.0, torch.tensor(0.2).item()]


def test_oks_is_cocos() -> None:
    """Against pycocotools' formula written out for one person."""
    generator = torch.Generator().manual_seed(4)
    target = torch.rand(5, 2, generator=generator) * 100
    predicted = target + torch.randn(5, 2, generator=generator) * 4
    labelled = torch.tensor([True, True, False, True, False])
    area = torch.tensor(900.0)
    d2 = ((predicted - target) ** 2).sum(-1)
    e = d2 / (2 * SIGMAS) ** 2 / area / 2
    wanted = torch.exp(-e)[labelled].mean()
    torch.testing.assert_close(oks(predicted, target, labelled, area, SIGMAS), wanted)
