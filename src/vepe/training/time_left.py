"""How long a run will still take, over all of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from vepe.config.training import StageConfig


class TimeLeft:
    """Reckons from the pace of the present stage what it and the later ones will take.

    A stage in minutes takes those. One in steps takes as long a pixel as the present one does;
    calibration and evaluations count as far as they have slowed down the present stage.

    Args:
        stages: of the run.
        clock: seconds that only grow.
    """

    def __init__(
        self, stages: Sequence[StageConfig], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stages, self.clock = stages, clock
        self.index = -1
        self.begin, self.first_done, self.first_step = 0.0, 0.0, 0

    def seconds(self, index: int, step: int, done: float) -> float | None:
        """Seconds until the run ends; None until two steps of the stage have been seen.

        Args:
            index: number of the present stage.
            step: of the stage, the one that has just ended.
            done: share of the stage in 0..1.
        """
        now = self.clock()
        if index != self.index:
            self.index, self.begin, self.first_done, self.first_step = index, now, done, step
        if done <= self.first_done or step <= self.first_step:
            return None
        spent = now - self.begin
        left = spent * max(1 - done, 0.0) / (done - self.first_done)
        pace = spent / ((step - self.first_step) * _pixels(self.stages[index]))
        return left + sum(_stage_seconds(stage, pace) for stage in self.stages[index + 1 :])


def _pixels(stage: StageConfig) -> float:
    """Pixels of a step."""
    return float(stage.batch * stage.frames * stage.size_px**2)


def _stage_seconds(stage: StageConfig, pace: float) -> float:
    by_step = stage.steps * _pixels(stage) * pace if stage.steps else float("inf")
    by_time = 60 * stage.minutes if stage.minutes else float("inf")
    return min(by_step, by_time)
