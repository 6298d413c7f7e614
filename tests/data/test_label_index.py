"""Labels of every format arrive as they are; the cache is used, and rebuilt when it must be."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from figures.sets import SIZE_WH, write_coco, write_posetrack18
from vepe.data import index_cache as label_cache
from vepe.data.images import ImageIndex, LabelPolicy
from vepe.data.index_cache import cached_index, load_index
from vepe.data.label_index import AREA_OF_BOX, LabelIndex, ignore_boxes
from vepe.data.read_labels import posetrack_files, read_label_files
from vepe.errors import VepeError
from vepe.formats.posetrack import read_sequence
from vepe.formats.posetrack17 import write_posetrack17
from vepe.skeleton import COCO17, CROWDPOSE14, POSETRACK15, Skeleton


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
    whole = np.ptp(points[1], axis=1) + 10
    assert np.allclose(people.areas_px, AREA_OF_BOX * whole.prod(axis=1), rtol=1e-4)
    ignored = people.ignore_boxes_xyxy_px
    assert np.allclose(ignored[:, [0, 2]], [100, 150], atol=1)
    assert np.allclose([ignored[:, 1].min(), ignored[:, 3].max()], [0, 60], atol=1)


def test_posetrack17_and_21_say_the_same_as_18(tmp_path: Path) -> None:
    write_posetrack18(tmp_path / "a", frames=3, labelled={0, 2})
    (file,) = posetrack_files(tmp_path / "a", "train")
    write_posetrack17(tmp_path / "b/annotations/train/x.json", read_sequence(file))
    document = json.loads(file.read_text())
    for image in document["images"]:
        image["has_labeled_person"] = image["is_labeled"]
    there = tmp_path / "c/posetrack_data/train/x.json"
    there.parent.mkdir(parents=True)
    there.write_text(json.dumps(document))
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


def test_coco_pictures_and_crowds(tmp_path: Path) -> None:
    points = write_coco(tmp_path)
    index = read([tmp_path / "labels.json"], tmp_path, single=True)
    assert (index.video == -1).all()
    assert index.labelled.all()  # also the picture of nobody
    assert index.people_counts().tolist() == [2, 2, 2, 0]
    people = index.people(0)
    assert people.areas_px.tolist() == [1234, 1235]
    assert people.visibility[0].tolist() == [0, 1] + [2] * 15
    assert np.allclose(people.keypoints_px[1, 3], points[0, 1, 3], atol=1e-4)
    assert people.ignore_boxes_xyxy_px.tolist() == [[100, 90, 160, 120]]


@pytest.mark.parametrize(
    ("source", "wanted", "joints", "expected"),
    [
        (COCO17, POSETRACK15, None, {"left_wrist": "left_wrist", "head_top": None}),
        (CROWDPOSE14, POSETRACK15, None, {"head_top": "head", "head_bottom": "neck", "nose": None}),
        (CROWDPOSE14, CROWDPOSE14, None, {"head": "head", "neck": "neck"}),
        (CROWDPOSE14, POSETRACK15, {"neck": None}, {"head_bottom": None, "head_top": None}),
        (POSETRACK15, COCO17, None, {"left_hip": "left_hip", "left_eye": None}),
        (COCO17, POSETRACK15, {"left_eye": "head_top"}, {"head_top": "left_eye"}),
    ],
)
def test_joints_go_by_name_and_what_a_set_lacks_stays_unlabelled(
    tmp_path: Path, source: Skeleton, wanted: Skeleton, joints: dict, expected: dict
) -> None:
    points = write_coco(tmp_path, skeleton=source)
    index = read([tmp_path / "labels.json"], tmp_path, single=True)
    people = ImageIndex([index], wanted, LabelPolicy(joints=joints))[1].people
    for name, origin in expected.items():
        k = wanted.index(name)
        if origin is None or source.index(origin) == 0:  # the first has no label in these files
            assert not people.visibility[:, k].any()
            assert not people.keypoints_px[:, k].any()
        else:
            assert people.visibility[:, k].all()
            found = people.keypoints_px[:, k]
            assert np.allclose(found, points[1, :, source.index(origin)], atol=1e-4)


def test_skeletons_that_share_nothing_and_wrong_names_are_told(tmp_path: Path) -> None:
    write_coco(tmp_path)
    index = read([tmp_path / "labels.json"], tmp_path, single=True)
    tool = Skeleton("tool", ("tip", "grip"), (), (), (0.05, 0.05))
    with pytest.raises(VepeError, match="shares none with the skeleton 'tool'"):
        ImageIndex([index], tool)
    with pytest.raises(VepeError, match="names 'toe', but this set has"):
        ImageIndex([index], POSETRACK15, LabelPolicy(joints={"toe": "nose"}))
    with pytest.raises(VepeError, match="no keypoint 'toe'"):
        ImageIndex([index], POSETRACK15, LabelPolicy(joints={"nose": "toe"}))


def test_polygons_are_covered_closely() -> None:
    corner = np.array([[0, 0], [320, 0], [320, 40], [40, 40], [40, 320], [0, 320]], float)  # an L
    boxes = np.array(ignore_boxes(corner))
    area = float(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum())
    assert 24_000 <= area < 32_000  # the polygon has 24,000, the one box around it 102,400
    for point in ((5, 315), (300, 20), (20, 20)):
        assert ((boxes[:, :2] <= point) & (boxes[:, 2:] >= point)).all(axis=1).any()
    assert not ((boxes[:, :2] <= (200, 200)) & (boxes[:, 2:] >= (200, 200))).all(axis=1).any()
    assert ignore_boxes(corner[:2]) == []


class Counted:
    """Builds an index and counts how often."""

    def __init__(self, index: LabelIndex) -> None:
        self.index, self.calls = index, 0

    def __call__(self) -> LabelIndex:
        self.calls += 1
        return self.index


def test_the_cache_is_used_until_the_source_changes_or_it_is_damaged(tmp_path: Path) -> None:
    write_coco(tmp_path)
    source = tmp_path / "labels.json"
    built = read([source], tmp_path, single=True)
    counted = Counted(built)
    place = tmp_path / "another"

    def load() -> LabelIndex:
        return cached_index([source], counted, folder=place)

    first, second = load(), load()
    assert counted.calls == 1
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, getattr(second, name), name)
        np.testing.assert_array_equal(array, getattr(built, name), name)
    assert str(place) in Path("/proc/self/maps").read_text()  # workers map it, without a copy
    assert not second.keypoints_px.flags.writeable
    sent = pickle.dumps(replace(second, places=("elsewhere",)))
    assert len(sent) < 1000  # so do processes that do not inherit it
    arrived = pickle.loads(sent)
    assert arrived.places == ("elsewhere",)
    np.testing.assert_array_equal(arrived.keypoints_px, built.keypoints_px)
    (file,) = (place / "labels").glob("*.safetensors")
    os.utime(source, ns=(1, 1))
    load()
    assert counted.calls == 2
    whole = file.read_bytes()
    damages = (whole[: len(whole) // 2], whole[:2000] + b"\x01" + whole[2001:], b"", b"text")
    for number, damaged in enumerate(damages, start=3):
        file.write_bytes(damaged)
        assert np.array_equal(load().keypoints_px, built.keypoints_px)
        assert counted.calls == number
    cached_index([source], counted, folder=place, options="other")
    assert counted.calls == 3 + len(damages)
    assert load_index(file, "another stamp") is None
    assert not list((place / "labels").glob("*.part"))


def test_other_versions_and_barred_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_coco(tmp_path)
    source = tmp_path / "labels.json"
    counted = Counted(read([source], tmp_path, single=True))
    cached_index([source], counted, folder=tmp_path / "x")
    monkeypatch.setattr(label_cache, "VERSION", label_cache.VERSION + 1)
    cached_index([source], counted, folder=tmp_path / "x")
    assert counted.calls == 2
    (tmp_path / "file").write_text("no folder")
    assert len(cached_index([source], counted, folder=tmp_path / "file")) == 4


def test_the_digest_follows_the_labels_and_not_their_place(tmp_path: Path) -> None:
    for name in "ab":
        write_coco(tmp_path / name)
    write_coco(tmp_path / "c", images=3)
    one, same, other = (
        read([tmp_path / name / "labels.json"], tmp_path / name, single=True).digest()
        for name in "abc"
    )
    assert one == same != other


def test_pictures_may_come_later_than_the_labels(tmp_path: Path) -> None:
    write_posetrack18(tmp_path, frames=2, images=False)
    files = posetrack_files(tmp_path, "train")
    pictures = ImageIndex([read(files, tmp_path)], POSETRACK15)
    with pytest.raises(VepeError, match="2 of 2 images are missing"):
        pictures.drop_missing(strict=False, title="it")
    write_posetrack18(tmp_path / "moved", frames=2)
    (tmp_path / "moved/images").rename(tmp_path / "images")
    again = ImageIndex([read(files, tmp_path)], POSETRACK15).drop_missing(strict=True, title="it")
    assert again[1].image().shape == (SIZE_WH[1], SIZE_WH[0], 3)
