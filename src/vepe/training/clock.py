"""How far a stage is."""

from __future__ import annotations

import time

from vepe.config.training import StageConfig


class Clock:
    """Progress of a stage by steps or minutes, whichever is further.

    Args:
        stage: what ends it.
        before_s: seconds that earlier sessions spent in it.
    """

    def __init__(self, stage: StageConfig, before_s: float = 0.0) -> None:
        self.stage, self.before, self.started = stage, before_s, time.monotonic()

    def elapsed_s(self) -> float:
        """Seconds spent in the stage, earlier sessions included."""
        return self.before + time.monotonic() - self.started

    def progress(self, step: int, elapsed_s: float) -> float:
        """0 at the start, 1 at the end. All processes must be given the same seconds."""
        by_step = step / self.stage.steps if self.stage.steps else 0.0
        by_time = elapsed_s / (60 * self.stage.minutes) if self.stage.minutes else 0.0
        return max(by_step, by_time)


class Every:
    """Whether so many minutes have gone by since the last time."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.last = minutes, time.monotonic()

    def due(self) -> bool:
        """Whether it is time."""
        return self.minutes is not None and time.monotonic() - self.last > 60 * self.minutes

    def restart(self) -> None:
        """Counts from now on."""
        self.last = time.monotonic()
