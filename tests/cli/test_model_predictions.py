"""Which settings `vepe evaluate --model` uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vepe.cli import evaluate
from vepe.cli.app import run
from vepe.cli.model_predictions import ModelRun


@pytest.mark.parametrize(("conf", "used"), [(None, 0.05), (0.0, 0.0), (0.4, 0.4)])
def test_settings_reach_the_model(conf, used, monkeypatch: pytest.MonkeyPatch) -> None:
    from vepe.inference import predictor

    seen: dict[str, Any] = {}
    monkeypatch.setattr(predictor, "load", lambda name, **options: seen.update(options))
    ModelRun("any", "cpu", conf, input_px=320, window=1).load(0.05)
    assert seen == {"device": "cpu", "conf": used, "input_px": 320, "window": 1}


@pytest.mark.parametrize("command", ["posetrack", "coco", "crowdpose"])
def test_settings_without_a_model_are_refused(command: str, tmp_path: Path, capsys) -> None:
    words = ["evaluate", command, "--gt", str(tmp_path), "--pred", str(tmp_path), "--conf", "0"]
    assert run(words) == 2
    assert "settings of --model" in capsys.readouterr().err


def test_crowdpose_takes_a_model(tmp_path: Path, capsys) -> None:
    assert run(["evaluate", "crowdpose", "--gt", str(tmp_path / "a.json"), "--model", "x"]) == 2
    assert "--model needs --images" in capsys.readouterr().err


def test_a_report_without_matplotlib_is_refused_at_once(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(evaluate, "find_spec", lambda name: None)
    words = ["--gt", tmp_path / "none", "--pred", tmp_path, "--report", tmp_path / "r"]
    assert run(["evaluate", "posetrack", *map(str, words)]) == 2
    assert "needs matplotlib" in capsys.readouterr().err
