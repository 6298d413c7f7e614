"""A model is run and scored in one go: its images, times and settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_scenes import document, image, person
from PIL import Image

from vepe.cli.app import run
from vepe.errors import VepeError
from vepe.evaluation.run_model import ModelOptions, frame_times_s, image_paths
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence
from vepe.skeleton import COCO17, POSETRACK15
from vepe.types import FramePoses

GOLDEN = Path(__file__).parent / "golden"
XY = np.column_stack([np.arange(15) * 6 + 60, np.arange(15) * 4 + 60]).astype(float)


class _Stream:
    """Returns a frame one push late, as a model with look-ahead does."""

    def __init__(self) -> None:
        self.pending: list[FramePoses] = []

    def push(self, image: Any, time_s: float, frame_index: int) -> list[FramePoses]:
        outputs, self.pending = self.pending, [_poses(frame_index)]
        return outputs

    def finish(self) -> list[FramePoses]:
        return self.pending


class _Predictor:
    skeleton = POSETRACK15

    def predict(self, image: Any) -> FramePoses:
        return _poses(0)

    def stream(self, fps: float) -> _Stream:
        return _Stream()


def _poses(frame_index: int) -> FramePoses:
    return FramePoses(
        frame_index=frame_index,
        time_s=frame_index / 25,
        keypoints_px=(XY[None] + frame_index).astype(np.float32),
        keypoint_scores=np.full((1, 15), 0.9, np.float32),
        scores=np.array([0.8], np.float32),
        track_ids=np.array([4]),
    )


@pytest.fixture
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    from vepe.inference import predictor

    monkeypatch.setattr(predictor, "load", lambda name, **options: _Predictor())


@pytest.mark.usefixtures("_model")
def test_posetrack_with_a_model(tmp_path: Path) -> None:
    images = [image(t, is_labeled=True) for t in range(4)]
    people = [person(t, 0, XY + t, np.ones(15), bbox_head=[0, 0, 20, 20]) for t in range(4)]
    gt = tmp_path / "gt" / "000001_x_test.json"
    gt.parent.mkdir()
    gt.write_text(json.dumps(document(images, people)))
    for entry in images[1:]:
        _write_image(tmp_path / entry["file_name"])
    report = tmp_path / "r.json"
    arguments = ["--gt", str(gt.parent), "--model", "any", "--images", str(tmp_path)]
    assert run(["evaluate", "posetrack", *arguments, "--json", str(report)]) == 2  # one is missing
    _write_image(tmp_path / images[0]["file_name"])
    assert run(["evaluate", "posetrack", *arguments, "--json", str(report)]) == 0
    values = json.loads(report.read_text())
    assert (values["ap"]["total"], values["mota"]["total"]) == (100, 100)


@pytest.mark.usefixtures("_model")
def test_coco_with_a_model(tmp_path: Path) -> None:
    _write_image(tmp_path / "a.jpg")
    points = np.zeros((17, 3))
    coco, posetrack = COCO17.shared_with(POSETRACK15)
    points[coco, :2], points[coco, 2] = XY[posetrack], 2
    one = {"id": 0, "image_id": 7, "category_id": 1, "keypoints": points.ravel().tolist(),
           "num_keypoints": 13, "area": 4000.0, "bbox": [60, 60, 90, 60], "iscrowd": 0}  # fmt: skip
    labels = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "annotations": [one],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}],
    }
    gt, report = tmp_path / "gt.json", tmp_path / "r.json"
    gt.write_text(json.dumps(labels))
    arguments = ["--gt", str(gt), "--model", "any", "--images", str(tmp_path)]
    arguments += ["--joints", "shared", "--json", str(report)]
    assert run(["evaluate", "coco", *arguments]) == 0
    assert json.loads(report.read_text())["ap"] == pytest.approx(100)


def _write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (320, 240)).save(path)


@pytest.mark.parametrize(("conf", "used"), [(None, 0.05), (0.0, 0.0), (0.4, 0.4)])
def test_options_reach_the_model(conf, used, monkeypatch: pytest.MonkeyPatch) -> None:
    from vepe.inference import predictor

    options: dict[str, Any] = {}
    monkeypatch.setattr(predictor, "load", lambda name, **more: options.update(more))
    given = ModelOptions("any", "cpu", conf, 320, window=1, backend="openvino", flip=True)
    given.load(0.05)
    expected = {"device": "cpu", "conf": used, "input_px": 320, "window": 1, "flip": True}
    assert options == {"backend": "openvino", **expected}


def _sequence(frames: list[tuple[int, float | None]]) -> AnnotatedSequence:
    made = [
        AnnotatedFrame(i, f"{i}.jpg", None, True, False, people=(), time_s=t) for i, t in frames
    ]
    return AnnotatedSequence("s", tuple(made), POSETRACK15, Path("s.json"), "posetrack18")


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
def test_times_come_from_the_file_if_complete(frames, times_s) -> None:
    assert frame_times_s(_sequence(frames)) == pytest.approx(times_s)


def test_no_image_is_taken_for_another(tmp_path: Path) -> None:
    """Every PoseTrack video has a 000000.jpg."""
    (tmp_path / "000000.jpg").write_bytes(b"")
    with pytest.raises(VepeError, match=r"a/000000\.jpg does not exist"):
        image_paths(tmp_path, ["a/000000.jpg"])
    assert image_paths(tmp_path, ["a/000000.jpg"], flat=True) == [tmp_path / "000000.jpg"]
    with pytest.raises(VepeError, match=r"a/000000\.jpg does not exist"):
        image_paths(tmp_path, ["a/000000.jpg", "b/000000.jpg"], flat=True)
    assert image_paths(tmp_path, [], flat=True) == []


def test_evaluation_needs_no_torch() -> None:
    code = (
        "import sys; from vepe.evaluation import evaluate_posetrack, coco_oks_ap, evaluate_coco;"
        "import vepe.evaluation.run_model;"
        f"evaluate_posetrack({str(GOLDEN / 'gt17')!r}, {str(GOLDEN / 'gt17')!r});"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
