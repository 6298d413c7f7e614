"""The log: what a crash leaves is read, and a resumed run says nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from vepe.errors import VepeError
from vepe.training.run_log import as_text, keep_before, read_log

LINES = [
    {"stage": "a", "stage_index": 0, "step": 1, "run_step": 1, "loss": 3.0},
    {"stage": "a", "stage_index": 0, "step": 3, "run_step": 3, "loss": 2.0},
    {"stage": "b", "stage_index": 1, "step": 1, "run_step": 5, "loss": 1.0},
    {"stage": "b", "stage_index": 1, "step": 1, "run_step": 5, "evaluation": {"ap": 7.0}},
]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_log(path) == []
    path.write_text(as_text(LINES) + '{"stage": "b", "lo')
    assert read_log(path) == LINES


def test_another_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("[1]\n" + as_text(LINES))
    with pytest.raises(VepeError, match="Line 1 of"):
        read_log(path)


@pytest.mark.parametrize(
    ("stage", "step", "kept"), [(0, 0, 0), (0, 3, 1), (0, 4, 2), (1, 0, 2), (1, 1, 2), (1, 2, 4)]
)
def test_steps_that_are_done_once_more_are_cut_off(
    tmp_path: Path, stage: int, step: int, kept: int
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(as_text(LINES) + '{"half')
    assert keep_before(path, stage, step) == LINES[:kept]
    assert path.read_text() == as_text(LINES[:kept])
