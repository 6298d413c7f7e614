"""What losses are divided by: labelled people, and those seen in another frame of their clip."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from labels import labelled_people

from vepe.losses.counts import Counts
from vepe.losses.targets import Targets


@pytest.mark.parametrize(
    ("ids", "people", "anchors"),
    [([0, 1], 2, 0), ([4, 4], 2, 2), ([-1, -1], 2, 0)],
)
def test_counts(ids: list[int], people: int, anchors: int) -> None:
    targets: Targets = labelled_people((10, 10), (50, 50), room=2)
    targets = replace(targets, track_ids=torch.tensor([[*ids, -1, -1]]))
    assert Counts.of(targets) == Counts(people, anchors)


def test_divisors_are_never_zero() -> None:
    assert Counts(0, 0).divisors() == Counts(1, 1)
    assert Counts(6, 0).divisors(2) == Counts(3, 0.5)
