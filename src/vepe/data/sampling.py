"""Which frames of which video make a clip: a labelled key frame and its neighbours in time.

Gaps are drawn in seconds, so that slow and fast cameras look alike; the key frame may stand
anywhere in the clip; frames may be dropped or shown twice, as streams and cameras do.

Mixtures: several data sets in one run, each with its share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.data.clip import Clip
from vepe.errors import VepeError

_SLACK_S = 1e-6
"""Times are decimal numbers: 0.04 + 0.04 may be a little less than 0.08."""


@dataclass(frozen=True)
class SamplingSettings:
    """How the frames of a clip are drawn.

    Attributes:
        frames: T.
        min_gap_s, max_gap_s: bounds of the time between two frames of a clip.
        dropped: chance that a frame between two is lost, so that their gap is doubled.
        repeated: chance that a frame shows the picture before it once more, at its own time.
    """

    frames: int = 3
    min_gap_s: float = 0.0
    max_gap_s: float = 0.4
    dropped: float = 0.0
    repeated: float = 0.0


@dataclass(frozen=True)
class ClipFrames:
    """The frames of a clip: `rows` (T,) of the set, and their times (T,) from 0 on."""

    rows: Int[np.ndarray, "T"]
    times_s: Float[np.ndarray, "T"]


class ClipSampler:
    """Draws clips around labelled frames; every labelled frame is equally likely.

    Args:
        videos: (F,) number of the video of every frame, -1 for pictures on their own.
        times_s: (F,) time in the video.
        labelled: (F,) which frames carry labels.
        settings: how clips are drawn.

    Raises:
        VepeError: where no labelled frame has enough neighbours.
    """

    def __init__(
        self,
        videos: Int[np.ndarray, "F"],
        times_s: Float[np.ndarray, "F"],
        labelled: Bool[np.ndarray, "F"],
        settings: SamplingSettings,
    ) -> None:
        self.settings = settings
        order = np.lexsort((times_s, videos))
        alone = videos[order] < 0
        # One clock for all videos: between two of them lies more than any gap.
        starts = np.diff(videos[order], prepend=-2) != 0
        starts |= alone
        steps = np.diff(times_s[order], prepend=0)
        steps = np.where(starts, 2 * settings.max_gap_s + 1, steps)
        self.rows, self.clock = order, np.cumsum(steps)
        self.after, self.before = self._reach(self.clock), self._reach(-self.clock[::-1])[::-1]
        enough = self.after + self.before + 1 >= settings.frames
        self.keys = np.flatnonzero(labelled[order] & enough)
        if not len(self.keys):
            raise VepeError(
                f"No labelled frame has the neighbours for a clip of {settings.frames} frames at "
                f"gaps of {settings.min_gap_s:g} to {settings.max_gap_s:g} s; use a smaller clip "
                "or larger gaps."
            )

    def _reach(self, clock: Float[np.ndarray, "F"]) -> Int[np.ndarray, "F"]:
        """How many more frames a clip that stands at each frame can take (T - 1 at most)."""
        following, allowed = self._next(clock, np.arange(len(clock)))
        reach = np.zeros(len(clock), np.int64)
        for _ in range(self.settings.frames - 1):
            reach = np.where(allowed, 1 + reach[following], 0)
        return reach

    def _next(
        self, clock: Float[np.ndarray, "F"], at: Int[np.ndarray, "Q"]
    ) -> tuple[Int[np.ndarray, "Q"], Bool[np.ndarray, "Q"]]:
        """The nearest frame that is far enough ahead, and whether it is near enough."""
        s, now = self.settings, clock[at]
        found = np.searchsorted(clock, now + s.min_gap_s - _SLACK_S)
        found = np.maximum(found, at + 1)
        inside = np.minimum(found, len(clock) - 1)
        near = clock[inside] - now <= s.max_gap_s + _SLACK_S
        return inside, (found < len(clock)) & near

    def draw(self, rng: np.random.Generator) -> ClipFrames:
        """A random clip."""
        s = self.settings
        key = int(self.keys[rng.integers(len(self.keys))])
        if s.frames == 1:
            return ClipFrames(self.rows[[key]], np.zeros(1))
        earliest = max(0, s.frames - 1 - int(self.after[key]))
        latest = min(s.frames - 1, int(self.before[key]))
        place = int(rng.integers(earliest, latest + 1))
        gaps = np.full(s.frames - 1, rng.uniform(s.min_gap_s, s.max_gap_s))
        gaps *= 1 + (rng.random(s.frames - 1) < s.dropped)
        count = len(self.clock)
        back = self._walk(-self.clock[::-1], count - 1 - key, gaps[:place][::-1],
                          self.before[::-1])  # fmt: skip
        ahead = self._walk(self.clock, key, gaps[place:], self.after)
        chain = np.array([count - 1 - i for i in back[::-1]] + [key] + ahead)
        times = self.clock[chain] - self.clock[chain[0]]
        for t in np.flatnonzero(rng.random(s.frames) < s.repeated):
            if t > 0 and t != place:  # the labelled frame stays
                chain[t] = chain[t - 1]
        return ClipFrames(self.rows[chain], times)

    def _walk(
        self,
        clock: Float[np.ndarray, "F"],
        start: int,
        gaps: Float[np.ndarray, "S"],
        reach: Int[np.ndarray, "F"],
    ) -> list[int]:
        """Frames after `start`, as near to the wanted gaps as the video and the bounds allow."""
        chain, at, s = [], start, self.settings
        for number, gap in enumerate(gaps):
            nearest, _ = self._next(clock, np.array([at]))
            first, now = int(nearest[0]), clock[at]
            end = int(np.searchsorted(clock, now + s.max_gap_s + _SLACK_S, side="right"))
            choice = first + int(np.abs(clock[first:end] - now - gap).argmin())
            # The wanted frame may be too near to the video's end for the rest of the clip.
            at = choice if reach[choice] >= len(gaps) - 1 - number else first
            chain.append(at)
        return chain


class ClipSource(Protocol):
    """Any data set of clips; items are a function of the index alone."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Clip: ...


class WeightedMixture:
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


class ResumableBatchSampler:
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
