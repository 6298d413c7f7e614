"""The learning rate over a stage."""

from __future__ import annotations

from typing import Any

import pytest

from vepe.config.load import parse
from vepe.config.training import ScheduleConfig
from vepe.errors import VepeError
from vepe.training.optimiser import rate_factor

STEPS: dict[str, Any] = {"kind": "step", "milestones": [0.5, 0.9], "gamma": 0.1}


@pytest.mark.parametrize(
    ("options", "step", "progress", "wanted"),
    [
        ({}, 0, 0.0, 0.01),
        ({}, 49, 0.0, 0.5),
        ({}, 99, 0.0, 1.0),
        ({}, 500, 0.5, 0.505),
        ({}, 900, 1.0, 0.01),
        ({"floor": 0.0}, 900, 1.2, 0.0),
        (STEPS, 49, 0.1, 0.5),
        (STEPS, 400, 0.49, 1.0),
        (STEPS, 400, 0.5, 0.1),
        (STEPS, 900, 0.95, 0.01),
        ({"kind": "constant"}, 49, 0.0, 0.5),
        ({"kind": "constant"}, 900, 0.99, 1.0),
    ],
)
def test_factor(options: dict[str, Any], step: int, progress: float, wanted: float) -> None:
    schedule = parse(ScheduleConfig, options, "test")
    assert rate_factor(schedule, step, progress, 100) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "step"}, "milestones"),
        ({"milestones": [0.5]}, "go together"),
        ({"kind": "step", "milestones": [0.9, 0.5]}, "rising"),
        ({"kind": "step", "milestones": [1000]}, "shares of the stage"),
    ],
)
def test_wrong_schedules(options: dict[str, Any], message: str) -> None:
    with pytest.raises(VepeError, match=message):
        parse(ScheduleConfig, options, "test")
