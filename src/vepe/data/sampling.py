"""Which clip comes next: mixtures of sources, a source that skips damaged images, batch order.

A source is anything with `source[i]` for every i >= 0 that depends on i alone. Wrappers keep this
property, so that a run can be resumed at any clip and any number of workers gives the same clips.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from vepe.data.clip import Clip
from vepe.data.images import UnreadableImageError
from vepe.errors import VepeError, VepeWarning

MAX_ATTEMPTS = 20
"""Consecutive unreadable clips after which a source gives up."""


class ClipSource(Protocol):
    """An endless data set of clips; clip i is a function of i alone."""

    def __getitem__(self, index: int, /) -> Clip: ...


class WeightedMixture:
    """Clip i comes from a source drawn by weight; the draw depends on the seed and i alone.

    Args:
        sources: the sources.
        weights: expected share of clips of each source; they need not add up to 1.
        seed: of the draws.
    """

    def __init__(
        self, sources: Sequence[ClipSource], weights: Sequence[float], *, seed: int = 0
    ) -> None:
        self.sources, self.seed = list(sources), seed
        self.probabilities = np.asarray(weights, np.float64) / np.sum(weights)

    def __getitem__(self, index: int) -> Clip:
        """Clip `index` of the mixture."""
        rng = np.random.default_rng((self.seed, 7, index))
        return self.sources[rng.choice(len(self.sources), p=self.probabilities)][index]


class SkipUnreadable:
    """Clip i of another source, or the next one that can be read.

    The same clips come out in every run. `Clip.unreadable` has the skipped images; each process
    warns once per image.

    Args:
        source: where the clips come from.
        strict: raise at the first unreadable image instead.
    """

    def __init__(self, source: ClipSource, *, strict: bool = False) -> None:
        self.source, self.strict = source, strict
        self._warned: set[str] = set()

    def __getitem__(self, index: int) -> Clip:
        """Clip `index`, or the nearest readable one after it.

        Raises:
            VepeError: at the first unreadable image if `strict`, else after `MAX_ATTEMPTS`
                consecutive ones.
        """
        skipped: list[str] = []
        for attempt in range(MAX_ATTEMPTS):
            try:
                clip = self.source[index + attempt]
            except UnreadableImageError as error:
                if self.strict:
                    raise
                skipped.append(str(error))
                if str(error) not in self._warned:
                    self._warned.add(str(error))
                    text = f"{error} Another clip is used instead."
                    warnings.warn(text, VepeWarning, stacklevel=2)
            else:
                return replace(clip, unreadable=tuple(skipped)) if skipped else clip
        raise VepeError(
            f"{MAX_ATTEMPTS} consecutive clips could not be read; the last: {skipped[-1]}"
        )


class ResumableBatchSampler:
    """Batches of consecutive clip numbers for one of several processes, from any step on.

    Args:
        batch: clips per step and process.
        start_step, steps: first step, and the step at which to stop.
        rank, processes: number of this process, and how many there are.
    """

    def __init__(
        self, *, batch: int, start_step: int, steps: int, rank: int = 0, processes: int = 1
    ) -> None:
        self.batch, self.start, self.steps = batch, start_step, steps
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return max(self.steps - self.start, 0)

    def __iter__(self) -> Iterator[list[int]]:
        """Each step takes `batch` x `processes` new clips, `batch` of them in this process."""
        for step in range(self.start, self.steps):
            first = (step * self.processes + self.rank) * self.batch
            yield list(range(first, first + self.batch))
