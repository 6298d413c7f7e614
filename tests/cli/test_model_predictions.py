"""Which pictures, times and settings `vepe evaluate --model` uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vepe.cli import evaluate
from vepe.cli.app import run
from vepe.cli.model_predictions import ModelRun, frame_times_s, picture_paths
from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, Sequence
from vepe.skeleton import POSETRACK15


def sequence(frames: list[tuple[int, float | None]]) -> Sequence:
    made = [
        AnnotatedFrame(i, f"{i}.jpg", None, True, False, people=(), time_s=t) for i, t in frames
    ]
    return Sequence("s", tuple(made), POSETRACK15, Path("s.json"), "posetrack18")


@pytest.mark.parametrize(
    ("frames", "times_s"),
    [
        ([(0, 0.0), (1, 0.5), (2, 0.6)], [0.0, 0.5, 0.6]),
        ([(0, None), (4, None), (5, None)], [0.0, 0.16, 0.2]),
        ([(0, 0.0), (4, None)], [0.0, 0.16]),
        ([(0, 0.0), (4, 0.0)], [0.0, 0.16]),
        ([(3, None), (3, None)], [0.0, 0.04]),
        ([], []),
    ],
)
def test_times_are_the_files_own_where_it_has_them(frames, times_s) -> None:
    assert frame_times_s(sequence(frames)) == pytest.approx(times_s)


def test_a_picture_is_never_taken_for_another(tmp_path: Path) -> None:
    """Every PoseTrack video has a 000000.jpg."""
    (tmp_path / "000000.jpg").write_bytes(b"")
    with pytest.raises(VepeError, match=r"a/000000\.jpg does not exist"):
        picture_paths(tmp_path, ["a/000000.jpg"])
    assert picture_paths(tmp_path, ["a/000000.jpg"], flat=True) == [tmp_path / "000000.jpg"]
    with pytest.raises(VepeError, match=r"a/000000\.jpg does not exist"):
        picture_paths(tmp_path, ["a/000000.jpg", "b/000000.jpg"], flat=True)
    assert picture_paths(tmp_path, [], flat=True) == []


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
