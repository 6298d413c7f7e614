"""`vepe evaluate` as a user calls it, with and without a model."""

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
from vepe.skeleton import COCO17, POSETRACK15
from vepe.types import FramePoses

GOLDEN = Path(__file__).parent / "golden"
XY = np.column_stack([np.arange(15) * 6 + 60, np.arange(15) * 4 + 60]).astype(float)


def test_posetrack_prints_table_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    pred = GOLDEN / "cases" / "c06_mixed" / "pred18"
    arguments = ["--gt", str(GOLDEN / "gt18"), "--pred", str(pred), "--per-sequence"]
    assert run(["evaluate", "posetrack", *arguments]) == 0
    text = capsys.readouterr().out
    assert "3 sequences, 33 labelled frames, 95 people" in text
    row = next(line for line in text.splitlines() if line.startswith("AP "))
    assert row.split()[1:] == [
        "50.33",
        "52.21",
        "47.51",
        "49.27",
        "50.91",
        "46.94",
        "46.14",
        "49.13",
    ]
    assert "HOTA 19.90" in text
    assert "000902_mpii_test: 12 frames, 45 people, AP 50.50  MOTA 5.95" in text


@pytest.mark.parametrize(
    ("command", "key", "value"),
    [("coco", "ap", 31.325883965324397), ("crowdpose", "ap_medium", 50.57)],
)
def test_oks_commands(command: str, key: str, value: float, tmp_path: Path) -> None:
    stem = {"coco": "coco17", "crowdpose": "crowd14"}[command]
    report = tmp_path / "r.json"
    arguments = ["--gt", str(GOLDEN / "oks" / f"{stem}_gt.json"), "--json", str(report)]
    arguments += ["--pred", str(GOLDEN / "oks" / f"{stem}_det.json")]
    assert run(["evaluate", command, *arguments]) == 0
    assert json.loads(report.read_text())[key] == pytest.approx(value, abs=1e-9)


def test_sigmas_and_skeleton_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "r.json"
    oks = GOLDEN / "oks"
    arguments = ["--gt", str(oks / "coco17_gt.json"), "--pred", str(oks / "coco17_det.json")]
    same = ",".join(str(s) for s in COCO17.sigmas)
    assert run(["evaluate", "coco", *arguments, "--sigmas", same, "--json", str(report)]) == 0
    assert json.loads(report.read_text())["ap"] == pytest.approx(31.325883965324397, abs=1e-9)
    wide = ",".join(["0.5"] * 17)
    assert run(["evaluate", "coco", *arguments, "--sigmas", wide, "--json", str(report)]) == 0
    assert json.loads(report.read_text())["ap"] > 60
    capsys.readouterr()
    assert run(["evaluate", "coco", *arguments, "--sigmas", "0.1,0.2"]) == 2
    assert "2 numbers" in capsys.readouterr().err
    assert run(["evaluate", "coco", *arguments, "--skeleton", "dog"]) == 2
    assert "posetrack15" in capsys.readouterr().err


class _Stream:
    """Tells a frame one push late, as a model with lookahead does."""

    def __init__(self) -> None:
        self.waiting: list[FramePoses] = []

    def push(self, image: Any, time_s: float, frame_index: int) -> list[FramePoses]:
        told, self.waiting = self.waiting, [_poses(frame_index)]
        return told

    def finish(self) -> list[FramePoses]:
        return self.waiting


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
        _write_picture(tmp_path / entry["file_name"])
    report = tmp_path / "r.json"
    arguments = ["--gt", str(gt.parent), "--model", "any", "--images", str(tmp_path)]
    assert run(["evaluate", "posetrack", *arguments, "--json", str(report)]) == 2  # one is missing
    _write_picture(tmp_path / images[0]["file_name"])
    assert run(["evaluate", "posetrack", *arguments, "--json", str(report)]) == 0
    values = json.loads(report.read_text())
    assert (values["ap"]["total"], values["mota"]["total"]) == (100, 100)


@pytest.mark.usefixtures("_model")
def test_coco_with_a_model(tmp_path: Path) -> None:
    _write_picture(tmp_path / "a.jpg")
    points = np.zeros((17, 3))
    coco, posetrack = COCO17.shared_with(POSETRACK15)
    points[coco, :2], points[coco, 2] = XY[posetrack], 2
    one = {"id": 0, "image_id": 7, "category_id": 1, "keypoints": points.ravel().tolist(),
           "num_keypoints": 13, "area": 4000.0, "bbox": [60, 60, 90, 60], "iscrowd": 0}  # fmt: skip
    truth = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "annotations": [one],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}],
    }
    gt, report = tmp_path / "gt.json", tmp_path / "r.json"
    gt.write_text(json.dumps(truth))
    arguments = ["--gt", str(gt), "--model", "any", "--images", str(tmp_path)]
    arguments += ["--joints", "shared", "--json", str(report)]
    assert run(["evaluate", "coco", *arguments]) == 0
    assert json.loads(report.read_text())["ap"] == pytest.approx(100)


def _write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (320, 240)).save(path)


def test_evaluation_needs_no_torch() -> None:
    code = (
        "import sys; from vepe.evaluation import evaluate_posetrack, coco_oks_ap, evaluate_coco;"
        f"evaluate_posetrack({str(GOLDEN / 'gt17')!r}, {str(GOLDEN / 'gt17')!r});"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_real_files_against_themselves(shared_dir: Path) -> None:
    from vepe.evaluation import evaluate_posetrack

    folder = shared_dir / "data" / "dev" / "posetrack18" / "annotations" / "val"
    if not folder.is_dir():
        pytest.skip("optional local data are not here")
    result = evaluate_posetrack(folder, folder, hota="fixed")
    assert (result.counts.frames, result.counts.people) == (3, 14)
    assert result.mota is not None
    assert result.hota is not None
    assert (result.ap.total, result.mota.total) == (100, 100)
    assert result.hota["HOTA"] == pytest.approx(100)
