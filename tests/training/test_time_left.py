"""The time left counts all stages, at the pace of the present one."""

from __future__ import annotations

import pytest

from vepe.config.data import SyntheticConfig
from vepe.config.training import StageConfig
from vepe.training.display import TimeLeft


def stage(name: str, **options: object) -> StageConfig:
    values = {"size_px": 64, "batch": 2, **options}
    return StageConfig(name=name, data=(SyntheticConfig(),), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stages", "wanted"),
    [
        ([stage("a", steps=100)], 80.0),
        ([stage("a", steps=100), stage("b", steps=10)], 90.0),
        # Twice the frames and twice the side: eight times the pixels of a step.
        ([stage("a", steps=100), stage("b", steps=10, frames=2, size_px=128)], 160.0),
        ([stage("a", steps=100), stage("b", minutes=2)], 200.0),
        ([stage("a", steps=100), stage("b", minutes=2, steps=10)], 90.0),
    ],
)
def test_one_second_a_step(stages: list[StageConfig], wanted: float) -> None:
    now = 0.0
    left = TimeLeft(stages, clock=lambda: now)
    assert left.seconds(0, 10, 0.10) is None
    now = 10.0
    assert left.seconds(0, 20, 0.20) == pytest.approx(wanted)


def test_a_new_stage_is_measured_anew() -> None:
    now = 0.0
    left = TimeLeft([stage("a", steps=10), stage("b", steps=10)], clock=lambda: now)
    left.seconds(0, 0, 0.0)
    now = 100.0
    assert left.seconds(1, 0, 0.0) is None
    now = 101.0
    assert left.seconds(1, 1, 0.1) == pytest.approx(9.0)
