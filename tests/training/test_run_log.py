"""The log of a run: all values, no repeated steps after a resume, robust against crashes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tiny_recipes import tiny_recipe
from vepe.errors import VepeError
from vepe.training.checkpoint import Progress
from vepe.training.run_log import RunLog, as_text, metric_label, metric_names, read_log, truncate

PARTS = {"spatial0/l1": 1.0, "spatial1/l1": 2.0, "identity/cosine": 0.5}
LINES = [
    {"stage": "a", "stage_index": 0, "step": 1, "run_step": 1, "loss": 3.0},
    {"stage": "a", "stage_index": 0, "step": 3, "run_step": 3, "loss": 2.0},
    {"stage": "b", "stage_index": 1, "step": 1, "run_step": 5, "loss": 1.0},
    {"stage": "b", "stage_index": 1, "step": 1, "run_step": 5, "evaluation": {"ap": 7.0}},
]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]


def run_steps(log: RunLog, stage: str, steps: range, count: int = 10) -> None:
    for step in steps:
        log.losses(stage, step, step / count, PARTS, 4, {"rest": 1e-3, "backbone": 1e-4}, 3)


def test_lines_have_all_values_and_count_steps_over_stages(tmp_path: Path) -> None:
    with RunLog(tmp_path, tiny_recipe(), console=Console(file=io.StringIO())) as log:
        run_steps(log, "frames", range(25), 25)
        log.evaluation(24, {"ap": 12.5, "mota": float("nan")})
        run_steps(log, "temporal", range(3))
    logged = lines(tmp_path)
    places = [(x["stage"], x["stage_index"], x["step"], x["run_step"]) for x in logged]
    assert places == [
        ("frames", 0, 19, 19),
        ("frames", 0, 24, 24),
        ("frames", 0, 24, 24),
        ("temporal", 1, 2, 27),
    ]
    assert logged[0]["loss"] == 3.5
    assert logged[0]["spatial1/l1"] == 2.0
    assert (logged[0]["lr/rest"], logged[0]["lr/backbone"]) == (1e-3, 1e-4)
    assert logged[0]["frames_per_s"] == pytest.approx(3 * logged[0]["clips_per_s"], rel=1e-4)
    assert logged[0]["memory_gib"] > 0.05
    assert logged[2]["evaluation"] == {"ap": 12.5, "mota": None}
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_resumed_run_repeats_no_step(tmp_path: Path) -> None:
    config = tiny_recipe()
    with RunLog(tmp_path, config) as log:
        run_steps(log, "frames", range(5))
        run_steps(log, "temporal", range(3))
        log.flush()  # a checkpoint is written here
        run_steps(log, "temporal", range(3, 9))
        elapsed = log.earlier_s
    assert elapsed == 0
    with RunLog(tmp_path, config, Progress(stage=1, step=3)) as log:
        assert log.earlier_s == read_log(tmp_path / "log.jsonl")[-1]["elapsed_s"]
        run_steps(log, "temporal", range(3, 7))
    assert [(x["stage"], x["step"], x["run_step"]) for x in lines(tmp_path)] == [
        ("frames", 4, 4),
        ("temporal", 2, 7),
        ("temporal", 6, 11),
    ]
    # A run that crashed before its first checkpoint starts again.
    with RunLog(tmp_path, config):
        pass
    assert lines(tmp_path) == []


def test_run_resumed_at_the_end_of_a_stage_continues_the_count(tmp_path: Path) -> None:
    config = tiny_recipe()
    with RunLog(tmp_path, config) as log:
        run_steps(log, "frames", range(5))
    with RunLog(tmp_path, config, Progress(stage=0, step=5)) as log:
        log.evaluation(4, {"ap": 1.0})
        run_steps(log, "temporal", range(2))
    places = [(x["stage"], x["step"], x["run_step"]) for x in lines(tmp_path)]
    assert places == [("frames", 4, 4), ("frames", 4, 4), ("temporal", 1, 6)]


def test_unreadable_images_are_counted(tmp_path: Path) -> None:
    screen = io.StringIO()
    for start in (Progress(), Progress(0, 2)):
        console = Console(file=screen, width=200)
        with RunLog(tmp_path, tiny_recipe(), start, console) as log:
            run_steps(log, "frames", range(start.step, start.step + 2))
            log.num_unreadable += 3
    assert [line["unreadable"] for line in lines(tmp_path)] == [3, 6]
    assert "6 unreadable images" in screen.getvalue()


def test_only_the_first_process_writes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with RunLog(None, tiny_recipe()) as log:
        run_steps(log, "frames", range(3))
        log.evaluation(2, {"ap": 1.0})
        log.image("batch", np.zeros((4, 4, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_incomplete_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_log(path) == []
    path.write_text(as_text(LINES) + '{"stage": "b", "lo')
    assert read_log(path) == LINES


def test_any_other_invalid_line_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("[1]\n" + as_text(LINES))
    with pytest.raises(VepeError, match="Line 1 of"):
        read_log(path)


@pytest.mark.parametrize(
    ("stage", "step", "count"), [(0, 0, 0), (0, 3, 1), (0, 4, 2), (1, 0, 2), (1, 1, 2), (1, 2, 4)]
)
def test_steps_that_are_repeated_are_removed(
    tmp_path: Path, stage: int, step: int, count: int
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(as_text(LINES) + '{"half')
    assert truncate(path, stage, step) == LINES[:count]
    assert path.read_text() == as_text(LINES[:count])


@pytest.mark.parametrize(
    ("metric", "name"),
    [("ap", "AP"), ("ap_medium", "AP medium"), ("assa", "AssA"), ("recall", "recall")],
)
def test_metrics_are_spelt_as_in_papers(metric: str, name: str) -> None:
    assert metric_label(metric) == name


def test_metrics_that_papers_report_come_first() -> None:
    tests = [{"evaluation": {"recall": 1, "hota": 1}}, {"evaluation": {"ap": 1, "recall": 1}}]
    assert metric_names(tests) == ["ap", "hota", "recall"]
