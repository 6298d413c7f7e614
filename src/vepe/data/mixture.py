"""Mixtures: several data sets in one run, each with its share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from vepe.data.clip import Clip


class ClipSource(Protocol):
    """Any data set of clips; items are a function of the index alone."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Clip: ...


class Mixture:
    """Item i comes from a source drawn by the shares; the draw depends on seed and i alone.

    So a run can be resumed at any sample, and any number of workers gives the same clips.
    """

    def __init__(
        self, sources: Sequence[ClipSource], shares: Sequence[float], *, length: int, seed: int = 0
    ) -> None:
        self.sources = list(sources)
        self.shares = np.asarray(shares, np.float64) / np.sum(shares)
        self.length, self.seed = length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        """Clip `index` of the mixture."""
        rng = np.random.default_rng((self.seed, 7, index))
        source = self.sources[rng.choice(len(self.sources), p=self.shares)]
        return source[index % len(source)]


class ResumableOrder:
    """Batches of consecutive indices for one of several processes, from any step on."""

    def __init__(
        self, *, batch: int, start_step: int, steps: int, rank: int = 0, processes: int = 1
    ) -> None:
        self.batch, self.start, self.steps = batch, start_step, steps
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return max(self.steps - self.start, 0)

    def __iter__(self) -> Iterator[list[int]]:
        """Each step takes `batch` x `processes` new samples, `batch` of them here."""
        for step in range(self.start, self.steps):
            first = (step * self.processes + self.rank) * self.batch
            yield list(range(first, first + self.batch))
