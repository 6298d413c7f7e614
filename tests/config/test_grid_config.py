"""Grids: every run is checked before any starts; settings reach all stages or the last."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vepe.config.grid import plan_grid
from vepe.config.load import override, parse, preset_names, read_yaml
from vepe.config.model import ModelConfig
from vepe.errors import VepeError

RECIPE = {
    "model": "vepe-n",
    "seed": 5,
    "stages": [
        {"name": "a", "steps": 2, "data": [{"kind": "coco"}]},
        {"name": "b", "steps": 2, "frames": 3, "data": [{"kind": "coco"}]},
    ],
}


def grid_file(folder: Path, **grid: object) -> str:
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump({"base": "recipe.yaml", **grid}))
    return str(path)


def test_runs_and_seeds_in_order(tmp_path: Path) -> None:
    runs = [{"name": "full"}, {"name": "less", "set": ["losses.dense=0", "stages.-1.steps=9"]}]
    source = grid_file(tmp_path, runs=runs, set=["stages.*.batch=1"], seeds=[1, 2])
    plan = plan_grid(source, settings=["workers=0"])
    assert [(run.folder, run.seed) for run in plan] == [
        ("full-seed1", 1),
        ("full-seed2", 2),
        ("less-seed1", 1),
        ("less-seed2", 2),
    ]
    assert [stage.batch for stage in plan[0].config.stages] == [1, 1]
    assert [stage.steps for stage in plan[2].config.stages] == [2, 9]
    assert [run.config.losses.dense for run in plan] == [1, 1, 0, 0]
    assert all(run.config.workers == 0 for run in plan)
    assert [run.folder for run in plan_grid(grid_file(tmp_path, runs=runs))] == ["full", "less"]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"runs": []}, "runs"),
        ({"runs": [{"name": "a/b"}]}, "runs.0.name"),
        ({"runs": [{"name": "a"}, {"name": "a"}]}, "two runs are named 'a'"),
        ({"runs": [{"name": "x", "set": ["losses.okss=1"]}]}, "run 'x': .*did you mean 'oks'"),
        ({"runs": [{"name": "x", "set": ["stages.7.steps=1"]}]}, "run 'x': .*'7' is no index"),
        ({"runs": [{"name": "x", "set": ["steps"]}]}, "run 'x': .*write key=value"),
        ({"runs": [{"name": "x"}], "base": "nothing.yaml"}, "no configuration file"),
        ({"runs": [{"name": "x"}], "sed": [1]}, "no option 'sed'; did you mean 'seeds'"),
    ],
)
def test_what_is_wrong_is_named_with_its_run(tmp_path: Path, grid: dict, message: str) -> None:
    with pytest.raises(VepeError, match=message):
        plan_grid(grid_file(tmp_path, **grid))


@pytest.mark.parametrize("recipe", preset_names("recipes"))
def test_the_ablation_grid_fits_every_recipe(recipe: str) -> None:
    plan = {run.name: run.config for run in plan_grid("ablation", base=recipe)}
    assert len(plan) == 7

    def model(name: str) -> ModelConfig:
        data = plan[name].model
        if isinstance(data, str):
            return parse(ModelConfig, read_yaml(data), name)
        changes = {key: value for key, value in data.items() if key != "extends"}
        base = data.get("extends", "vepe-n")
        base = "vepe-n" if base == "init" else base
        settings = [
            f"{a}.{b}={value}" for a, inner in changes.items() for b, value in inner.items()
        ]
        return parse(ModelConfig, override(read_yaml(base), settings), name)

    assert model("full").temporal.pose_encoder
    assert not model("no-pose-encoder").temporal.pose_encoder
    assert not model("no-memory-encoder").temporal.memory_encoder
    assert not model("no-consistency").consistency.enabled
    assert {stage.denoising_groups for stage in plan["no-denoising"].stages} == {0}
    assert plan["no-dense-loss"].losses.dense == 0
    assert plan["full"].losses.dense > 0


def test_the_preset_names_a_recipe_that_is_there() -> None:
    assert plan_grid("ablation")[0].config.stages
