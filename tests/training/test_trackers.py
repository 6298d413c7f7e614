"""Experiment trackers: values and images arrive, runs resume, failures do not stop training."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from accelerate.tracking import TensorBoardTracker
from rich.console import Console
from test_run_log import lines, run_steps

from tiny_recipes import tiny_recipe
from vepe.errors import VepeError
from vepe.training.checkpoint import Progress
from vepe.training.run_log import RunLog


class FakeWandB(SimpleNamespace):
    """Records calls as the package `wandb` would get them."""

    def __init__(self) -> None:
        super().__init__(logged=[], started=[], ended=[])

    def Image(self, image: np.ndarray) -> tuple[int, ...]:  # noqa: N802 - its name
        return image.shape

    def init(self, **options: Any) -> SimpleNamespace:
        self.started.append(options)
        return SimpleNamespace(
            id="abc",
            log=lambda values, step: self.logged.append((step, values)),
            finish=lambda exit_code: self.ended.append(exit_code),
        )


def test_wandb_gets_everything_and_resumes_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandB()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    config = tiny_recipe(logging=["wandb"])
    with RunLog(tmp_path, config) as log:
        run_steps(log, "frames", range(2))
        log.evaluation(1, {"ap": 3.0, "mota": float("nan")})
        log.image("batch", np.zeros((4, 6, 3), np.uint8))
    assert [step for step, _ in fake.logged] == [1, 1, 1]
    assert fake.logged[0][1]["spatial1/l1"] == 2.0
    assert fake.logged[1][1] == {"evaluation/ap": 3.0}
    assert fake.logged[2][1] == {"images/batch": [(4, 6, 3)]}
    assert fake.started[0]["config"]["stages"][0]["name"] == "frames"
    assert (tmp_path / "images" / "0000001_batch.jpg").read_bytes()[:2] == b"\xff\xd8"
    with pytest.raises(RuntimeError), RunLog(tmp_path, config, Progress(0, 2)):
        raise RuntimeError
    assert [options["id"] for options in fake.started] == [None, "abc"]
    assert fake.ended == [0, 1]


def test_mlflow_gets_everything_and_resumes_its_run(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    config = tiny_recipe(logging=["mlflow"])
    with RunLog(tmp_path, config) as log:
        run_steps(log, "frames", range(2))
        log.image("batch", np.zeros((4, 6, 3), np.uint8))
    with suppress(ZeroDivisionError), RunLog(tmp_path, config, Progress(0, 2)) as log:
        run_steps(log, "frames", range(2, 4))
        _ = 1 / 0
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'vepe'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    history = client.get_metric_history(run.info.run_id, "spatial1/l1")
    assert [(metric.step, metric.value) for metric in history] == [(1, 2.0), (3, 2.0)]
    stored = {path.name for path in (tmp_path / "mlflow").rglob("*.*")}
    assert stored >= {"recipe.json", "0000001_batch.jpg"}


def test_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(VepeError, match=r"pip install '\.\[wandb\]'"):
        RunLog(tmp_path, tiny_recipe(logging=["wandb"]))


def test_tracker_that_does_not_start_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: Any) -> None:
        raise RuntimeError("api_key not configured (no-tty).\nmore")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=refuse))
    with pytest.raises(VepeError, match=r"\(api_key not configured .*WANDB_MODE=offline") as caught:
        RunLog(tmp_path, tiny_recipe(logging=["wandb"]))
    assert "\n" not in str(caught.value)


def test_tracker_that_fails_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(TensorBoardTracker, "log", fail)
    screen = io.StringIO()
    with RunLog(tmp_path, tiny_recipe(), console=Console(file=screen, width=200)) as log:
        run_steps(log, "frames", range(45))
    assert len(lines(tmp_path)) == 3
    text = "tensorboard failed (no network); the run continues without it."
    assert screen.getvalue().count(text) == 1
