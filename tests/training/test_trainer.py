"""The trainer: runs, resumes bit for bit, and reports what is wrong."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_recipe import FRAMES, TEMPORAL, checkpoint_tensors, differing, recipe

from vepe.config.load import parse, preset_names, read_yaml
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.formats.folder_lock import locked_folder
from vepe.inference.weights import load_weights
from vepe.training import trainer
from vepe.training.trainer import Trainer


@pytest.fixture(autouse=True)
def _no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report has its own tests, and takes longer than these runs."""
    monkeypatch.setattr(Trainer, "_report", lambda *_: None)


class Killed(BaseException):
    """Raised in place of a kill in the middle of a step."""


def stopped_at(count: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Calls `act` in the middle of the given step, counted over the run."""
    from vepe.training import stage

    real, count_so_far = stage.non_finite_part, 0

    def checked(losses: Any) -> Any:
        nonlocal count_so_far
        count_so_far += 1
        if count_so_far == count:
            act()
        return real(losses)

    monkeypatch.setattr(stage, "non_finite_part", checked)


def kill() -> None:
    raise Killed


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_folder_is_held_until_the_run_ends(tmp_path: Path) -> None:
    folder, config = tmp_path / "run", recipe(stages=[FRAMES])
    with locked_folder(folder), pytest.raises(VepeError, match="Another run writes into"):
        Trainer(config, folder)
    assert not folder.exists()
    with pytest.raises(VepeError, match="to resume from"):
        Trainer(config, folder, resume=True)
    assert not folder.exists()
    run = Trainer(config, folder)
    for resume in (False, True):
        with pytest.raises(VepeError, match="Another run writes into"):
            Trainer(config, folder, resume=resume)
    run.train()
    with locked_folder(folder):
        pass
    with pytest.raises(VepeError, match="already holds a run"):
        Trainer(config, folder)


@pytest.mark.parametrize("kill_at", [3, 5])
def test_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    config = recipe(checkpoint_steps=1)
    Trainer(config, tmp_path / "whole").train()
    with monkeypatch.context() as patch:
        stopped_at(kill_at, patch, kill)
        with pytest.raises(Killed):
            Trainer(config, tmp_path / "cut").train()
    with pytest.raises(VepeError, match="--resume"):
        Trainer(config, tmp_path / "cut")
    Trainer(config, tmp_path / "cut", resume=True).train()
    whole, cut = (checkpoint_tensors(tmp_path / name) for name in ("whole", "cut"))
    assert whole["progress/stage"] == 2
    assert not differing(whole, cut)


@pytest.mark.parametrize("known", [True, False])
def test_runs_from_before_the_calibration_are_resumed_with_their_scores(
    tmp_path: Path, known: bool
) -> None:
    config = recipe(checkpoint_steps=1, stages=[{**FRAMES, "steps": 1}])
    Trainer(config, tmp_path / "run").train()
    path = tmp_path / "run" / "last.pt"
    checkpoint = torch.load(path, weights_only=True)
    for state in (checkpoint["parts"]["model"], checkpoint["parts"]["ema"]["model"]):
        state["pose_decoder.score_calibration"] = torch.tensor([3.0, -2.0])
        if not known:
            del state["pose_decoder.score_calibration"]
    torch.save(checkpoint, path)
    run = Trainer(config, tmp_path / "run", resume=True).run
    expected = [3.0, -2.0] if known else [1.0, 0.0]
    assert run.model.pose_decoder.score_calibration.tolist() == expected
    assert run.ema.model.pose_decoder.score_calibration.tolist() == expected


def test_a_stop_during_the_calibration_is_obeyed(tmp_path: Path, monkeypatch, capsys) -> None:
    config = recipe(calibration_batches=3, stages=[{**FRAMES, "steps": 1}])
    real = trainer.calibrate_scores

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "calibrate_scores", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Trainer(config, tmp_path / "run").train()
    errors = capsys.readouterr().err
    assert "Calibrating scores on 3 batches" in errors
    assert "Stopped. Resume with --resume" in errors
    weights = Trainer(config, tmp_path / "run", resume=True).train()
    assert load_weights(weights)[2]["calibration"]["samples"] > 0


def test_frozen_parts_do_not_change_and_the_rest_does(tmp_path: Path) -> None:
    config = recipe(stages=[TEMPORAL])
    trainer = Trainer(config, tmp_path / "run")
    before = {n: p.clone() for n, p in trainer.model.state_dict().items()}
    weights = trainer.train()
    after = trainer.model.state_dict()
    changed = {n.split(".")[0] for n in before if not torch.equal(before[n], after[n])}
    assert changed == {"identity", "consistency", "pose_encoder", "memory_encoder", "pose_decoder"}
    lines = [json.loads(s) for s in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all(line["stage"] == "temporal" for line in lines)
    model, model_config, training = load_weights(weights)
    assert model_config.queries == 4
    assert training["recipe"]["seed"] == 3
    assert sum(p.numel() for p in model.parameters()) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": [{**FRAMES, "freeze": ["neck"]}]}, "freezes 'neck'"),
        ({"backbone_weights": "nowhere.safetensors"}, "no backbone file"),
        ({"init": "nowhere.safetensors"}, "nowhere.safetensors"),
        (
            {"stages": [{**FRAMES, "data": [{"kind": "stills", "shards": ["x*.tar"]}]}]},
            "--data-root",
        ),
    ],
)
def test_errors_name_what_is_missing(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        Trainer(recipe(**changes), tmp_path / "run").train()


def test_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(VepeError, match="choose another"):
            Trainer(recipe(), folder)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sead": 1}, "no option 'sead'; did you mean 'seed'"),
        ({"stages": []}, "stages"),
        ({"stages": [{"name": "a", "data": [{"kind": "coco"}]}]}, "steps or minutes"),
        ({"losses": {"okss": 1}}, "no option 'losses.okss'; did you mean 'oks'"),
    ],
)
def test_invalid_options_are_named(changes: dict, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        recipe(**changes)


@pytest.mark.parametrize("name", preset_names("recipes"))
def test_bundled_recipes_are_valid(name: str) -> None:
    assert parse(TrainConfig, read_yaml(name, "recipes"), name).stages


def test_ctrl_c_ends_the_step_and_the_run_resumes_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(recipe(), tmp_path / "whole").train()
    with monkeypatch.context() as patch:
        stopped_at(2, patch, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            Trainer(recipe(), tmp_path / "cut").train()
    state = torch.load(tmp_path / "cut" / "last.pt", weights_only=True)
    assert state["progress"]["step"] == 2
    Trainer(recipe(), tmp_path / "cut", resume=True).train()
    whole, cut = (checkpoint_tensors(tmp_path / name) for name in ("whole", "cut"))
    assert not differing(whole, cut)
