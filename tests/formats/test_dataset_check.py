"""`vepe data check`: a valid data set has no problems, and every planted fault is named."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.formats.dataset_check import check_dataset

NEW = Path(__file__).parent / "data" / "pt18_000902_mpii_test.json"


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (600, 800, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


@pytest.fixture
def tree(tmp_path, jpeg) -> Path:
    """A complete PoseTrack18 tree with one sequence of 12 frames."""
    data = json.loads(NEW.read_text())
    target = tmp_path / "annotations" / "val" / "000902_mpii_test.json"
    target.parent.mkdir(parents=True)
    for image in data["images"]:
        del image["has_labeled_person"]
        path = tmp_path / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg)
    for annotation in data["annotations"]:
        del annotation["person_id"]
    target.write_text(json.dumps(data))
    return tmp_path


def change(tree: Path, edit) -> None:
    path = tree / "annotations" / "val" / "000902_mpii_test.json"
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def test_valid_data_set_has_no_problems(tree) -> None:
    report = check_dataset(tree)
    assert report.problems == []
    assert report.formats == ["posetrack18"]
    counts = report.splits["annotations/val"]
    assert (counts.sequences, counts.frames, counts.labeled) == (1, 12, 12)
    assert (counts.people, counts.images) == (45, 12)
    assert any("170 (v0.45) or 74 (v0.2)" in f.fix for f in report.findings)


FAULTS = {
    "body box": (lambda d: d["annotations"][0].update(bbox=[790, 590, 200, 200]),
                 "body box 790, 590, 200, 200 leaves the image of 800 x 600"),
    "head box": (lambda d: d["annotations"][0].update(bbox_head=[-900, 0, 20, 20]),
                 "head box -900, 0, 20, 20 leaves"),
    "flat box": (lambda d: d["annotations"][0].update(bbox=[1, 1, 0, 5]), "the size 0 x 5"),
    "no head": (lambda d: d["annotations"][0].pop("bbox_head"), "no head box"),
    "no track": (lambda d: d["annotations"][0].pop("track_id"), "no track id"),
    "double track": (lambda d: d["annotations"][1].update(track_id=d["annotations"][0]["track_id"]),
                     "track id 0 belongs to 2 people"),
    "big track": (lambda d: d["annotations"][0].update(track_id=10_000), "not in 0 to 9999"),
    "double annotation": (lambda d: d["annotations"][1].update(id=d["annotations"][0]["id"]),
                          "2 annotations have the id"),
    "double image id": (lambda d: d["images"][1].update(id=d["images"][0]["id"]), "is used twice"),
    "double image": (lambda d: d["images"][1].update(file_name=d["images"][0]["file_name"]),
                       "stands for 2 frames"),
    "region": (lambda d: d["images"][0].update(ignore_regions_x=[[1, 2]],
                                               ignore_regions_y=[[1, 2]]), "2 corners"),
    "frames": (lambda d: [i.update(nframes=140) for i in d["images"]], "12 of 140 frames"),
    "nan": (lambda d: d["annotations"][0].update(bbox=[float("nan")] * 4), "bbox is"),
    "size": (lambda d: d["images"][3].update(width=99), "the image is 800 x 600"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named_with_frame_and_fix(name, tree) -> None:
    edit, text = FAULTS[name]
    change(tree, edit)
    problems = [f for f in check_dataset(tree).problems if text in f.line()]
    assert len(problems) == 1, check_dataset(tree).problems
    assert "000902_mpii_test.json" in problems[0].place
    assert len(problems[0].fix) > 10


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda p: p.unlink(), "the image is missing"),
        (lambda p: p.write_bytes(b""), "the image is empty"),
        (lambda p: p.write_bytes(p.read_bytes()[:40_000]), "the image is cut off"),
        (lambda p: p.write_bytes(b"no image"), "the image is not a readable image"),
    ],
)
def test_images_that_cannot_be_read(spoil, text, tree) -> None:
    spoil(tree / "images/val/000902_mpii_test/000004.jpg")
    (problem,) = check_dataset(tree).problems
    assert problem.text == text
    assert "frame 4 (images/val/000902_mpii_test/000004.jpg)" in problem.place
    assert check_dataset(tree, images=False).problems == []


def test_no_images_at_all_is_one_problem(tree) -> None:
    for path in tree.rglob("*.jpg"):
        path.unlink()
    twin = tree / "annotations" / "val" / "000903_bonn_test.json"
    twin.write_text((tree / "annotations" / "val" / "000902_mpii_test.json").read_text())
    (problem,) = check_dataset(tree).problems
    assert "none of the 24 images exists" in problem.text
    assert "posetrack.net is offline" in problem.fix


def test_images_without_annotations_are_noted(tree, jpeg) -> None:
    extra = tree / "images/val/000999_mpii_test/000000.jpg"
    extra.parent.mkdir()
    extra.write_bytes(jpeg)
    report = check_dataset(tree)
    assert report.problems == []
    assert any("no annotation file refers to the 1 image" in f.text for f in report.findings)


def test_repeated_faults_are_counted(tree) -> None:
    change(tree, lambda d: [a.pop("bbox_head") for a in d["annotations"]])
    (problem,) = check_dataset(tree).problems
    assert problem.count == 45
    assert "44 more in this file" in problem.line()


def test_check_continues_after_a_broken_file(tree) -> None:
    (tree / "annotations" / "val" / "000001_mpii_test.json").write_text('{"images": [')
    (problem,) = check_dataset(tree).problems
    assert "it cannot be read" in problem.text
    assert check_dataset(tree).splits["annotations/val"].sequences == 1


def test_nothing_to_check(tmp_path) -> None:
    with pytest.raises(VepeError, match="is not a folder"):
        check_dataset(tmp_path / "none")
    with pytest.raises(VepeError, match="nothing can be checked"):
        check_dataset(tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(VepeError, match="no PoseTrack or COCO annotations"):
        check_dataset(tmp_path)


def test_coco_tree(tmp_path, jpeg) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "1.jpg").write_bytes(jpeg)
    record = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50],
              "keypoints": [5, 5, 2] * 2, "iscrowd": 0}  # fmt: skip
    data = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 800, "height": 600}],
        "annotations": [record, {**record, "bbox": [780, 0, 50, 50]}],
        "categories": [{"id": 1, "name": "person", "keypoints": ["a", "b"]}],
    }
    (tmp_path / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(data))
    report = check_dataset(tmp_path)
    assert report.formats == ["coco"]
    texts = [p.text for p in report.problems]
    assert texts == ["2 annotations have the id 1",
                     "the body box 780, 0, 50, 50 leaves the image of 800 x 600"]  # fmt: skip


def test_real_trees(shared_dir) -> None:
    coco = check_dataset(shared_dir / "data/dev/coco")
    assert coco.problems == []
    assert coco.splits["."].people == 118
    posetrack = check_dataset(shared_dir / "data/dev/posetrack18")
    assert posetrack.splits["annotations/val"].images == 3
    assert all("frames of video" in p.text for p in posetrack.problems)
