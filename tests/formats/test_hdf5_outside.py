"""HDF5 files whose values lie in other files are refused; damaged ones are one sentence."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.formats.hdf5 import read_hdf5

h5py = pytest.importorskip("h5py")


def layout(file: Any) -> None:
    file["node_names"] = np.array([b"nose"], "S")


def linked(file: Any, other: Path) -> None:
    file["tracks"] = h5py.ExternalLink(str(other), "tracks")


def stored_outside(file: Any, other: Path) -> None:
    file.create_dataset("tracks", (1, 2, 1, 1), np.float64, external=[(str(other), 0, 16)])


def virtual(file: Any, other: Path) -> None:
    outside = h5py.VirtualLayout((1, 2, 1, 1), np.float64)
    outside[:] = h5py.VirtualSource(str(other), "tracks", (1, 2, 1, 1))
    file.create_virtual_dataset("tracks", outside)


@pytest.mark.parametrize("make", [linked, stored_outside, virtual])
def test_values_in_other_files_are_not_read(
    tmp_path: Path, make: Callable[[Any, Path], None]
) -> None:
    other, path = tmp_path / "other.h5", tmp_path / "a.h5"
    with h5py.File(other, "w") as file:
        file["tracks"] = np.ones((1, 2, 1, 1))
    with h5py.File(path, "w") as file:
        layout(file)
        make(file, other)
    with pytest.raises(VepeError, match="'tracks' lies in another file"):
        read_hdf5(path)


def test_damaged_bytes_give_a_sentence(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        layout(file)
        file["tracks"] = np.ones((1, 2, 1, 3))
    good = path.read_bytes()
    assert len(read_hdf5(path).frames) == 3
    for _ in range(150):
        raw = bytearray(good)
        for at in rng.integers(0, len(raw), rng.integers(1, 5)):
            raw[at] = rng.integers(256)
        path.write_bytes(raw)
        with suppress(VepeError):  # anything else is a bug
            read_hdf5(path)
