"""Reading PoseTrack of any year; the year is detected from the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedSequence
from vepe.formats.files import load_json
from vepe.formats.posetrack17 import parse_posetrack17, read_posetrack17
from vepe.formats.posetrack18 import parse_posetrack18


def posetrack_files(path: Path) -> list[Path]:
    """The annotation files of a folder, sorted by name, or the file itself.

    `X.json` is preferred over `X.mat`.

    Raises:
        VepeError: if the path does not exist, or the folder has no annotation file.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise VepeError(f"{path} does not exist; name a folder of annotation files, or one file.")
    files: dict[str, Path] = {}
    for pattern in ("*.mat", "*.json"):
        # A hidden file is none of the data set: macOS writes '._X.json' next to 'X.json'.
        shown = (f for f in path.glob(pattern) if f.is_file() and not f.name.startswith("."))
        files |= {file.stem: file for file in shown}
    if not files:
        raise VepeError(f"{path} holds no .json or .mat file; name the folder of the annotations.")
    return [files[name] for name in sorted(files)]


def read_sequence(path: Path) -> AnnotatedSequence:
    """One sequence from a PoseTrack17 (JSON, .mat), 18 or 21 file.

    Raises:
        VepeError: if the file is none of these; says what is wrong with it.
    """
    path = Path(path)
    if path.suffix.lower() == ".mat":
        return read_posetrack17(path)
    return parse_sequence(load_json(path), path)


def parse_sequence(data: Any, source: Path) -> AnnotatedSequence:
    """One sequence from a loaded document; see `read_sequence`."""
    if isinstance(data, dict) and "annolist" in data:
        return parse_posetrack17(data, source)
    if isinstance(data, dict) and ("images" in data or "annotations" in data):
        return parse_posetrack18(data, source)
    raise VepeError(
        f"{source} is not a PoseTrack file: it has neither 'annolist' (2017) nor 'images' and "
        "'annotations' (2018, 2021); check what it is."
    )


def iter_posetrack(path: Path) -> Iterator[AnnotatedSequence]:
    """The sequences of a folder (or the one of a file), one at a time, by name.

    Raises:
        VepeError: see `posetrack_files` and `read_sequence`.
    """
    for file in posetrack_files(path):
        yield read_sequence(file)


def read_posetrack(path: Path) -> tuple[AnnotatedSequence, ...]:
    """All sequences of a folder (or the one of a file), by name. See `iter_posetrack`."""
    return tuple(iter_posetrack(path))
