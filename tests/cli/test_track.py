"""`vepe track` as a user runs it: results, errors in one line, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tiny_models import TINY, moving_frames, tiny_model, write_video
from vepe.cli import app as cli
from vepe.errors import VepeWarning
from vepe.inference.model_files import bundled_weights
from vepe.inference.weights import save_weights

SOURCE = Path(cli.__file__).parents[2]
DEMO = Path(__file__).parents[2] / "assets" / "store_aisle.mp4"
CLIP_FRAMES = 12


def frame_count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_drawing_options_decide_the_video_alone(track, place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert track(place / "clip.mp4") == 0
    before = json.loads((out / "clip.json").read_text())
    assert track(place / "clip.mp4", "--overwrite", "--side-by-side", "--trail", 1) == 0
    after = json.loads((out / "clip.json").read_text())
    assert before["annotations"] == after["annotations"]
    assert after["info"]["options"]["drawing"] == {"side_by_side": True, "trail_s": 1.0}
    with av.open(str(out / "clip.mp4")) as container:
        assert container.streams.video[0].width == 2 * before["images"][0]["width"]
    assert track(place / "clip.mp4", "--hide", "heads") == 2


def test_video_and_json(track, place: Path, tmp_path: Path, capsys) -> None:
    assert track(place / "clip.mp4") == 0
    assert names(tmp_path / "out") == ["clip.json", "clip.mp4"]
    assert frame_count(tmp_path / "out" / "clip.mp4") == 12
    document = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert len(document["images"]) == 12
    assert document["images"][3]["time_s"] == pytest.approx(0.12)
    assert document["categories"][0]["keypoints"][0] == "nose"
    person = document["annotations"][0]
    assert len(person["keypoints"]) == 51
    assert len(person["scores"]) == 17
    assert person["track_id"] >= 1
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    assert captured.out.startswith("12 frames, ")
    for part in ("people per frame", " ids, ", "frames/s", "clip.mp4", "clip.json"):
        assert part in captured.out


def test_options(track, place: Path, tmp_path: Path) -> None:
    options = "--no-video --format csv --format mot --format coco --window 2 --lookahead 1"
    assert track(place / "clip.mp4", *options.split(), "--stride", 2, "--start", 0.1) == 0
    assert names(tmp_path / "out") == ["clip.coco.json", "clip.csv", "clip.json", "clip.mot.txt"]
    document = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert [i["frame_id"] for i in document["images"]] == [4, 6, 8, 10]


def test_input_px_is_the_old_name_of_imgsz(track, place: Path, tmp_path: Path) -> None:
    with pytest.warns(VepeWarning, match="--input-px is now called --imgsz"):
        assert track(place / "clip.mp4", "--input-px", 32, "--no-video") == 0
    old = (tmp_path / "out" / "clip.json").read_bytes()
    assert track(place / "clip.mp4", "--imgsz", 32, "--no-video", "--overwrite") == 0
    assert (tmp_path / "out" / "clip.json").read_bytes() == old


@pytest.mark.parametrize("smooth", ["off", "causal", "offline"])
def test_smoothing(smooth: str, track, place: Path, tmp_path: Path) -> None:
    assert track(place / "clip.mp4", "--smooth", smooth, "--end", 0.3) == 0
    assert frame_count(tmp_path / "out" / "clip.mp4") == 8
    document = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert [i["frame_id"] for i in document["images"]] == list(range(8))


def test_overwrite(track, place: Path, tmp_path: Path, capsys) -> None:
    assert track(place / "clip.mp4", "--end", 0.1) == 0
    before = (tmp_path / "out" / "clip.json").read_bytes()
    assert track(place / "clip.mp4") == 2
    assert "clip.mp4' already exists; add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "clip.json").read_bytes() == before
    assert track(place / "clip.mp4", "--overwrite") == 0
    assert (tmp_path / "out" / "clip.json").read_bytes() != before


def test_older_results_in_other_formats_are_named(track, place: Path, tmp_path, capsys) -> None:
    assert track(place / "clip.mp4", "--end", 0.1, "--format", "csv") == 0
    assert "earlier run" not in capsys.readouterr().err
    assert track(place / "clip.mp4", "--end", 0.1, "--overwrite", "--no-video") == 0
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "earlier run" in x]
    assert "clip.mp4', '" in line
    assert "clip.csv' are of an earlier run and may differ from these results; remove them" in line


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
@pytest.mark.parametrize("format", ["posetrack", "csv", "mot", "openpose", "coco"])
def test_name_that_is_not_utf8_is_refused_before_the_work(
    format: str, track, place: Path, tmp_path: Path, capsys
) -> None:
    source = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.mp4"))
    source.write_bytes((place / "clip.mp4").read_bytes())
    assert track(source, "--format", format) == 2
    assert "caf\\udce9' is not UTF-8; rename the file." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_frames(track, tmp_path: Path) -> None:
    folder = tmp_path / "my frames.v1"
    folder.mkdir()
    for t, image in enumerate(moving_frames(11)):
        Image.fromarray(image).save(folder / f"f{t}.png")  # f10 comes after f9, not after f1
    assert track(folder) == 0
    document = json.loads((tmp_path / "out" / "my frames.v1.json").read_text())
    assert [i["file_name"] for i in document["images"]] == [
        f"my frames.v1/f{t}.png" for t in range(11)
    ]
    assert frame_count(tmp_path / "out" / "my frames.v1.mp4") == 11
    assert track(folder, "--fps", 10, "--overwrite", "--no-video") == 0
    document = json.loads((tmp_path / "out" / "my frames.v1.json").read_text())
    assert [i["time_s"] for i in document["images"]] == pytest.approx(np.arange(11) / 10)


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (47, 33), (31, 64)])
def test_odd_sizes_and_one_frame(size, track, tmp_path: Path, capsys) -> None:
    (tmp_path / "one").mkdir()
    image = tmp_path / "one" / "0.png"
    Image.fromarray(np.full((size[1], size[0], 3), 99, np.uint8)).save(image)
    assert track(tmp_path / "one") == 0
    assert capsys.readouterr().out.startswith("1 frame, ")
    assert frame_count(tmp_path / "out" / "one.mp4") == 1
    (image,) = json.loads((tmp_path / "out" / "one.json").read_text())["images"]
    assert (image["width"], image["height"]) == size
    assert image["file_name"] == "one/0.png"


def test_no_people(track, place: Path, tmp_path: Path, capsys) -> None:
    assert track(place / "clip.mp4", "--conf", 1) == 0
    document = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert len(document["images"]) == 12
    assert document["annotations"] == []
    assert frame_count(tmp_path / "out" / "clip.mp4") == 12
    assert capsys.readouterr().err == (
        "vepe: Nobody was detected; try --conf 0.5, or a larger --imgsz.\n"
    )


def test_variable_frame_rate(track, tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.52, 1.7]
    write_video(tmp_path / "vfr.mp4", moving_frames(5), times)
    assert track(tmp_path / "vfr.mp4") == 0
    document = json.loads((tmp_path / "out" / "vfr.json").read_text())
    assert [i["time_s"] for i in document["images"]] == pytest.approx(times, abs=1e-4)
    with av.open(str(tmp_path / "out" / "vfr.mp4")) as container:
        written = [f.time for f in container.decode(video=0)]
    assert written == pytest.approx(times, abs=1e-4)


def test_a_truncated_video_is_tracked_as_far_as_it_goes(
    track, place: Path, tmp_path, capsys
) -> None:
    whole = write_video(tmp_path / "whole.mp4", moving_frames(60, 160, 128)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: int(0.6 * len(whole))])
    assert track(tmp_path / "cut.mp4") == 2
    done = len(json.loads((tmp_path / "out" / "cut.json").read_text())["images"])
    assert 0 < done < 60
    assert frame_count(tmp_path / "out" / "cut.mp4") == done
    captured = capsys.readouterr()
    assert "is damaged or cut off" in captured.err
    assert captured.err.count("\n") == 1


def bad_source(kind: str, folder: Path) -> Path:
    path = folder / "bad.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "text":
        path = folder / "bad.md"
        path.write_text("a letter")
    elif kind == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=16000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "mono")
            frame.sample_rate = 16000
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
    elif kind == "empty folder":
        path = folder / "bad"
        path.mkdir()
    elif kind == "mixed folder":
        path = folder / "bad"
        path.mkdir()
        for side in (8, 16):
            Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(path / f"{side}.png")
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "There is no file or folder"),
        ("empty", "is empty (0 bytes)"),
        ("noise", "is not a video"),
        ("text", "not a video"),
        ("sound", "has no video stream (only audio)"),
        ("empty folder", "holds no images"),
        ("mixed folder", "differ in size"),
    ],
)
def test_bad_sources(kind: str, says: str, track, tmp_path: Path, capsys) -> None:
    assert track(bad_source(kind, tmp_path)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vepe: ")
    assert captured.err.count("\n") == 1
    assert says in captured.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--model vepe-m", "There is no preset 'vepe-m'; did you mean 'vepe-s'? Known are vepe-n,"),
        ("--model vepe-r50", "There are no bundled weights for 'vepe-r50'; pass a weights file"),
        ("--model nosuch.safetensors", "There is no weights file 'nosuch.safetensors'"),
        ("--device gpu", "'gpu' is no device"),
        ("--conf 2", "conf is 2; give a score between 0 and 1"),
        ("--window 0", "The window is 0"),
        ("--lookahead 3", "has room for 0 to 2"),
        ("--imgsz 3", "The input size is 3 px"),
        ("--stride 0", "The stride is 0"),
        ("--start 9", "before the start at 9 s"),
        ("--start 0.3 --end 0.2", "is not after the start"),
        ("--fps 30", "The frame rate 30 is for folders of images"),
        ("--smooth much", "Invalid value for '--smooth'"),
        ("--format txt", "Invalid value for '--format': there is no format 'txt'; known are"),
        ("--format csv,cocoo", "there is no format 'cocoo'; did you mean 'coco'? Known are"),
        ("--start soon", "Invalid value for '--start'"),
    ],
)
def test_bad_options(options: str, says: str, track, place: Path, tmp_path: Path, capsys) -> None:
    assert track(place / "clip.mp4", *options.split()) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_broken_weights(track, place: Path, tmp_path: Path, capsys) -> None:
    data = (place / "tiny.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(data[: len(data) // 2])
    assert track(place / "clip.mp4", "--model", tmp_path / "half.safetensors") == 2
    assert "half.safetensors' is cut off" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_source_is_never_replaced(track, place: Path, tmp_path: Path, capsys) -> None:
    own = tmp_path / "out" / "clip.mp4"
    own.parent.mkdir()
    own.write_bytes((place / "clip.mp4").read_bytes())
    assert track(own, "--overwrite") == 2
    assert "would replace" in capsys.readouterr().err
    assert own.read_bytes() == (place / "clip.mp4").read_bytes()


@pytest.mark.parametrize("video", [True, False])
def test_an_output_folder_that_is_a_file(video, place: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("mine")
    words = ["track", place / "clip.mp4", "-o", tmp_path / "file", "--model"]
    words += ["none.safetensors", *([] if video else ["--no-video"])]
    assert cli.run([str(word) for word in words]) == 2
    captured = capsys.readouterr()
    assert f"'{tmp_path / 'file'}' is a file, not a folder; choose a folder" in captured.err
    assert captured.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_rights(track, place: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o500)
    assert track(place / "clip.mp4") == 2
    assert "out" in capsys.readouterr().err
    assert names(tmp_path / "out") == []


def test_a_model_with_another_skeleton(place: Path, tmp_path: Path) -> None:
    """A model with COCO's keypoints writes them under their own names."""
    config = TINY.model_validate({**TINY.model_dump(), "skeleton": "coco17"})
    path = save_weights(tmp_path / "coco.safetensors", tiny_model(config), config, {})
    words = ["track", place / "clip.mp4", "-o", tmp_path / "out", "--model", path]
    assert cli.run([str(word) for word in words]) == 0
    document = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert document["categories"][0]["keypoints"] == list(config.skeleton.keypoints)
    assert len(document["annotations"][0]["keypoints"]) == 51


def test_show_without_a_display(track, place: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    if sys.platform in ("win32", "darwin"):
        pytest.skip("there is always a display")
    monkeypatch.delenv("DISPLAY", raising=False)
    assert track(place / "clip.mp4", "--show") == 2
    captured = capsys.readouterr()
    assert "--show" in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
def test_closed_stderr(place: Path, tmp_path: Path) -> None:
    words = f"track {place / 'clip.mp4'} -o {tmp_path / 'out'} --model {place / 'tiny.safetensors'}"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = f"exec '{sys.executable}' -m vepe {words} 2>&-"
    result = subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout[:10]) == (0, "12 frames,")
    assert frame_count(tmp_path / "out" / "clip.mp4") == 12


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("options", [[], ["--smooth", "offline"]], ids=["plain", "offline"])
def test_ctrl_c_writes_finished_frames(options: list[str], place: Path, tmp_path: Path) -> None:
    # New noise in every frame: it compresses badly, so the first bytes (of 256 KB) come early.
    noise = [moving_frames(1, 128, 96, seed=t)[0] for t in range(600)]
    long = write_video(tmp_path / "long.mp4", noise)
    out = tmp_path / "out"
    words = ["-m", "vepe", "track", long, "-o", out, "--model", place / "tiny.safetensors"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *(str(word) for word in words), *options],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        # Once the encoder has written its first bytes, some frames are certainly finished.
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            if any(path.stat().st_size > 4096 for path in out.glob(".*.vepe-part")):
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert errors == "Stopping and writing what is finished. Ctrl-C again discards it.\n"
    assert "(stopped early)" in output
    assert names(out) == ["long.json", "long.mp4"]
    done = len(json.loads((out / "long.json").read_text())["images"])
    assert 0 < done < 600
    assert frame_count(out / "long.mp4") == done
    assert output.startswith(f"{done} frames")


@pytest.mark.skipif(bundled_weights("vepe-n") is None, reason="no weights are bundled yet")
def test_the_demo(tmp_path: Path) -> None:
    assert cli.run(["track", str(DEMO), "--output", str(tmp_path), "--overwrite"]) == 0
    document = json.loads((tmp_path / "store_aisle.json").read_text())
    people = np.bincount([a["image_id"] for a in document["annotations"]], minlength=67)
    assert len(document["images"]) == 67
    assert (people >= 2).mean() > 0.5
    assert frame_count(tmp_path / "store_aisle.mp4") == 67
