"""Labels are parsed once: the index of a set is kept in a file and mapped from there.

The file is a plain `.npz` (uncompressed), named by what was read. It holds a stamp of the source
files (path, size, time of change) and of the format; where that differs, or a checksum of the
zip fails, the index is built anew. It is written beside and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vepe.data.label_index import LabelIndex
from vepe.errors import VepeError
from vepe.formats.files import replacing

VERSION = 2
"""Of the arrays in the file and of how they are made; raise it when either changes."""


def cache_folder() -> Path:
    """Where indices and fetched shards are kept: $VEPE_CACHE, or `vepe` in the user's cache."""
    own = os.environ.get("VEPE_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vepe"


@dataclass(frozen=True, kw_only=True)
class MappedIndex(LabelIndex):
    """An index in a file; a process that gets it from another maps the same file."""

    file: Path
    stamp: str

    def __reduce__(self) -> tuple[Any, ...]:
        return _mapped_again, (self.file, self.stamp, self.places)


def _mapped_again(file: Path, stamp: str, places: tuple[str, ...]) -> LabelIndex:
    """The index that another process has open."""
    index = load_index(file, stamp)
    if index is None:
        raise VepeError(f"'{file}' changed while it was in use; start again.")
    return replace(index, places=places)


def cached_index(
    sources: Sequence[Path],
    build: Callable[[], LabelIndex],
    *,
    options: str = "",
    folder: Path | None = None,
) -> LabelIndex:
    """The index of some files: from the cache where it holds it, else built and put there.

    Args:
        sources: all files that the index depends on.
        build: makes the index from them.
        options: whatever else it depends on, as a text.
        folder: of the cache; `cache_folder()` unless given.

    Where the cache cannot be written, the index is used all the same.
    """
    names = json.dumps([str(path.resolve()) for path in sources])
    key = hashlib.sha256(f"{names}{options}".encode()).hexdigest()[:24]
    path = (folder or cache_folder()) / "labels" / f"{key}.npz"
    stamp = _stamp(sources, options)
    found = load_index(path, stamp)
    if found is not None:
        return found
    index = build()
    try:
        save_index(path, index, stamp)
    except VepeError:  # a full or barred disk: slower next time, and nothing worse
        return index
    return load_index(path, stamp) or index


def _stamp(sources: Sequence[Path], options: str) -> str:
    """What the files look like from outside."""
    sha = hashlib.sha256(f"{VERSION} {options}".encode())
    for path in sources:
        state = path.stat()
        sha.update(f"{path.resolve()} {state.st_size} {state.st_mtime_ns}\n".encode())
    return sha.hexdigest()


def save_index(path: Path, index: LabelIndex, stamp: str) -> None:
    """Writes an index, beside and renamed. Raises VepeError where it cannot."""
    about = {"stamp": stamp, "keypoints": index.keypoints, "places": index.places}
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with replacing(path) as beside, beside.open("wb") as file:
        np.savez(file, about=text, **index.arrays())  # type: ignore[arg-type]


def load_index(path: Path, stamp: str) -> LabelIndex | None:
    """The index in a file, mapped into memory; None where it is missing, stale or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
            arrays = {
                info.filename.removesuffix(".npy"): _map(path, archive, info)
                for info in archive.infolist()
            }
        about = json.loads(bytes(arrays.pop("about")))
        if about["stamp"] != stamp:
            return None
        return MappedIndex(
            tuple(about["keypoints"]), tuple(about["places"]), **arrays, file=path, stamp=stamp
        )
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError):
        return None


def _map(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray[Any, Any]:
    """One array of an uncompressed .npz, without reading it."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(member)
        header = member.tell()
    if dtype.hasobject or any(size < 0 for size in shape):
        raise ValueError("The array holds objects or has no valid shape.")
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = np.frombuffer(file.read(4), "<u2")
    if not np.prod(shape) or fortran:
        return np.zeros(shape, dtype)
    start = info.header_offset + 30 + int(name) + int(extra) + header
    return np.memmap(path, dtype, "r", start, shape)
