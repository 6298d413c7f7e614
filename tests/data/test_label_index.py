"""Annotation files of every format give the same index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from figures.sets import SIZE_WH, write_coco, write_posetrack18
from vepe.data.label_index import AREA_OF_BOX, LabelIndex, ignore_boxes
from vepe.data.read_labels import posetrack_files, read_label_files
from vepe.errors import VepeError, VepeWarning
from vepe.formats.posetrack import read_sequence
from vepe.formats.posetrack17 import write_posetrack17


def read(files: list[Path], root: Path, *, single: bool = False) -> LabelIndex:
    return read_label_files(files, root, single=single, cache=root / "cache")


def test_posetrack18(tmp_path: Path) -> None:
    points = write_posetrack18(
        tmp_path, frames=4, labelled={1, 3}, region=[(100, 0), (150, 0), (150, 60), (100, 60)]
    )
    index = read(posetrack_files(tmp_path, "train"), tmp_path)
    assert index.labelled.tolist() == [False, True, False, True]
    assert index.people_counts().tolist() == [0, 2, 0, 2]
    assert index.video.tolist() == [0] * 4
    people = index.people(1)
    assert people.track_ids.tolist() == [4, 5]
    assert people.visibility[0].tolist() == [0] + [2] * 14
    assert people.visibility[1].tolist() == [2] * 13 + [1, 2]  # its left ankle is hidden
    assert np.allclose(people.keypoints_px[1], points[1, 1], atol=1e-4)
    boxes = people.boxes_xyxy_px
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= SIZE_WH).all()
    head = people.head_boxes_xyxy_px
    assert head is not None
    assert np.allclose(head[:, :2] + 4, points[1, :, 2], atol=1e-4)
    size = np.ptp(points[1], axis=1) + 10
    assert np.allclose(people.areas_px, AREA_OF_BOX * size.prod(axis=1), rtol=1e-4)
    ignored = people.ignore_boxes_xyxy_px
    assert np.allclose(ignored[:, [0, 2]], [100, 150], atol=1)
    assert np.allclose([ignored[:, 1].min(), ignored[:, 3].max()], [0, 60], atol=1)


def test_posetrack17_and_21_equal_18(tmp_path: Path) -> None:
    write_posetrack18(tmp_path / "a", frames=3, labelled={0, 2})
    (file,) = posetrack_files(tmp_path / "a", "train")
    write_posetrack17(tmp_path / "b/annotations/train/x.json", read_sequence(file))
    document = json.loads(file.read_text())
    for image in document["images"]:
        image["has_labeled_person"] = image["is_labeled"]
    path = tmp_path / "c/posetrack_data/train/x.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document))
    old, new, later = (
        read(posetrack_files(tmp_path / kind, "train"), tmp_path / kind) for kind in "bac"
    )
    for other in (old, later):
        assert other.labelled.tolist() == new.labelled.tolist()
        assert other.track_ids.tolist() == new.track_ids.tolist()
        assert np.allclose(other.keypoints_px, new.keypoints_px)
        assert np.array_equal(other.visibility, new.visibility)
    # 2017 has no body boxes: they are reckoned from keypoints and head.
    inside = (old.boxes_xyxy_px[:, None, :2] <= old.keypoints_px[:, 1:]).all()
    assert inside
    with pytest.raises(VepeError, match="no annotation files of the split 'val'"):
        posetrack_files(tmp_path / "a", "val")


def test_coco_images_and_crowds(tmp_path: Path) -> None:
    points = write_coco(tmp_path)
    index = read([tmp_path / "labels.json"], tmp_path, single=True)
    assert (index.video == -1).all()
    assert index.labelled.all()  # also the image without people
    assert index.people_counts().tolist() == [2, 2, 2, 0]
    people = index.people(0)
    assert people.areas_px.tolist() == [1234, 1235]
    assert people.visibility[0].tolist() == [0, 1] + [2] * 15
    assert np.allclose(people.keypoints_px[1, 3], points[0, 1, 3], atol=1e-4)
    assert people.ignore_boxes_xyxy_px.tolist() == [[100, 90, 160, 120]]


def test_polygons_are_covered_tightly() -> None:
    corner = np.array([[0, 0], [320, 0], [320, 40], [40, 40], [40, 320], [0, 320]], float)  # an L
    boxes = np.array(ignore_boxes(corner))
    area = float(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum())
    assert 24_000 <= area < 32_000  # the polygon has 24,000, the one box around it 102,400
    for point in ((5, 315), (300, 20), (20, 20)):
        assert ((boxes[:, :2] <= point) & (boxes[:, 2:] >= point)).all(axis=1).any()
    assert not ((boxes[:, :2] <= (200, 200)) & (boxes[:, 2:] >= (200, 200))).all(axis=1).any()
    assert ignore_boxes(corner[:2]) == []


def test_digest_depends_on_labels_and_not_on_folders(tmp_path: Path) -> None:
    for name in "ab":
        write_coco(tmp_path / name)
    write_coco(tmp_path / "c", images=3)
    one, same, other = (
        read([tmp_path / name / "labels.json"], tmp_path / name, single=True).digest()
        for name in "abc"
    )
    assert one == same != other


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (40, 0)])
def test_placeholder_boxes_are_replaced_by_boxes_around_keypoints(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    points = write_coco(tmp_path)
    path = tmp_path / "labels.json"
    document = json.loads(path.read_text())
    for annotation in document["annotations"][:3]:
        annotation |= {"bbox": [3, 3, *size], "area": size[0] * size[1]}
    path.write_text(json.dumps(document))
    with pytest.warns(VepeWarning, match="boxes of 3 people are narrower than 2 px"):
        index = read([path], tmp_path, single=True)
    labelled = points[0, :, 1:]  # the first keypoint has no label
    boxes = index.people(0).boxes_xyxy_px
    assert (boxes[:, None, :2] <= labelled + 1e-3).all()
    assert (boxes[:, None, 2:] >= labelled - 1e-3).all()
    assert (index.people(0).areas_px > 1000).all()
    assert index.people(1).areas_px[1] == 1235  # a real box stays


def test_people_outside_their_images_cause_a_warning(tmp_path: Path) -> None:
    write_coco(tmp_path)
    path = tmp_path / "labels.json"
    document = json.loads(path.read_text())
    document["images"][0] |= {"width": 5, "height": 5}
    path.write_text(json.dumps(document))
    with pytest.warns(VepeWarning, match="All keypoints of 2 people are outside their images"):
        read([path], tmp_path, single=True)


def test_keypoints_at_the_origin_are_unlabelled(tmp_path: Path) -> None:
    write_coco(tmp_path)
    path = tmp_path / "labels.json"
    document = json.loads(path.read_text())
    document["annotations"][0]["keypoints"][6:9] = [0, 0, 2]
    document["annotations"][0]["bbox"] = [3, 3, 1, 1]
    path.write_text(json.dumps(document))
    with pytest.warns(VepeWarning, match="boxes of 1 people"):
        people = read([path], tmp_path, single=True).people(0)
    assert people.visibility[0, 2] == 0
    labelled = people.keypoints_px[0][people.visibility[0] > 0]
    assert (people.boxes_xyxy_px[0, :2] > labelled.min(axis=0) - 40).all()
    assert len(people) == 2


def test_names_that_are_no_unicode_and_other_keypoints_are_named(tmp_path: Path) -> None:
    write_coco(tmp_path)
    path, other = tmp_path / "labels.json", tmp_path / "other.json"
    document = json.loads(path.read_text())
    document["categories"][0]["keypoints"][:2] = ["snout", "left_eye"]
    other.write_text(json.dumps(document))
    with pytest.raises(VepeError, match=r"before it \(without nose and with snout\)"):
        read([path, other], tmp_path, single=True)
    document["images"][0]["file_name"] = "caf\udce9.jpg"
    path.write_text(json.dumps(document))
    with pytest.raises(VepeError, match="is not valid Unicode; rename the file"):
        read([path], tmp_path, single=True)
