"""A grid runs, resumes and skips runs, names failures, and writes tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tiny_recipes import tiny_recipe
from vepe.config.grid import PlannedRun
from vepe.errors import VepeError
from vepe.formats.folder_lock import locked_folder
from vepe.training import grid
from vepe.training.grid import run_grid


def planned(*names: str, seed: int = 0, **options: Any) -> list[PlannedRun]:
    config = tiny_recipe(seed=seed, **options)
    return [PlannedRun(name, seed, f"{name}-{seed}", config) for name in names]


class FakeTrainer:
    """Writes a checkpoint and a log like the trainer, and raises the errors of `errors`."""

    calls: list[tuple[str, bool]] = []  # noqa: RUF012 - cleared for every test
    errors: dict[str, BaseException] = {}  # noqa: RUF012

    def __init__(self, config: Any, folder: Path, *, resume: bool, quiet: bool) -> None:
        self.folder, self.model = folder, torch.nn.Linear(9, 1)
        self.calls.append((folder.name, resume))
        folder.mkdir(parents=True, exist_ok=True)

    def train(self) -> None:
        (self.folder / "last.pt").write_bytes(b"")
        place = {"stage": "a", "stage_index": 0, "step": 9, "run_step": 9, "elapsed_s": 90.0}
        lines = [{**place, "loss": 1.5}]
        lines.append({**place, "evaluation": {"ap": 10.0 + len(self.calls), "mota": None}})
        (self.folder / "log.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        if self.folder.name in self.errors:
            raise self.errors[self.folder.name]


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeTrainer.calls, FakeTrainer.errors = [], {}
    monkeypatch.setattr(grid, "Trainer", FakeTrainer)


def rows(output: Path) -> list[dict[str, str]]:
    with (output / "table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_failed_runs_are_named_and_repeated_and_finished_ones_skipped(tmp_path: Path) -> None:
    plan = planned("full", "odd", "bug", "last")
    FakeTrainer.errors = {
        "odd-0": VepeError("The loss part 'x'\n is not finite."),
        "bug-0": ValueError("shapes"),
    }
    reports: list[str] = []
    results = run_grid(plan, tmp_path, reports.append)
    assert [r.status for r in results] == ["finished", "failed", "failed", "finished"]
    table = rows(tmp_path)
    assert [row["run"] for row in table] == ["full", "odd", "bug", "last"]
    assert table[0] == {
        "run": "full", "seed": "0", "status": "finished", "ap": "11.0", "mota": "", "loss": "1.5",
        "parameters": "10", "seconds": "90.0", "steps": "10", "error": "",
    }  # fmt: skip
    assert table[1]["error"] == "The loss part 'x' is not finite."
    assert table[2]["error"] == "ValueError: shapes; see error.txt"
    assert "Traceback" in (tmp_path / "bug-0" / "error.txt").read_text()
    text = (tmp_path / "table.md").read_text()
    assert "| full |    0 |" in text
    assert "- odd-0: The loss part 'x' is not finite." in text
    assert "11.00" in text
    assert "n/a" in text
    FakeTrainer.calls, FakeTrainer.errors = [], {}
    results = run_grid(plan, tmp_path, reports.append)
    assert FakeTrainer.calls == [("odd-0", True), ("bug-0", True)]
    assert [r.status for r in results] == ["finished"] * 4
    assert not (tmp_path / "bug-0" / "error.txt").exists()
    assert json.loads((tmp_path / "table.json").read_text())[3]["metrics"]["ap"] == 14.0
    assert "1/4 full-0: already finished" in reports


def test_stop_ends_the_grid_and_it_can_be_resumed(tmp_path: Path) -> None:
    plan = planned("a", "b", "c")
    FakeTrainer.errors = {"b-0": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run_grid(plan, tmp_path, lambda _: None)
    assert [row["status"] for row in rows(tmp_path)] == ["finished", "waiting", "waiting"]
    FakeTrainer.calls, FakeTrainer.errors = [], {}
    run_grid(plan, tmp_path, lambda _: None)
    assert FakeTrainer.calls == [("b-0", True), ("c-0", False)]


@pytest.mark.parametrize(
    ("key", "value"),
    [("result", 3), ("recipe", 3), ("metrics", {"ap": "x"}), ("loss", []), ("name", 3)],
)
def test_edited_result_is_an_error(tmp_path: Path, key: str, value: object) -> None:
    run_grid(planned("a"), tmp_path, lambda _: None)
    path = tmp_path / "a-0" / "result.json"
    content = json.loads(path.read_text())
    (content if key in content else content["result"])[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(VepeError, match="not the result of a grid's run"):
        run_grid(planned("a"), tmp_path, lambda _: None)


def test_finished_run_of_another_recipe_is_an_error(tmp_path: Path) -> None:
    run_grid(planned("a"), tmp_path, lambda _: None)
    FakeTrainer.calls = []
    with pytest.raises(VepeError, match=r"'losses.dense' differs.*another output folder"):
        run_grid(planned("a", losses={"dense": 0}), tmp_path, lambda _: None)
    run_grid(planned("a", workers=3), tmp_path, lambda _: None)  # may differ
    assert FakeTrainer.calls == []
    (tmp_path / "a-0" / "result.json").write_text('{"result": {"who": 1}}')
    with pytest.raises(VepeError, match="not the result of a grid's run"):
        run_grid(planned("a"), tmp_path, lambda _: None)


def test_seeds_are_averaged(tmp_path: Path) -> None:
    run_grid([*planned("a", seed=1), *planned("a", seed=2)], tmp_path, lambda _: None)
    text = (tmp_path / "table.md").read_text()
    assert "Mean and standard deviation" in text
    assert "11.50 ± 0.71" in text


def test_two_grids_at_a_time_do_not_share_a_folder(tmp_path: Path) -> None:
    with locked_folder(tmp_path), pytest.raises(VepeError, match="Another run writes into"):
        run_grid(planned("a"), tmp_path)
    assert not FakeTrainer.calls
    run_grid(planned("a"), tmp_path)
    assert len(FakeTrainer.calls) == 1
