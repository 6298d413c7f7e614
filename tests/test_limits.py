"""Limits: their defaults hold, a variable raises each, and passing one is a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vepe.errors import VepeError
from vepe.formats.files import load_json
from vepe.formats.table import read_csv
from vepe.image_header import image_header
from vepe.limits import LIMITS, advice, limit
from vepe.video.images import read_image


def image(folder: Path) -> Path:
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / "a.png")
    return folder / "a.png"


def nested(folder: Path) -> Path:
    (folder / "a.json").write_text(json.dumps([[[[]]]]))
    return folder / "a.json"


def table(folder: Path) -> Path:
    (folder / "a.csv").write_text("frame_index,track_id,nose_x,nose_y\n0,1,2,3\n1,1,4,5\n")
    return folder / "a.csv"


def large(folder: Path) -> Path:
    (folder / "a.json").write_text(" " * 2_000_000 + "[]")
    return folder / "a.json"


@pytest.mark.parametrize(
    ("name", "low", "make", "read"),
    [
        ("VEPE_MAX_PIXELS", 1999, image, read_image),
        ("VEPE_MAX_JSON_DEPTH", 3, nested, load_json),
        ("VEPE_MAX_TABLE_CELLS", 15, table, read_csv),
        ("VEPE_MAX_DOCUMENT_MB", 1, large, load_json),
    ],
)
def test_each_limit_is_a_sentence_that_says_how_to_raise_it(
    name: str,
    low: int,
    make: Callable[[Path], Path],
    read: Callable[[Path], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = make(tmp_path)
    read(path)
    monkeypatch.setenv(name, str(low))
    with pytest.raises(VepeError, match=rf"set {name} to more than {low}") as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_headers_know_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image(tmp_path)
    assert image_header(path) == (50, 40)
    monkeypatch.setenv("VEPE_MAX_PIXELS", "1999")
    assert "more than the limit of 1999" in str(image_header(path))


def test_pillows_own_limit_is_raised_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = image(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)  # refuses twice as many
    monkeypatch.setenv("VEPE_MAX_PIXELS", "2000")
    assert read_image(path).shape == (40, 50, 3)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1e9", "9" * 19, "١"])
def test_impossible_values_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEPE_MAX_PIXELS", text)
    with pytest.raises(VepeError, match="give an integer from 1"):
        limit("VEPE_MAX_PIXELS")


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LIMITS.items():
        monkeypatch.delenv(name, raising=False)
        assert limit(name) == value
    assert advice("VEPE_MAX_PIXELS") == "or set VEPE_MAX_PIXELS to more than 100000000"
