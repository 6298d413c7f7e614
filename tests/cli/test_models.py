"""`vepe models`: every preset with its cost, and the metadata of weights."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tiny_models import TINY, tiny_model
from vepe.cli import app as cli
from vepe.cli.models import model_cost
from vepe.config.load import parse, preset_names, read_yaml
from vepe.config.model import ModelConfig
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


def test_narrow_terminals_cut_the_backbone_alone(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    assert cli.run(["models", "vepe-n", "vepe-swin-l"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split()[-5:] == ["input", "parameters", "GFLOPs/frame", "window", "weights"]
    assert [line.split()[0] for line in lines] == ["vepe-n", "vepe-swin-l"]
    assert lines[1].split()[1].endswith("…")
    assert lines[1].rstrip().endswith("none")


def test_metadata_of_weights_is_printed(tmp_path: Path, monkeypatch, capsys) -> None:
    training = {"data": ["LSP", "COCO"], "recipe": "two hours on two cores [sic]"}
    save_weights(tmp_path / "vepe-n.safetensors", tiny_model(), TINY, training)
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    weights = str(tmp_path / "vepe-n.safetensors")
    assert cli.run(["models", weights]) == 0
    assert capsys.readouterr().out.count("\n") == 2
    assert cli.run(["models", weights, "--verbose"]) == 0
    printed = capsys.readouterr().out
    assert "  data:\n  - LSP\n  - COCO\n" in printed
    assert "recipe: two hours on two cores [sic]" in printed
    assert "mobilenetv2_035" in printed
    assert " MB" in printed


def test_presets_without_weights(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("vepe.inference.model_files.bundled_weights", lambda _: None)
    assert cli.run(["models", "vepe-n"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("none")


def test_unknown_names(capsys) -> None:
    assert cli.run(["models", "vepe-q"]) == 2
    assert "There is no preset 'vepe-q'; did you mean" in capsys.readouterr().err


def test_counted_cost_equals_a_real_run() -> None:
    model, cost = tiny_model(), model_cost(TINY)
    assert cost.input_wh == (64, 64)  # 64x36, padded
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert 0 < cost.backbone_parameters < cost.parameters
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.encode_frame(torch.zeros(1, 3, 64, 64))
    assert cost.flops == counter.get_total_flops()


def test_the_small_preset_stays_small() -> None:
    cost = model_cost(parse(ModelConfig, read_yaml("vepe-n"), "vepe-n"))
    assert cost.input_wh == (448, 256)
    assert 1e6 < cost.parameters < 12.5e6  # 25 MB in fp16
    assert 1e9 < cost.flops < 6e9
