"""What losses are divided by: labelled people, and those seen in another frame of their clip."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from labels import labelled_people

from vepe.losses.criterion import LossNormaliser
from vepe.losses.targets import Targets


@pytest.mark.parametrize(
    ("ids", "people", "anchors"),
    [([0, 1], 2, 0), ([4, 4], 2, 2), ([-1, -1], 2, 0)],
)
def test_counts(ids: list[int], people: int, anchors: int) -> None:
    targets: Targets = labelled_people((10, 10), (50, 50), room=2)
    targets = replace(targets, track_ids=torch.tensor([[*ids, -1, -1]]))
    assert LossNormaliser.of(targets) == LossNormaliser(people, anchors)


def test_divisors_are_never_zero() -> None:
    assert LossNormaliser(0, 0).divisors() == LossNormaliser(1, 1)
    assert LossNormaliser(6, 0).divisors(2) == LossNormaliser(3, 0.5)
