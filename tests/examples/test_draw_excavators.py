"""Fine-tuning as docs/finetune.md does it, at a tiny size: four joints of an excavator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_examples import example

from tiny_models import tiny_weights_file
from vepe.cli.app import run
from vepe.config.skeleton import read_skeleton
from vepe.inference.weights import load_weights


def test_keypoints_lie_on_the_machine() -> None:
    draw = example("draw_excavators")
    images, labels = draw.draw_video(np.random.default_rng(5), 3)
    for image, machines in zip(images, labels, strict=True):
        for _, points, _ in machines:
            x, y = np.rint(points[:3]).astype(int).T
            inside = (x >= 0) & (y >= 0) & (x < image.shape[1]) & (y < image.shape[0])
            # Joints are dark discs on the yellow arm.
            for px, py in zip(x[inside], y[inside], strict=True):
                assert image[py, px].astype(int).sum() < 300
    moved = [abs(labels[2][i][1] - labels[0][i][1]).max() for i in range(len(labels[0]))]
    assert max(moved) > 0.5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    draw = example("draw_excavators")
    draw.write_split(folder, "train", 2, 4, seed=1)
    draw.write_split(folder, "val", 1, 2, seed=2)
    (folder / "excavator.yaml").write_text(draw.SKELETON)
    return folder


def test_from_weights_to_tracks_of_another_skeleton(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = tiny_weights_file(tmp_path)
    small = ["stages.0.steps=2", "stages.0.size_px=64", "stages.0.batch=1", "workers=0"]
    settings = [f"init={init}", f"model.skeleton={site / 'excavator.yaml'}", *small]
    changes = [word for setting in settings for word in ("--set", setting)]
    more = ["--set", "calibration_batches=1", "-o", str(tmp_path / "run")]
    assert run(["train", "finetune", "--data-root", str(site), *changes, *more]) == 0
    assert "New keypoints: hip, elbow, wrist, tip" in " ".join(capsys.readouterr().err.split())
    weights = tmp_path / "run" / "weights.safetensors"
    _, config, _ = load_weights(weights)
    assert config.skeleton == read_skeleton(str(site / "excavator.yaml"))

    frames = str(site / "images" / "val" / "0000")
    options = ["--model", str(weights), "--conf", "0", "-o", str(tmp_path / "tracks")]
    assert run(["track", frames, *options]) == 0
    found = json.loads((tmp_path / "tracks" / "0000.json").read_text())
    assert found["categories"][0]["keypoints"] == ["hip", "elbow", "wrist", "tip"]
    assert all(len(p["keypoints"]) == 12 for p in found["annotations"])
    capsys.readouterr()

    gt, images = str(site / "annotations" / "val.json"), str(site / "images")
    assert run(["evaluate", "coco", "--gt", gt, "--model", str(weights), "--images", images]) == 0
    assert "4: hip, elbow, wrist, tip" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["posetrack17"])
def test_formats_that_cannot_hold_the_skeleton_say_so(
    tmp_path: Path, site: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """PoseTrack17 knows PoseTrack's joints alone."""
    target = str(tmp_path / "out")
    code = run(["convert", str(site / "annotations" / "val.json"), target, "--to", name])
    assert code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "PoseTrack" in told
