"""Labels are parsed once: the index of a data set is stored in a file and mapped from it.

The file is a safetensors file, named by a hash of what was read. Its header has a stamp of the
source files (path, size, times) and of the format, and a checksum of the arrays; if
either differs, the index is built again. It is written to a temporary file and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vepe.config.documents import parse_json
from vepe.data.label_index import LabelIndex
from vepe.errors import VepeError
from vepe.formats.files import replacing

VERSION = 4
"""Of the arrays in the file and of how they are computed; increase it when either changes."""


def cache_folder() -> Path:
    """Folder of indices and fetched shards: $VEPE_CACHE, or `vepe` in the user's cache folder."""
    own = os.environ.get("VEPE_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vepe"


@dataclass(frozen=True, kw_only=True)
class MappedIndex(LabelIndex):
    """An index in a file; when pickled, the other process maps the same file."""

    file: Path
    stamp: str

    def __reduce__(self) -> tuple[Any, ...]:
        return _map_again, (self.file, self.stamp, self.places)


def _map_again(file: Path, stamp: str, places: tuple[str, ...]) -> LabelIndex:
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
    """The index of some files: from the cache if it is there, else built and stored.

    If the cache cannot be written, the index is returned all the same.

    Args:
        sources: all files that the index depends on.
        build: makes the index from them.
        options: everything else that it depends on, as text.
        folder: cache folder; `cache_folder()` by default.
    """
    names = json.dumps([str(path.resolve()) for path in sources])
    key = hashlib.sha256(f"{names}{options}".encode()).hexdigest()[:24]
    path = (folder or cache_folder()) / "labels" / f"{key}.safetensors"
    stamp = _stamp(sources, options)
    cached = load_index(path, stamp)
    if cached is not None:
        return cached
    index = build()
    try:
        save_index(path, index, stamp)
    except VepeError:  # full disk or no permission: slower next time, nothing worse
        return index
    return load_index(path, stamp) or index


def _stamp(sources: Sequence[Path], options: str) -> str:
    """A hash of the files' paths, sizes, and times of modification and of any change.

    The latter tells files apart that were replaced with the modification time of the old one.
    """
    sha = hashlib.sha256(f"{VERSION} {options}".encode())
    for path in sources:
        state = path.stat()
        sha.update(f"{path.resolve()} {state.st_size} {state.st_mtime_ns} ".encode())
        sha.update(f"{state.st_ctime_ns}\n".encode())
    return sha.hexdigest()


def save_index(path: Path, index: LabelIndex, stamp: str) -> None:
    """Writes an index to a temporary file and renames it. Raises VepeError if it cannot."""
    arrays = {name: np.ascontiguousarray(array) for name, array in index.arrays().items()}
    about = {"keypoints": index.keypoints, "places": index.places}
    metadata = {"stamp": stamp, "checksum": _checksum(arrays), "about": json.dumps(about)}
    content = save(arrays, metadata=metadata)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load_index(path: Path, stamp: str) -> LabelIndex | None:
    """The index in a file, mapped into memory; None if it is missing, stale or damaged."""
    if not path.is_file():
        return None
    try:
        # As torch tensors, because safetensors maps those and copies numpy arrays.
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("stamp") != stamp:
                return None
            arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118
        if metadata["checksum"] != _checksum(arrays):
            return None
        about = parse_json(metadata["about"], "about")
        for array in arrays.values():
            array.flags.writeable = False
        return MappedIndex(
            tuple(about["keypoints"]), tuple(about["places"]), **arrays, file=path, stamp=stamp
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, VepeError):
        return None


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    value = 0
    for name in sorted(arrays):
        array = arrays[name]
        value = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), value)
        if array.size:
            value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return f"{value:08x}"
