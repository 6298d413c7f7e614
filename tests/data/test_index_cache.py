"""The cache is used, and built again when it must be."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from figures.sets import write_coco
from vepe.data import index_cache as label_cache
from vepe.data.index_cache import cached_index, load_index
from vepe.data.label_index import LabelIndex
from vepe.data.read_labels import read_label_files


def read(files: list[Path], root: Path, *, single: bool = False) -> LabelIndex:
    return read_label_files(files, root, single=single, cache=root / "cache")


class Counted:
    """Builds an index and counts how often."""

    def __init__(self, index: LabelIndex) -> None:
        self.index, self.calls = index, 0

    def __call__(self) -> LabelIndex:
        self.calls += 1
        return self.index


def test_cache_is_used_until_the_source_changes_or_it_is_damaged(tmp_path: Path) -> None:
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
    pickled = pickle.dumps(replace(second, places=("elsewhere",)))
    assert len(pickled) < 1000  # so do processes that do not inherit it
    unpickled = pickle.loads(pickled)
    assert unpickled.places == ("elsewhere",)
    np.testing.assert_array_equal(unpickled.keypoints_px, built.keypoints_px)
    (file,) = (place / "labels").glob("*.safetensors")
    os.utime(source, ns=(1, 1))
    load()
    assert counted.calls == 2
    source.write_bytes(source.read_bytes())  # of the same size, and made to look as old
    os.utime(source, ns=(1, 1))
    load()
    assert counted.calls == 3
    content = file.read_bytes()
    changed = content[:2000] + b"\x01" + content[2001:]
    flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    damages = (content[: len(content) // 2], changed, flipped, b"", b"text")
    for number, damaged in enumerate(damages, start=4):
        file.write_bytes(damaged)
        assert np.array_equal(load().keypoints_px, built.keypoints_px)
        assert counted.calls == number
    cached_index([source], counted, folder=place, options="other")
    assert counted.calls == 4 + len(damages)
    assert load_index(file, "another stamp") is None
    assert not list((place / "labels").glob(".*-part"))


def test_other_versions_and_unwritable_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_coco(tmp_path)
    source = tmp_path / "labels.json"
    counted = Counted(read([source], tmp_path, single=True))
    cached_index([source], counted, folder=tmp_path / "x")
    monkeypatch.setattr(label_cache, "VERSION", label_cache.VERSION + 1)
    cached_index([source], counted, folder=tmp_path / "x")
    assert counted.calls == 2
    (tmp_path / "file").write_text("no folder")
    assert len(cached_index([source], counted, folder=tmp_path / "file")) == 4
