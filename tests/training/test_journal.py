"""The journal: lines that parse, a resume without doubles, boards that may be missing or fail."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tiny_recipes import tiny_recipe
from vepe.errors import VepeError
from vepe.training.boards import _TensorBoard
from vepe.training.checkpoint import Progress
from vepe.training.display import grouped
from vepe.training.run_log import RunLog, read_log

PARTS = {"spatial0/l1": 1.0, "spatial1/l1": 2.0, "identity/cosine": 0.5}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]


def go(journal: RunLog, stage: str, steps: range, count: int = 10) -> None:
    for step in steps:
        journal.step(stage, step, step / count, PARTS, 4, {"rest": 1e-3, "backbone": 1e-4}, 3)


def test_lines_hold_all_numbers_and_count_steps_over_stages(tmp_path: Path) -> None:
    with RunLog(tmp_path, tiny_recipe(), console=Console(file=io.StringIO())) as journal:
        go(journal, "frames", range(25), 25)
        journal.evaluation(24, {"ap": 12.5, "mota": float("nan")})
        go(journal, "temporal", range(3))
    found = lines(tmp_path)
    places = [(x["stage"], x["stage_index"], x["step"], x["run_step"]) for x in found]
    assert places == [
        ("frames", 0, 19, 19),
        ("frames", 0, 24, 24),
        ("frames", 0, 24, 24),
        ("temporal", 1, 2, 27),
    ]
    assert found[0]["loss"] == 3.5
    assert found[0]["spatial1/l1"] == 2.0
    assert (found[0]["lr/rest"], found[0]["lr/backbone"]) == (1e-3, 1e-4)
    assert found[0]["frames_per_s"] == pytest.approx(3 * found[0]["clips_per_s"], rel=1e-4)
    assert found[0]["memory_gib"] > 0.05
    assert found[2]["evaluation"] == {"ap": 12.5, "mota": None}
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_resumed_run_says_nothing_twice(tmp_path: Path) -> None:
    config = tiny_recipe()
    with RunLog(tmp_path, config) as journal:
        go(journal, "frames", range(5))
        go(journal, "temporal", range(3))
        journal.flush()  # a checkpoint is written here
        go(journal, "temporal", range(3, 9))
        elapsed = journal.earlier_s
    assert elapsed == 0
    with RunLog(tmp_path, config, Progress(stage=1, step=3)) as journal:
        assert journal.earlier_s == read_log(tmp_path / "log.jsonl")[-1]["elapsed_s"]
        go(journal, "temporal", range(3, 7))
    found = lines(tmp_path)
    assert [(x["stage"], x["step"], x["run_step"]) for x in found] == [
        ("frames", 4, 4),
        ("temporal", 2, 7),
        ("temporal", 6, 11),
    ]
    # A run that died before its first checkpoint begins anew.
    with RunLog(tmp_path, config):
        pass
    assert lines(tmp_path) == []


def test_a_stage_that_is_resumed_at_its_end_keeps_the_count(tmp_path: Path) -> None:
    config = tiny_recipe()
    with RunLog(tmp_path, config) as journal:
        go(journal, "frames", range(5))
    with RunLog(tmp_path, config, Progress(stage=0, step=5)) as journal:
        journal.evaluation(4, {"ap": 1.0})
        go(journal, "temporal", range(2))
    found = [(x["stage"], x["step"], x["run_step"]) for x in lines(tmp_path)]
    assert found == [("frames", 4, 4), ("frames", 4, 4), ("temporal", 1, 6)]


def test_unreadable_pictures_are_counted(tmp_path: Path) -> None:
    screen = io.StringIO()
    for start in (Progress(), Progress(0, 2)):
        console = Console(file=screen, width=200)
        with RunLog(tmp_path, tiny_recipe(), start, console) as journal:
            go(journal, "frames", range(start.step, start.step + 2))
            journal.unreadable += 3
    assert [line["unreadable"] for line in lines(tmp_path)] == [3, 6]
    assert "6 unreadable pictures" in screen.getvalue()


def test_the_first_process_alone_writes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with RunLog(None, tiny_recipe()) as journal:
        go(journal, "frames", range(3))
        journal.evaluation(2, {"ap": 1.0})
        journal.picture("batch", np.zeros((4, 4, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("terminal", [False, True])
def test_what_people_read(tmp_path: Path, terminal: bool) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=160)
    with RunLog(tmp_path, tiny_recipe(), console=console) as journal:
        go(journal, "frames", range(2), 2)
    for words in (
        "frames 1/2",
        "loss 3.5 = spatial 3 + identity 0.5",
        "clips/s",
        "frames/s",
        "memory",
        "lr/rest 1.0e-03",
        "left",
    ):
        assert words in screen.getvalue(), words


def test_parts_are_summed_by_what_they_belong_to() -> None:
    values = {**PARTS, "loss": 9.0, "lr/rest": 1.0}
    assert grouped(values) == {"spatial": 3.0, "identity": 0.5}


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(VepeError, match=r"pip install 'vepe\[wandb\]'"):
        RunLog(tmp_path, tiny_recipe(logging=["wandb"]))


class FakeWandB(SimpleNamespace):
    """Notes what it is told, as the package `wandb` would."""

    def __init__(self) -> None:
        super().__init__(told=[], started=[], ended=[])

    def Image(self, image: np.ndarray) -> tuple[int, ...]:  # noqa: N802 - its name
        return image.shape

    def init(self, **options: Any) -> SimpleNamespace:
        self.started.append(options)
        return SimpleNamespace(
            id="abc",
            log=lambda values, step: self.told.append((step, values)),
            finish=lambda exit_code: self.ended.append(exit_code),
        )


def test_wandb_is_told_all_and_goes_on_with_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandB()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    config = tiny_recipe(logging=["wandb"])
    with RunLog(tmp_path, config) as journal:
        go(journal, "frames", range(2))
        journal.evaluation(1, {"ap": 3.0, "mota": float("nan")})
        journal.picture("batch", np.zeros((4, 6, 3), np.uint8))
    assert [step for step, _ in fake.told] == [1, 1, 1]
    assert fake.told[0][1]["spatial1/l1"] == 2.0
    assert fake.told[1][1] == {"evaluation/ap": 3.0}
    assert fake.told[2][1] == {"pictures/batch": (4, 6, 3)}
    assert fake.started[0]["config"]["stages"][0]["name"] == "frames"
    assert (tmp_path / "pictures" / "0000001_batch.jpg").read_bytes()[:2] == b"\xff\xd8"
    with pytest.raises(RuntimeError), RunLog(tmp_path, config, Progress(0, 2)):
        raise RuntimeError
    assert [options["id"] for options in fake.started] == [None, "abc"]
    assert fake.ended == [0, 1]


def test_a_board_that_does_not_start_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: Any) -> None:
        raise RuntimeError("api_key not configured (no-tty).\nmore")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=refuse))
    with pytest.raises(VepeError, match=r"\(api_key not configured .*WANDB_MODE=offline") as caught:
        RunLog(tmp_path, tiny_recipe(logging=["wandb"]))
    assert "\n" not in str(caught.value)


def test_a_board_that_fails_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(_TensorBoard, "numbers", fail)
    screen = io.StringIO()
    with RunLog(tmp_path, tiny_recipe(), console=Console(file=screen, width=200)) as journal:
        go(journal, "frames", range(45))
    assert len(lines(tmp_path)) == 3
    assert screen.getvalue().count("TensorBoard failed (no network); the run goes on") == 1
