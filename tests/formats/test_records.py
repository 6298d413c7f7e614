"""Shared fields of COCO-like files: ids of images, and text that no file can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vepe.errors import VepeError
from vepe.formats.files import replacing, replacing_folder
from vepe.formats.records import annotation_table, image_table, read_frame

SOURCE = Path("a.json")


def test_image_ids_may_be_whole_floats() -> None:
    data = {"images": [{"id": 1.0}, {"id": 2}], "annotations": [{"image_id": 1}, {"image_id": 2.0}]}
    images = image_table(data, SOURCE)
    assert [image["id"] for image in images] == [1, 2]
    assert all(type(image["id"]) is int for image in images)
    data["categories"] = [{"id": 1, "keypoints": ["a"]}]
    assert annotation_table(data, SOURCE, images)[1] == [0, 1]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1.5], "has no integer 'id'"),
        ([None], "has no integer 'id'"),
        ([True], "has no integer 'id'"),
        (["1"], "has no integer 'id'"),
        ([[1]], "has no integer 'id'"),
        ([float("nan")], "has no integer 'id'"),
        ([10**400], "has no integer 'id'"),
        ([2**63], "image id 9223372036854775808 has more than 63 bits; renumber"),
        ([1, 1.0], "image id 1 is used twice"),
    ],
)
def test_other_image_ids_are_named(ids: list[Any], message: str) -> None:
    with pytest.raises(VepeError, match=message):
        image_table({"images": [{"id": i} for i in ids]}, SOURCE)


@pytest.mark.parametrize("value", [2**31, 2**62, -(2**31), 1e300])
def test_sides_of_images_are_bounded(value: float) -> None:
    with pytest.raises(VepeError, match="width is"):
        read_frame({"id": 1, "width": value}, 0, [], "here")


def test_text_that_is_no_unicode_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="is not valid Unicode"), replacing(tmp_path / "a") as path:
        path.write_text("caf\udce9", encoding="utf-8")
    with (
        pytest.raises(VepeError, match="is not valid Unicode"),
        replacing_folder(tmp_path / "b") as path,
    ):
        (path / "x").write_text("\ud83d", encoding="utf-8")
    assert not any(tmp_path.iterdir())
