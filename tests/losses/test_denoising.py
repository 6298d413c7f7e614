"""Denoising queries: positive copies near, negative ones far, groups apart, noise by frame."""

from __future__ import annotations

import pytest
import torch
from labels import labelled_people

from vepe.losses.denoising import DenoisingSettings, make_denoising


@pytest.mark.parametrize("groups", [0, 2, 4])
def test_copies_matches_and_mask(groups: int) -> None:
    targets = labelled_people((50, 50), (150, 60), padding=1)
    denoising = make_denoising(targets, 6, DenoisingSettings(groups), [(1,)])
    if groups == 0:
        assert denoising is None
        return
    assert denoising is not None
    poses = denoising.queries.keypoints_px
    assert poses.shape == (1, 3 * groups, 5, 2)
    assert denoising.num_positive == groups // 2
    assert len(denoising.matches) == 2 * groups // 2
    assert denoising.valid[0].tolist() == [True, True, False] * groups
    unit = targets.areas_px[0, 0].sqrt()
    matches = denoising.matches
    for prediction, person in zip(matches.prediction, matches.person, strict=True):
        noise = poses[0, prediction] - targets.keypoints_px[0, person]
        assert noise.norm(dim=-1).mean() < 1.2 * unit
    negative = poses[0, 3] - targets.keypoints_px[0, 0]
    assert negative.mean(dim=0).norm() > 0.4 * unit
    mask = denoising.queries.people_mask[0]
    assert not mask[:6, 6:].any()
    assert not mask[6:, :6].any()
    assert mask[6:8, 6:8].all()
    assert not mask[6:8, 8:].any()  # neither padding nor other groups
    assert mask.diagonal().all()


def test_no_people_give_no_denoising() -> None:
    assert make_denoising(labelled_people(padding=1), 6, DenoisingSettings(2), [(0,)]) is None


def test_noise_depends_on_the_seed_and_not_on_padding() -> None:
    settings = DenoisingSettings(2)
    first = make_denoising(labelled_people((50, 50), (90, 60)), 6, settings, [(3, 1)])
    padded = make_denoising(labelled_people((50, 50), (90, 60), padding=5), 6, settings, [(3, 1)])
    other = make_denoising(labelled_people((50, 50), (90, 60)), 6, settings, [(3, 2)])
    assert first is not None
    assert padded is not None
    assert other is not None
    copies = [
        d.queries.keypoints_px.unflatten(1, (2, -1))[:, :, :2] for d in (first, padded, other)
    ]
    assert torch.equal(copies[0], copies[1])
    assert not (copies[0] == copies[2]).any()
