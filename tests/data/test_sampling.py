"""Mixtures have the right proportions, and batches can be resumed."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.data.sampling import ResumableBatchSampler, WeightedMixture


def test_mixtures_follow_the_weights_and_are_reproducible() -> None:
    class Source:
        def __init__(self, name: int) -> None:
            self.name = name

        def __getitem__(self, index: int) -> int:
            return self.name

    mixture = WeightedMixture([Source(0), Source(1)], [3, 1], seed=2)  # type: ignore[list-item]
    drawn = [mixture[i] for i in range(2000)]
    assert drawn == [mixture[i] for i in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.03)


def test_processes_share_the_samples_of_one_process() -> None:
    one = list(ResumableBatchSampler(batch=4, start_step=0, steps=6))
    two = [
        list(ResumableBatchSampler(batch=2, start_step=0, steps=6, rank=r, processes=2))
        for r in (0, 1)
    ]
    assert [sorted(a + b) for a, b in zip(*two, strict=True)] == one
    assert list(ResumableBatchSampler(batch=4, start_step=4, steps=6)) == one[4:]
