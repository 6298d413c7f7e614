"""Images of an index in another skeleton, and missing files."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from figures.sets import SIZE_WH, write_coco, write_posetrack18
from vepe.data.images import ImageIndex, LabelPolicy, UnreadableImageError
from vepe.data.label_index import LabelIndex
from vepe.data.read_labels import posetrack_files, read_label_files
from vepe.errors import VepeError, VepeWarning
from vepe.skeleton import COCO17, CROWDPOSE14, POSETRACK15, Skeleton


def read(files: list[Path], root: Path, *, single: bool = False) -> LabelIndex:
    return read_label_files(files, root, single=single, cache=root / "cache")


@pytest.mark.parametrize(
    ("source", "target", "joints", "expected"),
    [
        (COCO17, POSETRACK15, None, {"left_wrist": "left_wrist", "head_top": None}),
        (CROWDPOSE14, POSETRACK15, None, {"head_top": "head", "head_bottom": "neck", "nose": None}),
        (CROWDPOSE14, CROWDPOSE14, None, {"head": "head", "neck": "neck"}),
        (CROWDPOSE14, POSETRACK15, {"neck": None}, {"head_bottom": None, "head_top": None}),
        (POSETRACK15, COCO17, None, {"left_hip": "left_hip", "left_eye": None}),
        (COCO17, POSETRACK15, {"left_eye": "head_top"}, {"head_top": "left_eye"}),
    ],
)
def test_keypoints_are_matched_by_name_and_missing_ones_unlabelled(
    tmp_path: Path, source: Skeleton, target: Skeleton, joints: dict, expected: dict
) -> None:
    points = write_coco(tmp_path, skeleton=source)
    index = read([tmp_path / "labels.json"], tmp_path, single=True)
    people = ImageIndex([index], target, LabelPolicy(joints=joints))[1].people
    for name, origin in expected.items():
        k = target.index(name)
        if origin is None or source.index(origin) == 0:  # the first has no label in these files
            assert not people.visibility[:, k].any()
            assert not people.keypoints_px[:, k].any()
        else:
            assert people.visibility[:, k].all()
            points_px = people.keypoints_px[:, k]
            assert np.allclose(points_px, points[1, :, source.index(origin)], atol=1e-4)


def test_skeletons_without_common_keypoints_and_wrong_names_are_errors(tmp_path: Path) -> None:
    write_coco(tmp_path)
    index = read([tmp_path / "labels.json"], tmp_path, single=True)
    tool = Skeleton("tool", ("tip", "grip"), (), (), (0.05, 0.05))
    with pytest.raises(VepeError, match="shares none with the skeleton 'tool'"):
        ImageIndex([index], tool)
    with pytest.raises(VepeError, match="names 'toe', but this set has"):
        ImageIndex([index], POSETRACK15, LabelPolicy(joints={"toe": "nose"}))
    with pytest.raises(VepeError, match="no keypoint 'toe'"):
        ImageIndex([index], POSETRACK15, LabelPolicy(joints={"nose": "toe"}))


def test_images_may_be_added_after_the_labels_were_cached(tmp_path: Path) -> None:
    write_posetrack18(tmp_path, frames=2, images=False)
    files = posetrack_files(tmp_path, "train")
    index = ImageIndex([read(files, tmp_path)], POSETRACK15)
    with pytest.raises(VepeError, match="2 of 2 images are missing"):
        index.drop_missing(strict=False, title="it")
    write_posetrack18(tmp_path / "moved", frames=2)
    (tmp_path / "moved/images").rename(tmp_path / "images")
    again = ImageIndex([read(files, tmp_path)], POSETRACK15).drop_missing(strict=True, title="it")
    assert again[1].image().shape == (SIZE_WH[1], SIZE_WH[0], 3)


def png_stating(width: int, height: int) -> bytes:
    """A PNG of one pixel whose header states another size."""
    raw = bytearray(cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes())
    raw[16:24] = struct.pack(">II", width, height)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    return bytes(raw)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "not a readable image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a readable image"),
        (png_stating(20_000, 20_000), "more than"),
        (png_stating(60_000, 60_000), "more than"),
        (png_stating(9, 9), "is damaged"),
    ],
)
def test_image_is_checked_before_it_is_decoded(tmp_path: Path, raw: bytes, text: str) -> None:
    write_coco(tmp_path)
    record = ImageIndex([read([tmp_path / "labels.json"], tmp_path, single=True)], COCO17)[0]
    (tmp_path / "bad").write_bytes(raw)
    with pytest.raises(UnreadableImageError, match=text):
        replace(record, place=tmp_path, name="bad", offset=-1).image()


@pytest.mark.parametrize(("stated", "warns"), [((170, 130), False), ((340, 260), True)])
def test_labels_for_another_size_than_the_image_has_are_reported_once(
    tmp_path: Path, stated: tuple[int, int], warns: bool, recwarn: pytest.WarningsRecorder
) -> None:
    write_coco(tmp_path)
    path = tmp_path / "labels.json"
    document = json.loads(path.read_text())
    for record in document["images"]:
        record["width"], record["height"] = stated
    path.write_text(json.dumps(document))
    images = ImageIndex([read([path], tmp_path, single=True)], COCO17)
    for record in images:
        assert record.image().shape == (SIZE_WH[1], SIZE_WH[0], 3)
    messages = [str(w.message) for w in recwarn if w.category is VepeWarning]
    assert len(messages) == warns
    assert all("is 170x130, but its labels state 340x260" in message for message in messages)
