"""`vepe models`: every preset with its cost, and what weights say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_models import TINY, tiny_model
from vepe.cli import app as cli
from vepe.config.load import preset_names
from vepe.inference import weights as checkpoint
from vepe.inference.weights import save_weights


@pytest.fixture(autouse=True)
def wide(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.slow
def test_all_presets(capsys) -> None:
    assert cli.run(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(preset_names())]] == preset_names()
    small = next(line for line in lines if line.startswith("vepe-n"))
    for part in ("mobilenetv2_pose_175", "448x256", " M "):
        assert part in small


def test_what_weights_say(tmp_path: Path, monkeypatch, capsys) -> None:
    training = {"data": ["LSP", "COCO"], "recipe": "two hours on two cores [sic]"}
    save_weights(tmp_path / "vepe-n.safetensors", tiny_model(), TINY, training)
    monkeypatch.setattr(checkpoint.resources, "files", lambda _: tmp_path)
    assert cli.run(["models", str(tmp_path / "vepe-n.safetensors")]) == 0
    told = capsys.readouterr().out
    assert "data: LSP, COCO" in told
    assert "recipe: two hours on two cores [sic]" in told
    assert "mobilenetv2_035" in told
    assert " MB" in told


def test_presets_without_weights(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("vepe.inference.weights.bundled_weights", lambda _: None)
    assert cli.run(["models", "vepe-n"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("none")


def test_unknown_names(capsys) -> None:
    assert cli.run(["models", "vepe-q"]) == 2
    assert "There is no preset 'vepe-q'; did you mean" in capsys.readouterr().err
