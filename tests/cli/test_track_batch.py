"""`vepe track` with many videos: what is done, skipped, reported, and continued."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tiny_models import moving_frames, write_video
from vepe import __version__
from vepe.cli import app as cli
from vepe.inference import pipeline
from vepe.skeleton import POSETRACK15

SOURCE = Path(cli.__file__).parents[2]
CLIP_FRAMES = 4


def videos(place: Path, folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(place / "clip.mp4", folder / name)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def info_of(path: Path) -> dict:
    return json.loads(path.read_text())["info"]


def test_thirty_videos_one_broken_one_done(track, place: Path, tmp_path: Path, capsys) -> None:
    clips = videos(place, tmp_path / "clips", *(f"v{i}.mp4" for i in range(30)))
    (clips / "v7.mp4").write_bytes(b"no video at all")
    assert track(clips / "v3.mp4", "--no-video") == 0
    before = (tmp_path / "out" / "v3.json").stat().st_mtime_ns
    capsys.readouterr()
    assert track(clips, "--no-video", "--resume") == 3
    captured = capsys.readouterr()
    assert "28 of 30 videos tracked, 1 skipped, since they were done, 1 failed" in captured.out
    failed, last = captured.err.splitlines()
    assert failed.startswith(f"vepe: Failed: '{clips / 'v7.mp4'}' is not a video")
    assert last.startswith("vepe: 1 of 30 videos failed or lack a part; repeat the command with")
    assert names(tmp_path / "out") == sorted(f"v{i}.json" for i in range(30) if i != 7)
    assert (tmp_path / "out" / "v3.json").stat().st_mtime_ns == before


def test_the_info_block(track, place: Path, tmp_path: Path) -> None:
    clips = videos(place, tmp_path / "clips", "a.mp4")
    assert track(clips / "a.mp4", "--conf", 0.3, "--format", "csv") == 0
    info = info_of(tmp_path / "out" / "a.json")
    assert Path(info["source"]["path"]) == clips / "a.mp4"
    assert info["source"]["name"] == "a.mp4"
    assert (info["source"]["fps"], info["source"]["width"]) == (25.0, 48)
    assert info["source"]["bytes"] == (clips / "a.mp4").stat().st_size
    assert info["model"]["name"] == str(place / "tiny.safetensors")
    assert len(info["model"]["sha256"]) == 64
    assert (info["vepe"], info["complete"]) == (__version__, True)
    assert (info["options"]["conf"], info["options"]["window"]) == (0.3, None)
    assert info["skeleton"]["keypoints"] == list(POSETRACK15.keypoints)
    sizes = {name: (tmp_path / "out" / name).stat().st_size for name in info["files"]}
    assert sizes == info["files"]
    assert set(sizes) == {"a.mp4", "a.csv"}


@pytest.mark.parametrize(
    ("change", "skipped"),
    [
        ("nothing", True),
        ("another option", False),
        ("a flip test", False),
        ("another model", False),
        ("a new video", False),
        ("the drawn video is gone", False),
        ("half a drawn video", False),
        ("stopped early", False),
        ("one more format", False),
    ],
)
def test_resume_skips_only_the_same_complete_result(
    change: str, skipped: bool, track, place: Path, tmp_path: Path, capsys
) -> None:
    clips = videos(place, tmp_path / "clips", "a.mp4")
    out, options = tmp_path / "out", ["--resume"]
    assert track(clips / "a.mp4") == 0
    if change == "another option":
        options += ["--conf", "0.3"]
    if change == "a flip test":
        options += ["--flip"]
    if change == "another model":
        document = json.loads((out / "a.json").read_text())
        document["info"]["key"] = "0" * 32
        (out / "a.json").write_text(json.dumps(document))
    if change == "a new video":
        os.utime(clips / "a.mp4", (1, 1))
    if change == "the drawn video is gone":
        (out / "a.mp4").unlink()
    if change == "half a drawn video":
        (out / "a.mp4").write_bytes((out / "a.mp4").read_bytes()[:100])
    if change == "stopped early":
        text = (out / "a.json").read_text().replace('"complete": true', '"complete": false')
        (out / "a.json").write_text(text)
    if change == "one more format":
        options += ["--format", "csv"]
    capsys.readouterr()
    different = change in ("another option", "a flip test", "another model", "a new video")
    assert track(clips / "a.mp4", *options) == (2 if different else 0)
    captured = capsys.readouterr()
    assert ("is done already" in captured.out) == skipped
    assert ("is of another model, other options, another video" in captured.err) == different
    if different:
        assert track(clips / "a.mp4", *options, "--overwrite") == 0
    assert track(clips / "a.mp4", *options) == 0
    assert "is done already" in capsys.readouterr().out


def test_existing_results_stop_a_batch_before_the_work(track, place: Path, tmp_path, capsys):
    clips = videos(place, tmp_path / "clips", "a.mp4", "b.mp4")
    assert track(clips / "b.mp4", "--no-video") == 0
    assert track(clips, "--no-video") == 2
    assert "b.json' already exists; add --overwrite to replace it, --resume" in (
        capsys.readouterr().err
    )
    assert names(tmp_path / "out") == ["b.json"]


def test_names_that_clash(track, place: Path, tmp_path: Path, capsys) -> None:
    videos(place, tmp_path / "one", "a.mp4")
    videos(place, tmp_path / "two", "a.mp4")
    assert track(tmp_path / "one", tmp_path / "two") == 0
    assert names(tmp_path / "out") == ["one_a.json", "one_a.mp4", "two_a.json", "two_a.mp4"]
    videos(place, tmp_path / "out", "b.mp4")
    videos(place, tmp_path / "one", "b.mov")
    assert track(tmp_path / "one" / "b.mov", tmp_path / "out" / "b.mp4", "--overwrite") == 0
    assert "b_mov.json" in names(tmp_path / "out")
    videos(place, tmp_path / "three", "b.mov")
    assert track(tmp_path / "three", tmp_path / "out", "--overwrite", "--format", "csv") == 2
    assert "would replace" in capsys.readouterr().err


def test_an_error_of_ours_costs_one_video(track, place: Path, tmp_path, monkeypatch, capsys):
    clips = videos(place, tmp_path / "clips", "a.mp4", "b.mp4", "c.mp4")
    real, calls = pipeline.write_results, []

    def second_fails(*arguments: object):
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError("ours")
        return real(*arguments)

    monkeypatch.setattr(pipeline, "write_results", second_fails)
    assert track(clips, "--no-video") == 3
    assert "unexpected error (ZeroDivisionError: ours)" in capsys.readouterr().err
    assert names(tmp_path / "out") == ["a.json", "c.json"]


def test_a_full_disk_ends_the_batch(track, place: Path, tmp_path, monkeypatch, capsys) -> None:
    clips = videos(place, tmp_path / "clips", "a.mp4", "b.mp4")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pipeline, "write_results", full)
    assert track(clips, "--no-video") == 2
    assert capsys.readouterr().err == (
        "vepe: The disk is full; free some space or choose another output folder.\n"
    )


def test_quiet_prints_only_what_went_wrong(track, place: Path, tmp_path: Path, capsys) -> None:
    clips = videos(place, tmp_path / "clips", "a.mp4", "b.mp4")
    assert track(clips, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert track(clips, tmp_path / "missing.mp4", "-q", "--resume") == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Failed: There is no file or folder" in captured.err


def test_a_video_on_stdin(track, place: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    pipe = SimpleNamespace(
        buffer=io.BytesIO((place / "clip.mp4").read_bytes()), isatty=lambda: False
    )
    monkeypatch.setattr(sys, "stdin", pipe)
    assert track("-", "--smooth", "offline") == 0
    document = json.loads((tmp_path / "out" / "stdin.json").read_text())
    assert document["images"][0]["file_name"] == "stdin/000000.jpg"
    assert document["info"]["source"]["path"] is None
    assert track("-", "--overwrite") == 2
    assert "stdin is empty (0 bytes)" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl-c"])
def test_resumed_equals_uninterrupted(number: int, place: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for i, count in enumerate((5, 120, 6)):
        noise = [moving_frames(1, 64, 48, seed=100 * i + t)[0] for t in range(count)]
        write_video(clips / f"v{i}.mp4", noise)
    model, environment = place / "tiny.safetensors", {**os.environ, "PYTHONPATH": str(SOURCE)}
    environment["OMP_NUM_THREADS"] = "1"

    def command(out: str) -> list[str]:
        words = [sys.executable, "-m", "vepe", "track", clips, "-o", tmp_path / out, "--resume"]
        return [str(word) for word in [*words, "--model", model, "--format", "csv"]]

    process = subprocess.Popen(
        command("broken"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if list((tmp_path / "broken").glob(".v1.mp4*")):  # the second video has begun
            break
        time.sleep(0.005)
    process.send_signal(number)
    assert process.wait() == (130 if number == signal.SIGINT else -number)
    assert "v2.json" not in names(tmp_path / "broken")
    for out in ("broken", "whole"):
        subprocess.run(command(out), env=environment, check=True, capture_output=True)
    assert names(tmp_path / "broken") == names(tmp_path / "whole")
    for name in names(tmp_path / "whole"):
        pair = [(tmp_path / out / name).read_bytes() for out in ("broken", "whole")]
        assert pair[0] == pair[1], name
