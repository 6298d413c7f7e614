"""`vepe predict`: COCO results of single images, drawings, and errors in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tiny_models import moving_frames, tiny_weights_file
from vepe.cli import app as cli
from vepe.errors import VepeError
from vepe.inference.predictor import load
from vepe.skeleton import POSETRACK15
from vepe.video import images

command = import_module("vepe.cli.predict")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_weights_file(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder with three images of different sizes."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    for name, width in (("a.jpg", 48), ("b10.png", 31), ("b9.png", 90)):
        (image,) = moving_frames(1, width=width)
        Image.fromarray(image).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def predict(weights: Path, tmp_path: Path) -> Callable[..., int]:
    def call(*words: object) -> int:
        options = ["--model", weights, "-o", tmp_path / "poses.json"]
        return cli.run([str(word) for word in ["predict", *options, *words]])

    return call


def result(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "poses.json").read_text())


def test_results(predict, inputs: Path, weights: Path, tmp_path: Path, capsys) -> None:
    assert predict(inputs, "--conf", 0.01) == 0
    document = result(tmp_path)
    assert document["categories"][0]["keypoints"] == list(POSETRACK15.keypoints)
    entries = document["images"]
    assert [i["file_name"] for i in entries] == ["a.jpg", "b9.png", "b10.png"]
    assert [(i["width"], i["height"]) for i in entries] == [(48, 32), (90, 32), (31, 32)]
    assert len({i["id"] for i in entries}) == 3
    poses = load(weights, device="cpu", conf=0.01).predict(inputs / "b9.png")
    mine = [a for a in document["annotations"] if a["image_id"] == entries[1]["id"]]
    assert len(mine) == len(poses) == 5
    for person, points, confidence, score in zip(
        mine, poses.keypoints_px, poses.keypoint_scores, poses.scores, strict=True
    ):
        expected = np.concatenate([points, confidence[:, None]], axis=1)
        written = np.reshape(person["keypoints"], (15, 3))
        np.testing.assert_allclose(written, expected, atol=1e-3)
        assert person["score"] == pytest.approx(float(score), abs=1e-5)
        assert person["category_id"] == document["categories"][0]["id"]
    captured = capsys.readouterr()
    assert captured.out.startswith("3 images, 15 people: ")
    assert captured.err == ""


def test_an_image_gives_the_same_result_alone(predict, inputs: Path, tmp_path: Path) -> None:
    """Results do not depend on the other inputs."""
    predict(inputs, "--conf", 0)
    in_batch = [a["keypoints"] for a in result(tmp_path)["annotations"] if a["image_id"] == 3]
    predict(inputs / "b10.png", "--conf", 0, "--overwrite")
    assert [a["keypoints"] for a in result(tmp_path)["annotations"]] == in_batch


def test_flip(predict, inputs: Path, tmp_path: Path) -> None:
    assert predict(inputs, "--conf", 0.0) == 0
    once = result(tmp_path)["annotations"]
    assert predict(inputs, "--conf", 0.0, "--flip", "--overwrite") == 0
    merged = result(tmp_path)["annotations"]
    assert len(merged) >= len(once)
    assert [p["score"] for p in merged] != [p["score"] for p in once]


def test_drawings(predict, inputs: Path, tmp_path: Path) -> None:
    assert predict(inputs, "--draw", tmp_path / "drawn") == 0
    drawn = {p.name: Image.open(p) for p in (tmp_path / "drawn").iterdir()}
    assert {n: (i.format, i.size) for n, i in drawn.items()} == {
        "a.jpg": ("JPEG", (48, 32)),
        "b9.png": ("PNG", (90, 32)),
        "b10.png": ("PNG", (31, 32)),
    }
    before = np.asarray(Image.open(inputs / "b9.png"))
    assert (np.asarray(drawn["b9.png"]) != before).any()
    predict(inputs, "--draw", tmp_path / "empty", "--conf", 1, "--overwrite")
    assert (np.asarray(Image.open(tmp_path / "empty" / "b9.png")) == before).all()


def test_names_that_two_images_share(predict, inputs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(moving_frames(1)[0]).save(other / "a.jpg")
    assert predict(inputs / "a.jpg", other / "a.jpg", inputs / "b9.png", other / "a.jpg") == 0
    assert [i["file_name"] for i in result(tmp_path)["images"]] == [
        (inputs / "a.jpg").as_posix(), (other / "a.jpg").as_posix(), "b9.png",
    ]  # fmt: skip


def test_no_people(predict, inputs: Path, tmp_path: Path) -> None:
    assert predict(inputs, "--conf", 1) == 0
    document = result(tmp_path)
    assert len(document["images"]) == 3
    assert document["annotations"] == []


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (33, 31)])
def test_odd_sizes(size, predict, tmp_path: Path) -> None:
    Image.fromarray(np.full((*size, 3), 80, np.uint8)).save(tmp_path / "odd.png")
    assert predict(tmp_path / "odd.png", "--conf", 0) == 0
    assert len(result(tmp_path)["annotations"]) == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{tmp}/nosuch.jpg"], "There is no file or folder"),
        (["{tmp}/empty"], "holds no images"),
        (["{tmp}/zero.jpg"], "is empty (0 bytes)"),
        (["{tmp}/inputs", "{tmp}/inputs/notes.txt"], "is not an image"),
        (["{tmp}/cut.jpg"], "is damaged or cut off"),
        (["{tmp}/inputs", "-o", "{tmp}/empty"], "is a folder; name a file"),
        (["{tmp}/inputs", "-o", "{tmp}/zero.jpg/x.json"], "is a file, not a folder"),
        (["{tmp}/inputs", "--draw", "{tmp}/zero.jpg"], "is a file, not a folder"),
        (["{tmp}/inputs", "--draw", "{tmp}/inputs"], "would replace"),
        (["{tmp}/inputs", "--draw", "{tmp}/inputs", "--overwrite"], "itself; name another"),
        (["{tmp}/inputs", "-o", "{tmp}/inputs/a.jpg"], "would replace"),
        (["{tmp}/inputs/a.jpg", "-o", "{tmp}/inputs/a.jpg", "--overwrite"], "itself; name"),
        (["{tmp}/inputs", "-o", "{tmp}/inputs/notes.txt"], "add --overwrite"),
        (["{tmp}/inputs", "--draw", "{tmp}/old"], "add --overwrite"),
        (["{tmp}/inputs", "--draw", "{tmp}/d", "-o", "{tmp}/d/a.jpg"], "is the file of a drawing"),
        (["{tmp}/inputs", "-o", "{tmp}/p.csv"], "writes JSON, not '.csv'; name a file such as"),
        (["{tmp}/phone.jpg"], "is a HEIC image, which VEPE does not read; convert it to JPEG"),
        (["{tmp}/phone"], "holds HEIC images"),
        (["{tmp}/inputs", "--model", "vepe-x"], "There is no preset 'vepe-x'"),
        (["{tmp}/inputs", "--conf", "-1"], "conf is -1"),
        ([], "Missing argument"),
    ],
)
def test_errors(words, says, predict, inputs: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.jpg").write_bytes(b"")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "b9.png").write_bytes(b"mine")
    (tmp_path / "phone").mkdir()
    for place in ("phone.jpg", "phone/1.HEIC"):
        (tmp_path / place).write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    assert predict(*(word.format(tmp=tmp_path) for word in words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before


def cut_off(path: Path) -> Path:
    """An image whose end is missing."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_a_damaged_image_is_skipped_and_named(predict, inputs, tmp_path, capsys) -> None:
    bad = cut_off(inputs / "a2.jpg")
    assert predict(inputs, "--draw", tmp_path / "drawn") == 2
    assert [i["file_name"] for i in result(tmp_path)["images"]] == ["a.jpg", "b9.png", "b10.png"]
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == ["a.jpg", "b10.png", "b9.png"]
    captured = capsys.readouterr()
    assert captured.err == (
        f"vepe: Skipped: The image '{bad}' is damaged or cut off; replace it.\n"
    )
    assert captured.out.startswith("3 images, ")


@pytest.mark.parametrize(
    ("name", "says"),
    [("link.png", "link to a file that does not exist"), ("zero.jpg", "is empty"),
     ("text.jpg", "is not an image"), ("phone.jpg", "is a HEIC image")],
)  # fmt: skip
def test_a_file_that_is_no_image_does_not_stop_its_folder(
    name, says, predict, inputs, tmp_path, capsys
) -> None:
    place = inputs / name
    contents = {"zero.jpg": b"", "text.jpg": b"text", "phone.jpg": b"\0\0\0\x18ftypheic"}
    if name in contents:
        place.write_bytes(contents[name])
    else:
        place.symlink_to("nowhere.png")
    assert predict(inputs) == 2
    assert [i["file_name"] for i in result(tmp_path)["images"]] == ["a.jpg", "b9.png", "b10.png"]
    error = capsys.readouterr().err
    assert error.startswith(f"vepe: Skipped: '{place}' is ")
    assert says in error


@pytest.mark.parametrize(("after", "expected"), [(0, []), (2, ["a.jpg", "b9.png"])])
def test_interruption_writes_finished_images(
    after, expected, predict, inputs, tmp_path, monkeypatch, capsys
) -> None:
    real, read = images.read_image, []

    def interrupted(path: Path) -> np.ndarray:
        if len(read) == after:
            raise KeyboardInterrupt
        read.append(path)
        return real(path)

    monkeypatch.setattr(images, "read_image", interrupted)
    assert predict(inputs) == 130
    written = tmp_path / "poses.json"
    names = [i["file_name"] for i in result(tmp_path)["images"]] if written.exists() else []
    assert names == expected
    assert ("2 images (stopped early), " in capsys.readouterr().out) is bool(expected)


def test_a_full_disk_of_drawings_keeps_the_poses(
    predict, inputs, tmp_path, monkeypatch, capsys
) -> None:
    real = command._save

    def full(image: np.ndarray, path: Path) -> None:
        if path.name == "b10.png":
            raise VepeError("No space.")
        real(image, path)

    monkeypatch.setattr(command, "_save", full)
    assert predict(inputs, "--draw", tmp_path / "drawn") == 2
    assert capsys.readouterr().err == "vepe: No space.\n"
    assert [i["file_name"] for i in result(tmp_path)["images"]] == ["a.jpg", "b9.png"]


@pytest.mark.parametrize(
    ("names", "drawings"),
    [
        (["a.jpg", "b.bmp"], ["a.jpg", "b.png"]),
        (["a.png", "a.bmp"], ["a.png.png", "a.bmp.png"]),
        (["a.jpg", "A.JPEG"], ["a.jpg.jpg", "A.JPEG.jpg"]),
        (["a.png", "a.bmp", "a.bmp.png"], ["a.png.png", "a.bmp.png", "a.bmp-2.png"]),
        (["x/a.png", "x_a.png"], ["x_a.png.png", "x_a.png-2.png"]),
    ],
)
def test_every_image_has_its_own_drawing(names, drawings, tmp_path) -> None:
    assert [p.name for p in command.drawing_paths(tmp_path, names)] == drawings


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_names_that_are_not_utf8_are_refused_before_the_work(predict, inputs, capsys) -> None:
    named = Path(os.fsdecode(bytes(inputs) + b"/caf\xe9.jpg"))
    (inputs / "a.jpg").rename(named)
    for source in (named, inputs):
        assert predict(source) == 2
        assert "caf\\udce9.jpg' is not UTF-8; rename the file." in capsys.readouterr().err
