"""`vepe export`: options that cannot be are one sentence, before torch is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from vepe.cli import app as cli


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "tensorrt"], "is experimental, and VEPE writes no such file itself"),
        (["--format", "coreml"], "ONNX Runtime's Core ML provider"),
        (["--int8", "--half"], "--int8 goes with --format onnx and without --half"),
        (["--int8", "--format", "openvino"], "--int8 goes with --format onnx"),
        (["--format", "openvino", "-o", "model.onnx"], "does not end in .xml"),
        (["--imgsz", "448"], "'448' is no input size"),
    ],
)
def test_impossible_options_are_one_sentence(
    options: list[str], message: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["export", "vepe-n", *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_int8_without_a_video_outside_of_a_clone(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("vepe.cli.export._CLIP", tmp_path / "none.mp4")
    monkeypatch.chdir(tmp_path)
    assert cli.run(["export", "vepe-n", "--int8"]) == 2
    assert "give a --video of people" in capsys.readouterr().err
