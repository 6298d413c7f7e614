"""`vepe benchmark`: a row for every combination, JSON, and options that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiny_models import moving_frames, tiny_weights_file, write_video
from vepe.cli import app as cli


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(write_video(tmp_path / "clip.mp4", moving_frames(8)))


def test_lists_give_all_combinations(tmp_path: Path, clip: str, capsys, monkeypatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr("vepe.inference.devices.keep_freed_memory", lambda: kept.append(True))
    weights, out = tiny_weights_file(tmp_path), tmp_path / "out.json"
    weights = weights.rename(tmp_path / "odd\x1b[2J.safetensors")
    options = ["--window", "1,3", "--batch", "1,2", "--frames", "8", "--clock", "cpu"]
    code = cli.run(["benchmark", clip, "--model", str(weights), *options, "--json", str(out)])
    printed = capsys.readouterr().out
    assert code == 0
    assert kept  # measured as `vepe track` runs
    assert "clip.mp4, 8 frames, 48 x 32" in printed
    assert "decode" in printed
    assert "\x1b" not in printed
    document = json.loads(out.read_text())
    rows = [(row["window"], row["batch"]) for row in document["setups"]]
    assert rows == [(1, 1), (1, 2), (3, 1), (3, 2)]
    assert document["setups"][0]["ratio"] == 1.0
    assert document["clock"] == "cpu"
    assert document["peak_memory_mb"] > 10
    assert set(document["video_ms"]) == {"decode", "draw", "encode"}
    assert document["machine"]["processor"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch", "0"], "whole numbers from 1"),
        (["--people", "few"], "whole numbers from 1"),
        (["--batch", "\u00b2"], "whole numbers from 1"),
        (["--batch", "1000000000"], "to 99999"),
        (["--backend", "tf"], "There is no backend 'tf'"),
        (["--frames", "2"], "frames"),
    ],
)
def test_impossible_options_are_one_sentence(
    clip: str, options: list[str], message: str, capsys
) -> None:
    assert cli.run(["benchmark", clip, *options]) == 2
    assert message in capsys.readouterr().err


def test_times_never_replace_the_video_or_the_model(tmp_path: Path, clip: str, capsys) -> None:
    weights = tmp_path / "own.onnx"
    weights.write_bytes(b"a model")
    for path in (Path(clip), weights):
        before = path.read_bytes()
        options = ["--model", str(weights), "--frames", "8", "--json", str(path)]
        assert cli.run(["benchmark", clip, *options]) == 2
        assert f"would replace '{path}' itself" in capsys.readouterr().err
        assert path.read_bytes() == before
