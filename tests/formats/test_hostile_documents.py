"""Documents that state what no honest one does."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from vepe.data.index_cache import load_index
from vepe.errors import VepeError
from vepe.formats.coco_writer import write_coco_video
from vepe.formats.conversion import convert_annotations
from vepe.formats.detect import read_any
from vepe.formats.files import load_json

NEW = Path(__file__).parent / "data" / "pt18_000902_mpii_test.json"


def test_huge_integer_in_json_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" + "1" * 5000 + "]")
    with pytest.raises(VepeError, match="too many digits"):
        load_json(path)


def test_label_cache_with_object_arrays_is_discarded(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, about=np.array([{}], object))
    assert load_index(path, "stamp") is None


@pytest.mark.parametrize("to", ["parquet", "csv", "hdf5", "posetrack18", "coco", "label-studio"])
@pytest.mark.parametrize("place", ["video", "keypoint"])
def test_names_that_are_no_unicode_end_with_a_sentence_or_as_json(
    tmp_path: Path, to: str, place: str
) -> None:
    source = write_coco_video(tmp_path / "a.json", read_any(NEW))
    document = json.loads(source.read_text())
    if place == "video":
        for video in document["videos"]:
            video["name"] = "\ud800"
        for image in document["images"]:
            image["file_name"] = f"\ud800/{image['id']}.jpg"
    else:
        document["categories"][0]["keypoints"][0] = "\ud800"
    source.write_text(json.dumps(document))
    with suppress(VepeError):
        convert_annotations(source, tmp_path / "out", to)
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith("-part")]
