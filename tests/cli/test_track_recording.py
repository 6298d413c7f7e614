"""`vepe track --rerun`: a recording of the poses next to the other results."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tiny_models import moving_frames, tiny_weights_file, write_video
from vepe.cli.app import run


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    torch.set_num_threads(1)
    weights = tiny_weights_file(tmp_path)
    write_video(tmp_path / "clip.mp4", moving_frames(3))
    target = ["--rerun", str(tmp_path / "a.rrd")]
    common = ["-o", str(tmp_path / "out"), "--model", str(weights), "--no-video"]
    return ["track", str(tmp_path / "clip.mp4"), *common, *target]


def test_recording_holds_video_and_poses(words, tmp_path, monkeypatch, capsys) -> None:
    from vepe.formats import rerun, tracks

    written = []

    def write(path: Path, poses: object) -> Path:
        written.append((path, poses))
        return path

    monkeypatch.setattr(rerun, "write_rerun", write)
    monkeypatch.setattr(tracks, "check_package", lambda name: None)
    assert run(words) == 0
    ((path, poses),) = written
    assert path == tmp_path / "a.rrd"
    assert len(poses) == 3
    assert poses.video.path == tmp_path / "clip.mp4"
    assert f"Recording: {path}" in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", ["clip.mp4", "out/clip.json", "clip.rrd"])
def test_a_recording_replaces_nothing_else(words, tmp_path, capsys, name: str) -> None:
    (tmp_path / "clip.mp4").rename(tmp_path / "clip.rrd")  # a video may have any name
    (tmp_path / "clip.mp4").write_text("another")
    words = [word.replace("clip.mp4", "clip.rrd").replace("a.rrd", name) for word in words]
    before = (tmp_path / "clip.rrd").read_bytes()
    assert run([*words, "--overwrite"]) == 2
    problem = "itself" if name == "clip.rrd" else "must end in .rrd"
    assert problem in capsys.readouterr().err
    assert (tmp_path / "clip.rrd").read_bytes() == before
    assert (tmp_path / "clip.mp4").read_text() == "another"


@pytest.mark.skipif(find_spec("rerun") is not None, reason="rerun-sdk is installed")
def test_missing_package_is_said_before_the_work(words, tmp_path, capsys) -> None:
    assert run(words) == 2
    assert "'.[rerun]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_recording_is_for_one_video(words, tmp_path, capsys) -> None:
    write_video(tmp_path / "other.mp4", moving_frames(3))
    assert run([*words, str(tmp_path / "other.mp4")]) == 2
    assert "--rerun is for one source" in capsys.readouterr().err
    assert "rerun" not in sys.modules
