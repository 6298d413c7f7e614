"""How far a run is: one line for the terminal, and what the report page is made of."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

from vepe.cluster.engine import Engine
from vepe.cluster.scheduler import Scheduler

_WINDOW_S = 60.0
_SAMPLE_S = 1.0


class Monitor:
    """Counts what a scheduler's videos, or other parts, become.

    Args:
        scheduler, engine: of the run, which begins now.
        weights: expected work of each video by the name of its results, such as the size of its
            file; 0 where it is not known.
        skipped: number of videos that were done before.
        what: what they are, in the plural.

    Attributes:
        samples: seconds since the beginning, with the number of frames and of videos until then.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        engine: Engine,
        weights: Mapping[str, float],
        skipped: int = 0,
        what: str = "videos",
    ) -> None:
        self.scheduler, self.engine, self.skipped, self.what = scheduler, engine, skipped, what
        known = [weight for weight in weights.values() if weight] or [1.0]
        mean = sum(known) / len(known)
        self._weights = {name: weight or mean for name, weight in weights.items()}
        self._total = sum(self._weights.values()) or 1.0
        self._begun_s = self._sampled_s = time.monotonic()
        self._ended_s: float | None = None
        self.samples: list[tuple[float, int, int]] = [(0.0, 0, 0)]
        self._recent: deque[tuple[float, int]] = deque([(0.0, 0)])
        self.most_workers = 0

    @property
    def seconds(self) -> float:
        """Since the beginning, until the end."""
        return (self._ended_s or time.monotonic()) - self._begun_s

    @property
    def frames(self) -> int:
        """Frames that went through the network, those of tasks in work, too."""
        done = sum(video.frames for video in self.scheduler.videos)
        return done + self.engine.frames_in_work()

    def counts(self) -> tuple[int, int]:
        """Number of videos that are done, and that were given up."""
        outcomes = [v.outcome for v in self.scheduler.videos if v.outcome is not None]
        failed = sum(outcome.report is None for outcome in outcomes)
        return len(outcomes) - failed, failed

    def sample(self) -> bool:
        """Remembers the present state, at most once per second; returns whether it did."""
        now = time.monotonic()
        if now - self._sampled_s < _SAMPLE_S:
            return False
        self._sampled_s = now
        seconds = now - self._begun_s
        self.samples.append((seconds, self.frames, sum(self.counts())))
        if len(self.samples) > 2000:
            self.samples = self.samples[::2]
        self._recent.append((seconds, self.samples[-1][1]))
        while len(self._recent) > 2 and seconds - self._recent[0][0] > _WINDOW_S:
            self._recent.popleft()
        self.most_workers = max(self.most_workers, self.engine.num_workers())
        return True

    def end(self) -> None:
        """The run is over."""
        self._ended_s = time.monotonic()
        self.samples.append((self.seconds, self.frames, sum(self.counts())))

    @property
    def frames_per_s(self) -> float:
        """Over the last minute."""
        (first_s, first), (last_s, last) = self._recent[0], self._recent[-1]
        return max(0.0, (last - first) / (last_s - first_s)) if last_s > first_s else 0.0

    @property
    def share(self) -> float:
        """How much of the work is done, 0 to 1; a video counts when it is done."""
        videos = self.scheduler.videos
        done = sum(self._weights.get(v.source.name, 0) for v in videos if v.outcome is not None)
        parts = sum(
            self._weights.get(v.source.name, 0) * (1 - len(v.missing) / v.segments)
            for v in videos
            if v.outcome is None and v.segments
        )
        return min(1.0, (done + parts) / self._total)

    def line(self) -> str:
        """The run in one line."""
        done, failed = self.counts()
        per_hour = 3600 * (done + failed) / max(self.seconds, 1e-3)
        parts = [
            f"{done + failed} of {len(self.scheduler.videos)} {self.what}",
            f"{per_hour:.0f} {self.what}/h",
            f"{self.frames_per_s:.1f} frames/s",
            f"{self.engine.num_workers()} workers",
        ]
        if failed:
            parts.append(f"{failed} failed")
        left = self.left()
        return ", ".join([*parts, *([f"{left} left"] if left else [])])

    def left(self) -> str:
        """The time that is left, as text; empty at the beginning and the end."""
        share = self.share
        if share <= 0.001 or share >= 1 or self.seconds < 1:
            return ""
        seconds = round(self.seconds * (1 - share) / share)
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
