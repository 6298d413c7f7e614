"""The reader of .mat files: as SciPy's on good files, one sentence on damaged ones."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vepe.errors import VepeError
from vepe.formats import matlab
from vepe.formats.matlab import read_mat
from vepe.formats.posetrack17 import read_posetrack17


def annolist() -> np.ndarray:
    """Two frames of a person each, in the layout of PoseTrack17."""
    point = np.zeros((1, 2), [("id", object), ("x", object), ("y", object)])
    point[0, 0], point[0, 1] = (0, 1.5, 2), (13, 300, -4)
    holder = np.zeros((1, 1), [("point", object)])
    holder[0, 0]["point"] = point
    rect = np.zeros((1, 1), [("track_id", object), ("annopoints", object)])
    rect[0, 0] = (7, holder)
    image = np.zeros((1, 1), [("name", object)])
    image[0, 0]["name"] = "a.jpg"
    frames = np.zeros((1, 2), [("image", object), ("annorect", object)])
    frames[0, 0], frames[0, 1] = (image, rect), (image, np.zeros((0, 0)))
    return frames


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3.5, 3.5),
        (np.int64(-(2**40)), -(2**40)),
        (np.arange(4, dtype=np.uint8), [0, 1, 2, 3]),
        (np.zeros((0, 0)), []),
        ("Grüße", "Grüße"),
        (np.array(["ab", "cd"]), ["ab", "cd"]),
        (np.array([[1, "x"]], object), [1, "x"]),
        (np.array([[True, False]]), [1, 0]),
        ({"a": 1, "b": {"c": "text"}}, {"a": 1, "b": {"c": "text"}}),
    ],
)
def test_values(tmp_path: Path, value: object, expected: object, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"other": 1, "x": value}, do_compression=compressed)
    assert read_mat(path, "x") == expected


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_bytes_give_a_sentence(
    tmp_path: Path, rng: np.random.Generator, compressed: bool
) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"annolist": annolist()}, do_compression=compressed)
    good = path.read_bytes()
    assert len(read_posetrack17(path).frames) == 2
    for _ in range(300):
        raw = bytearray(good[: rng.integers(100, len(good) + 1)])
        for at in rng.integers(0, len(raw), rng.integers(1, 6)):
            raw[at] = rng.integers(256)
        path.write_bytes(raw)
        with suppress(VepeError):  # anything else is a bug
            read_posetrack17(path)


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def array(kind: int, shape: tuple[int, ...], *rest: bytes) -> bytes:
    parts = [
        element(6, struct.pack("<II", kind, 0)),
        element(5, struct.pack(f"<{len(shape)}i", *shape)),
        element(1, b"annolist"),
    ]
    return element(14, b"".join([*parts, *rest]))


def nested(depth: int) -> bytes:
    return array(1, (1, 1), nested(depth - 1)) if depth else array(6, (0, 0), element(9, b""))


HUGE = (2**31 - 1, 2**31 - 1)
HOSTILE = {
    "huge cell": array(1, HUGE),
    "huge struct without fields": array(2, HUGE, element(5, b"\0" * 4), element(1, b"")),
    "huge struct": array(2, HUGE, element(5, struct.pack("<i", 8)), element(1, b"a" * 8)),
    "huge numbers": array(6, HUGE, element(9, b"")),
    "negative shape": array(6, (-1, 1), element(9, b"")),
    "element longer than the file": struct.pack("<II", 14, 2**32 - 1),
    "deep": nested(500),
    "bomb": element(15, zlib.compress(bytes(3_000_000))),
    "many values": array(6, (2, 600_000), element(2, bytes(1_200_000))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_sizes_are_checked_before_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(matlab, "MAX_BYTES", 2_000_000)
    monkeypatch.setattr(matlab, "MAX_VALUES", 1_000_000)
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + HOSTILE[name])
    with pytest.raises(VepeError, match=r"a\.mat is not a readable \.mat file"):
        read_mat(path, "annolist")


def test_hdf5_form_and_missing_variable(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF")
    with pytest.raises(VepeError, match="-v7"):
        read_mat(path, "annolist")
    savemat(path, {"x": 1})
    with pytest.raises(VepeError, match="no 'annolist'"):
        read_mat(path, "annolist")
