"""`vepe train` and `vepe train report`, on a network that trains in seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tiny_recipes import TINY
from vepe.cli import app as cli
from vepe.cli.app import run
from vepe.errors import VepeError


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)


def test_a_run_from_end_to_end(recipe: str, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "run"
    one_stage = f"stages={json.dumps(TINY['stages'][:1])}"
    options = ["-o", str(folder), "--set", "seed=4", "--set", one_stage]
    assert run(["train", recipe, *options, "--data-root", "it's here"]) == 0
    assert f"Weights: {folder / 'weights.safetensors'}" in capsys.readouterr().out
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "log.jsonl", "tensorboard", "last.pt", "weights.safetensors", "recipe.yaml",
        "environment.json", "index.html", "worst", "images",
    }  # fmt: skip
    assert [p.name for p in (folder / "images").iterdir()] == ["0000001_batch.jpg"]
    lines = [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["run_step"] for line in lines if "loss" in line][-1] == 1
    saved = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert (saved["seed"], saved["data_root"]) == (4, "it's here")
    # The saved recipe can be trained and resumed; a run is not overwritten by accident.
    capsys.readouterr()
    again = ["train", str(folder / "recipe.yaml"), "-o", str(folder), "--resume", "--quiet"]
    assert run(again) == 0
    assert capsys.readouterr() == ("", "")
    assert (folder / "log.jsonl").read_text().count('"loss"') == len(lines)
    capsys.readouterr()
    assert run(["train", recipe, *options]) == 2
    assert "already holds a run" in capsys.readouterr().err
    (folder / "index.html").unlink()
    assert run(["train", "report", str(folder)]) == 0
    assert "Worst clips" in (folder / "index.html").read_text()


@pytest.mark.parametrize("own", [None, "ACTIVE"])
def test_threads_sleep_while_they_wait(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "VEPE_SPIN")
    environ = {key: value for key, value in os.environ.items() if key not in names}
    monkeypatch.setattr(os, "environ", environ | ({"OMP_WAIT_POLICY": own} if own else {}))
    seen: list[str] = []

    def load(name: str) -> None:  # PyTorch is loaded from here on
        seen.append(os.environ["OMP_WAIT_POLICY"])
        raise VepeError("Not in this test.")

    monkeypatch.setattr("vepe.cli.train.import_module", load)
    assert run(["train", recipe, "-o", str(tmp_path / "run")]) == 2
    assert seen == [own or "PASSIVE"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name a recipe"),
        (["nothing"], "no preset 'nothing'"),
        (["nothing.yaml"], "no configuration file"),
        (["RECIPE", "--set", "sead=1"], "did you mean 'seed'"),
        (["RECIPE", "--set", "stages.5.steps=1"], "no index into a list of 2"),
        (["RECIPE", "--set", "model.windw=3"], "model: there is no option 'windw'"),
        (["finetune", "--set", "model.windw=3"], "model: there is no option 'windw'"),
        (["vepe-r50-posetrack"], "the recipe before this one; first run: vepe train vepe-r50-coco"),
        (["--grid", "ablation"], "the recipe before this one; first run: vepe train vepe-r50-coco"),
        (["vepe-r50-coco", "--set", "clips_per_step=5"], "set stages.0.batch=1"),
        (["RECIPE", "--log", "visdom"], "visdom"),
        (["RECIPE", "--resume"], "no checkpoint"),
        (["--grid", "nothing"], "no preset 'nothing'"),
        (["RECIPE", "--grid", "ablation", "--set", "sead=1"], "run 'full': there is no option"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, recipe: str, tmp_path: Path, capsys
) -> None:
    arguments = [recipe if a == "RECIPE" else a for a in arguments]
    assert run(["train", *arguments, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_wrong_options_do_not_load_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from vepe.cli.app import run; "
        "run(['train', 'vepe-n', '--set', 'model.windw=3']); print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "there is no option 'windw'" in result.stderr
    assert result.stdout == "False\n"


def test_missing_package_is_named(recipe: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert run(["train", recipe, "-o", str(tmp_path / "out"), "--log", "wandb"]) == 2
    assert "pip install '.[wandb]'" in capsys.readouterr().err


def test_grid_with_a_run_that_fails(recipe: str, tmp_path: Path, capsys) -> None:
    grid = tmp_path / "grid.yaml"
    runs = [{"name": "bad", "set": ["stages.-1.freeze=[neck]"]}, {"name": "good"}]
    stages = f"stages={json.dumps(TINY['stages'][:1])}"
    options = [stages, "stages.0.steps=1", "image_every_steps=0"]
    grid.write_text(yaml.safe_dump({"base": "tiny.yaml", "set": options, "runs": runs}))
    output = tmp_path / "grid"
    assert run(["train", "--grid", str(grid), "-o", str(output)]) == 3
    assert "1/2 bad: failed (Stage 'frames' freezes 'neck'" in capsys.readouterr().out
    table = (output / "table.md").read_text()
    assert "| good |" in table
    assert "- bad: Stage 'frames'" in table
    assert (output / "good" / "weights.safetensors").is_file()


def test_report_of_no_run(tmp_path: Path, capsys) -> None:
    assert run(["train", "report", str(tmp_path)]) == 2
    assert "give the output folder of a run" in capsys.readouterr().err
