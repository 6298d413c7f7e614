"""The live display: time left over all stages, and what it shows with and without a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from test_run_log import PARTS, run_steps

from tiny_recipes import tiny_recipe
from vepe.config.data import CocoConfig
from vepe.config.training import StageConfig
from vepe.training.display import Display, TimeLeft, grouped
from vepe.training.run_log import RunLog


def stage(name: str, **options: object) -> StageConfig:
    values = {"size_px": 64, "batch": 2, **options}
    return StageConfig(name=name, data=(CocoConfig(),), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([stage("a", steps=100)], 80.0),
        ([stage("a", steps=100), stage("b", steps=10)], 90.0),
        # Twice the frames and twice the side: eight times the pixels of a step.
        ([stage("a", steps=100), stage("b", steps=10, frames=2, size_px=128)], 160.0),
        ([stage("a", steps=100), stage("b", minutes=2)], 200.0),
        ([stage("a", steps=100), stage("b", minutes=2, steps=10)], 90.0),
    ],
)
def test_time_left_at_one_second_per_step(stages: list[StageConfig], expected: float) -> None:
    now = 0.0
    left = TimeLeft(stages, clock=lambda: now)
    assert left.seconds(0, 10, 0.10) is None
    now = 10.0
    assert left.seconds(0, 20, 0.20) == pytest.approx(expected)


def test_each_stage_has_its_own_speed() -> None:
    now = 0.0
    left = TimeLeft([stage("a", steps=10), stage("b", steps=10)], clock=lambda: now)
    left.seconds(0, 0, 0.0)
    now = 100.0
    assert left.seconds(1, 0, 0.0) is None
    now = 101.0
    assert left.seconds(1, 1, 0.1) == pytest.approx(9.0)


@pytest.mark.parametrize("terminal", [False, True])
def test_shown_values(tmp_path: Path, terminal: bool) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=160)
    with RunLog(tmp_path, tiny_recipe(), console=console) as log:
        run_steps(log, "frames", range(2), 2)
    for text in (
        "frames 1/2",
        "loss 3.5 = spatial 3 + identity 0.5",
        "clips/s",
        "frames/s",
        "memory",
        "lr/rest 1.0e-03",
        "left",
    ):
        assert text in screen.getvalue(), text


def test_parts_are_summed_by_owner() -> None:
    values = {**PARTS, "loss": 9.0, "lr/rest": 1.0}
    assert grouped(values) == {"spatial": 3.0, "identity": 0.5}


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, "note\nwarning\n"), ({"quiet": True}, "warning\n"), ({"silent": True}, "")],
)
def test_a_quiet_run_shows_warnings_alone(options: dict[str, bool], expected: str) -> None:
    screen = io.StringIO()
    display = Display([stage("a", steps=1)], Console(file=screen), **options)
    display.note("note")
    display.warn("warning")
    assert screen.getvalue() == expected
