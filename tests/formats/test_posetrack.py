"""PoseTrack files of all years: detected, read exactly, refused with file and frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vepe.errors import VepeError
from vepe.formats.detect import read_any
from vepe.formats.posetrack import posetrack_files, read_posetrack, read_sequence
from vepe.formats.posetrack17 import JOINTS_2017, write_posetrack17
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.skeleton import POSETRACK15

DATA = Path(__file__).parent / "data"
OLD, NEW = DATA / "pt17_000902_mpii_test.json", DATA / "pt18_000902_mpii_test.json"


def test_years_agree_on_the_same_sequence(same) -> None:
    old, new = read_sequence(OLD), read_sequence(NEW)
    assert (old.format, new.format) == ("posetrack17", "posetrack21")
    assert len(old) == 12
    assert old.people_count() == 45
    without = ("image_id", "width", "height", "box_xywh_px", "name")
    same(old, new, without=without, atol=1e-9)


def test_values_are_those_of_the_file() -> None:
    record = json.loads(NEW.read_text())["annotations"][0]
    person = read_sequence(NEW).frames[0].people[0]
    table = np.reshape(record["keypoints"], (17, 3))
    np.testing.assert_array_equal(person.keypoints_px, np.delete(table, [3, 4], 0)[:, :2])
    np.testing.assert_array_equal(person.visibility, np.delete(table, [3, 4], 0)[:, 2])
    x, y, w, h = record["bbox_head"]
    np.testing.assert_array_equal(person.head_box_xyxy_px, [x, y, x + w, y + h])
    assert np.isnan(person.keypoint_scores).all()
    assert person.extra["person_id"] == record["person_id"]


def test_joint_ids_of_2017_match_poseval() -> None:
    assert JOINTS_2017[0] == "right_ankle"
    assert JOINTS_2017[12:] == ("head_bottom", "nose", "head_top")
    assert sorted(JOINTS_2017) == sorted(POSETRACK15.keypoints)


def test_18_rewrites_to_the_same_document(tmp_path) -> None:
    before = json.loads(NEW.read_text())
    path = write_posetrack18(tmp_path / NEW.name, read_sequence(NEW), year=2021)
    after = json.loads(path.read_text())
    assert after == before


def test_17_rewrites_to_the_same_document(tmp_path) -> None:
    def with_sorted_points(data: dict) -> dict:
        for rect in (r for frame in data["annolist"] for r in frame["annorect"]):
            rect["annopoints"][0]["point"].sort(key=lambda p: p["id"])
        return data

    path = write_posetrack17(tmp_path / OLD.name, read_sequence(OLD))
    after, before = json.loads(path.read_text()), json.loads(OLD.read_text())
    assert with_sorted_points(after) == with_sorted_points(before)


def as_struct(value):
    """JSON of 2017 as MATLAB would save it: lists of one unwrapped, lists of records as structs."""
    if isinstance(value, dict):
        return {k: as_struct(v) for k, v in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            names = sorted({k for v in value for k in v})
            array = np.empty((1, len(value)), dtype=[(n, object) for n in names])
            for i, item in enumerate(value):
                for n in names:
                    array[0, i][n] = as_struct(item.get(n, []))
            return array
        if not value:
            return np.zeros((0, 0))
        return value[0] if len(value) == 1 else value
    return value


def test_mat_equals_json(same, tmp_path) -> None:
    path = tmp_path / "pt17.mat"
    savemat(path, {"annolist": as_struct(json.loads(OLD.read_text())["annolist"])})
    assert read_sequence(path).format == "posetrack17"
    same(read_sequence(OLD), read_sequence(path))


@pytest.mark.parametrize(
    ("points", "has_points", "present"),
    [
        ([], False, 0),
        ([{}], False, 0),
        ([{"point": []}], True, 0),
        ([{"point": {"id": [0], "x": [1], "y": [2]}}], True, 1),
        ([{"point": [{"id": [0], "x": [1], "y": [2]}, {"id": [0], "x": [9], "y": [9]}]}], True, 1),
        ([{"point": [{"id": [77], "x": [1], "y": [2]}]}], True, 0),
    ],
)
def test_odd_point_lists_of_2017(points, has_points, present, tmp_path) -> None:
    path = tmp_path / "a.json"
    rect = {"annopoints": points}
    path.write_text(json.dumps({"annolist": [{"image": [{"name": "a.jpg"}], "annorect": [rect]}]}))
    frame = read_sequence(path).frames[0]
    person = frame.people[0]
    assert frame.has_annotations
    assert person.has_points is has_points
    assert person.present.sum() == present
    if present:  # the first of two points of one joint counts
        slot = POSETRACK15.index("right_ankle")
        assert person.keypoints_px[slot].tolist() == [1, 2]
        assert np.isnan(person.visibility[slot])
    back = read_sequence(write_posetrack17(tmp_path / "b.json", read_sequence(path)))
    assert back.frames[0].people[0].has_points is has_points
    assert back.frames[0].people[0].extra == person.extra


@pytest.mark.parametrize(
    ("point", "present"),
    [((0, 0, 0), False), ((0, 0, 1), True), ((5, 0, 0), True), ((-3.5, 0, 0), True)],
)
def test_presence_follows_poseval(point, present, tmp_path) -> None:
    data = json.loads(NEW.read_text())
    data["annotations"][0]["keypoints"][:3] = point
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    person = read_sequence(path).frames[0].people[0]
    assert bool(person.present[0]) is present
    assert (*person.keypoints_px[0], person.visibility[0]) == point


def broken(year: int, change) -> str:
    data = json.loads((OLD if year == 2017 else NEW).read_text())
    change(data)
    return json.dumps(data)


def first_rect(data):
    return data["annolist"][0]["annorect"][0]


BAD = {
    "empty": ("", "is empty"),
    "cut": ('{"annolist": [', "not valid JSON"),
    "list": ("[1, 2]", "not a PoseTrack file"),
    "annolist is no list": ('{"annolist": 3}', "no list 'annolist'"),
    "no name": (broken(2017, lambda d: d["annolist"][1].pop("image")), "frame 1: 'image'"),
    "nan 2017": (
        broken(2017, lambda d: first_rect(d)["annopoints"][0]["point"][0].update(x=[float("nan")])),
        "frame 0 (images/val/000902_mpii_test/000000.jpg), person 0: x of nose is nan",
    ),
    "text 2017": (
        broken(2017, lambda d: first_rect(d).update(track_id=["a"])),
        "person 0: track_id is 'a'",
    ),
    "no categories": (broken(2018, lambda d: d.pop("categories")), "no 'categories'"),
    "few joints": (
        broken(2018, lambda d: d["categories"][0].update(keypoints=["nose"])),
        "lacks the keypoints head_bottom",
    ),
    "nan 2018": (
        broken(2018, lambda d: d["annotations"][1]["keypoints"].__setitem__(4, float("nan"))),
        "annotation 1: keypoint 1 has the coordinate nan",
    ),
    "short": (
        broken(2018, lambda d: d["annotations"][2].update(keypoints=[1, 2, 1])),
        "annotation 2: 3 numbers in keypoints",
    ),
    "words": (
        broken(2018, lambda d: d["annotations"][0].update(keypoints=["a"] * 51)),
        "annotation 0: keypoints (x, y, v for 17) contain 'a'",
    ),
    "scores": (
        broken(2018, lambda d: d["annotations"][0].update(scores=[1.0])),
        "annotation 0: 1 numbers in scores instead of 17",
    ),
    "stray": (
        broken(2018, lambda d: d["annotations"][0].update(image_id=5)),
        "annotation 0 refers to image 5",
    ),
    "twice": (
        broken(2018, lambda d: d["images"][1].update(id=d["images"][0]["id"])),
        "frame 1: image id 10009020000 is used twice",
    ),
    "region": (
        broken(2018, lambda d: d["images"][0].update(ignore_regions_x=[[1, 2, 3]])),
        "frame 0 (images/val/000902_mpii_test/000000.jpg): ignore_regions_x and _y differ",
    ),
    "uneven": (
        broken(2018, lambda d: d["images"][0].update(ignore_regions_x=[[1], [2, 3]])),
        "ignore region 0 has uneven",
    ),
    "box": (
        broken(2018, lambda d: d["annotations"][0].update(bbox_head=[1, 2])),
        "annotation 0: bbox_head is [1, 2]",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_with_their_frame(name, tmp_path) -> None:
    text, message = BAD[name]
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(VepeError) as caught:
        read_sequence(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_bad_places(tmp_path) -> None:
    with pytest.raises(VepeError, match="does not exist"):
        read_posetrack(tmp_path / "none")
    with pytest.raises(VepeError, match=r"holds no \.json or \.mat"):
        read_posetrack(tmp_path)
    (tmp_path / "a.mat").write_bytes(b"no matlab file at all")
    with pytest.raises(VepeError, match=r"not a readable \.mat"):
        read_posetrack(tmp_path)


def test_json_is_preferred_to_mat_and_files_are_sorted(tmp_path) -> None:
    for name in ("b.json", "a.json", "a.mat", "c.mat"):
        (tmp_path / name).write_text("x")
    assert [f.name for f in posetrack_files(tmp_path)] == ["a.json", "b.json", "c.mat"]


def test_real_posetrack18_files(shared_dir, same, tmp_path) -> None:
    folder = shared_dir / "data/dev/posetrack18/annotations/val"
    sequences = read_posetrack(folder)
    assert [s.format for s in sequences] == ["posetrack18"] * 3
    assert sorted(s.people_count() for s in sequences) == [1, 2, 11]
    for sequence in sequences:
        path = write_posetrack18(tmp_path / sequence.source.name, sequence)
        before, after = json.loads(sequence.source.read_text()), json.loads(path.read_text())
        assert after == before
        (again,) = read_any(write_posetrack17(tmp_path / "old.json", sequence))
        without = ("image_id", "width", "height", "box_xywh_px")
        same(sequence, again, without=without, atol=1e-9)


def test_whole_golden_set_reads(shared_dir) -> None:
    for folder in sorted((shared_dir / "golden/cases").glob("*/pred1*")):
        for sequence in read_posetrack(folder):
            assert len(sequence) in (10, 12, 24)
