"""The trainer as a user meets it: runs, resumes bit for bit, and says what is wrong."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from vepe.config.load import merge, parse, preset_names, read_yaml
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.inference.checkpoint import load_weights
from vepe.training.ema import Ema
from vepe.training.optimiser import rate_factor
from vepe.training.trainer import Trainer

RECIPE: dict[str, Any] = {
    "model": {
        "backbone": "mobilenetv2_035",
        "dim": 32,
        "hidden": 32,
        "queries": 4,
        "spatial_decoder": {"layers": 1},
        "temporal": {"window": 2},
        "consistency": {"dim": 8},
    },
    "workers": 0,
    "calibration_batches": 2,
    "seed": 3,
    "stages": [
        {
            "name": "frames",
            "steps": 3,
            "size_px": 64,
            "batch": 2,
            "backbone_lr": 1e-4,
            "data": [{"kind": "synthetic", "people": [1, 2]}],
        },
        {
            "name": "temporal",
            "steps": 3,
            "frames": 2,
            "size_px": 64,
            "batch": 1,
            "freeze": ["backbone", "pyramid", "spatial_encoder", "proposals", "spatial_decoder"],
            "data": [{"kind": "synthetic", "people": [2, 2]}],
        },
    ],
}


def recipe(**changes: Any) -> TrainConfig:
    return parse(TrainConfig, merge(RECIPE, changes), "test")


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "last.pt", weights_only=True)
    assert state["progress"]["stage"] == 2
    return {
        **state["parts"]["model"],
        **{f"ema.{k}": v for k, v in state["parts"]["ema"]["model"].items()},
    }


class Killed(BaseException):
    """Stands for a kill in the middle of a step."""


@pytest.mark.parametrize("kill_at", [2, 4])
def test_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    config = recipe(checkpoint_minutes=1e-9)  # a checkpoint after every step
    Trainer(config, tmp_path / "whole").train()
    from vepe.training import trainer as module

    done = 0

    def check(parts: dict, step: int) -> None:
        nonlocal done
        if done == kill_at:
            raise Killed
        done += 1

    with monkeypatch.context() as patch:
        patch.setattr(module, "check_finite_or_stop", check)
        with pytest.raises(Killed):
            Trainer(config, tmp_path / "cut").train()
    with pytest.raises(VepeError, match="--resume"):
        Trainer(config, tmp_path / "cut")
    Trainer(config, tmp_path / "cut", resume=True).train()
    whole, cut = final_weights(tmp_path / "whole"), final_weights(tmp_path / "cut")
    different = [name for name in whole if not torch.equal(whole[name], cut[name])]
    assert not different


def test_frozen_parts_stay_and_the_rest_learns(tmp_path: Path) -> None:
    config = recipe(stages=[RECIPE["stages"][1]])
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
        ({"stages": [{**RECIPE["stages"][0], "freeze": ["neck"]}]}, "freezes 'neck'"),
        ({"backbone_weights": "nowhere.safetensors"}, "no backbone file"),
        ({"init": "nowhere.safetensors"}, "nowhere.safetensors"),
        (
            {
                "stages": [
                    {**RECIPE["stages"][0], "data": [{"kind": "stills", "shards": ["x*.tar"]}]}
                ]
            },
            "--data-root",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        Trainer(recipe(**changes), tmp_path / "run").train()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sead": 1}, "no option 'sead'; did you mean 'seed'"),
        ({"stages": []}, "stages"),
        ({"stages": [{"name": "a", "data": [{"kind": "synthetic"}]}]}, "steps or minutes"),
        ({"losses": {"okss": 1}}, "no option 'losses.okss'; did you mean 'oks'"),
    ],
)
def test_wrong_options_are_named(changes: dict, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        recipe(**changes)


def test_resuming_under_another_recipe_is_refused(tmp_path: Path) -> None:
    Trainer(recipe(), tmp_path / "run").train()
    with pytest.raises(VepeError, match="another configuration"):
        Trainer(recipe(seed=4), tmp_path / "run", resume=True)
    (tmp_path / "run" / "last.pt").write_bytes(b"half a file")
    with pytest.raises(VepeError, match="damaged"):
        Trainer(recipe(), tmp_path / "run", resume=True)


def test_a_failed_checkpoint_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(recipe(), tmp_path / "run")
    trainer.train()
    good = trainer.last.read_bytes()

    def full_disk(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(VepeError, match="make room"):
        Trainer(recipe(), tmp_path / "run", resume=True)._save(
            trainer.start, {"model": trainer.model}
        )
    assert trainer.last.read_bytes() == good
    assert sorted(p.name for p in (tmp_path / "run").glob("*.writing")) == []


@pytest.mark.parametrize("name", preset_names("recipes"))
def test_bundled_recipes_are_valid(name: str) -> None:
    assert parse(TrainConfig, read_yaml(name, "recipes"), name).stages


@pytest.mark.parametrize(
    ("step", "progress", "wanted"),
    [(0, 0.0, 0.01), (49, 0.0, 0.5), (99, 0.0, 1.0), (500, 0.5, 0.505), (900, 1.0, 0.01)],
)
def test_learning_rate(step: int, progress: float, wanted: float) -> None:
    assert rate_factor(step, progress, 100) == pytest.approx(wanted)


def test_ema_follows() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    ema = Ema(model, 0.9)
    torch.nn.init.ones_(model.weight)
    values = []
    for _ in range(100):
        ema.update(model)
        values.append(ema.model.weight.item())
    assert values == sorted(values)
    assert values[0] == pytest.approx(9 / 11)
    assert values[-1] == pytest.approx(1.0)


def test_ctrl_c_ends_the_step_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vepe.training import trainer as module

    real, done = module.check_finite_or_stop, 0

    def press_ctrl_c(parts: dict, step: int) -> None:
        nonlocal done
        done += 1
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)
        real(parts, step)

    Trainer(recipe(), tmp_path / "whole").train()
    with monkeypatch.context() as patch:
        patch.setattr(module, "check_finite_or_stop", press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            Trainer(recipe(), tmp_path / "cut").train()
    state = torch.load(tmp_path / "cut" / "last.pt", weights_only=True)
    assert state["progress"]["step"] == 2
    Trainer(recipe(), tmp_path / "cut", resume=True).train()
    whole, cut = final_weights(tmp_path / "whole"), final_weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
