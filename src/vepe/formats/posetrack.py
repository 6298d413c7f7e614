"""Reading PoseTrack of any year; the year is detected from the file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from vepe.errors import VepeError, VepeWarning
from vepe.formats.annotations import AnnotatedSequence
from vepe.formats.files import load_json
from vepe.formats.posetrack17 import parse_posetrack17, read_posetrack17
from vepe.formats.posetrack18 import parse_posetrack18
from vepe.formats.records import NoPosesError

Sequences = tuple[AnnotatedSequence, ...]


def posetrack_files(path: Path) -> list[Path]:
    """The annotation files of a folder, sorted by name, or the file itself.

    `X.json` is preferred over `X.mat`. A folder that has none, but one folder with some (the
    parent of `val`), stands for that folder, with a warning.

    Raises:
        VepeError: if the path does not exist, or the folder has no annotation file.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise VepeError(f"{path} does not exist; name a folder of annotation files, or one file.")
    files = _files_in(path)
    if files:
        return files
    below = {d: _files_in(d) for d in sorted(path.iterdir()) if d.is_dir()}
    below = {d: f for d, f in below.items() if f}
    if len(below) == 1:
        (folder, files) = next(iter(below.items()))
        warnings.warn(
            f"{path} has no annotation file itself; {folder} is read.", VepeWarning, stacklevel=2
        )
        return files
    if below:
        names = ", ".join(d.name for d in below)
        raise VepeError(
            f"{path} has no annotation file itself, but its folders {names} have; name one, such "
            f"as {next(reversed(below))}."
        )
    raise VepeError(f"{path} holds no .json or .mat file; name the folder of the annotations.")


def _files_in(folder: Path) -> list[Path]:
    files: dict[str, Path] = {}
    for pattern in ("*.mat", "*.json"):
        # A hidden file is none of the data set: macOS writes '._X.json' next to 'X.json'.
        shown = (f for f in folder.glob(pattern) if f.is_file() and not f.name.startswith("."))
        files |= {file.stem: file for file in shown}
    return [files[name] for name in sorted(files)]


def read_sequences(path: Path) -> Sequences:
    """The sequences of a PoseTrack17 (JSON, .mat), 18 or 21 file: one, or those of a merged file.

    Raises:
        VepeError: if the file is none of these; says what is wrong with it.
    """
    path = Path(path)
    if path.suffix.lower() == ".mat":
        return (read_posetrack17(path),)
    return parse_sequences(load_json(path), path)


def read_sequence(path: Path) -> AnnotatedSequence:
    """The sequence of a file that holds one. Raises VepeError where it holds several."""
    sequences = read_sequences(path)
    if len(sequences) != 1:
        raise VepeError(f"{path} holds {len(sequences)} sequences; give a file with one.")
    return sequences[0]


def parse_sequences(data: Any, source: Path) -> Sequences:
    """The sequences of a loaded document; see `read_sequences`."""
    if isinstance(data, dict) and "annolist" in data:
        return (parse_posetrack17(data, source),)
    if isinstance(data, dict) and ("images" in data or "annotations" in data):
        return parse_posetrack18(data, source)
    raise NoPosesError(
        f"{source} is not a PoseTrack file: it has neither 'annolist' (2017) nor 'images' and "
        "'annotations' (2018, 2021); check what it is."
    )


def read_files(
    files: Iterable[Path], read: Callable[[Path], Sequences] = read_sequences
) -> Iterator[AnnotatedSequence]:
    """The sequences of files, one file at a time.

    Files without poses (a list of detections next to the annotations) are left out with a
    warning.

    Raises:
        VepeError: if none has poses, or one is broken.
    """
    files = list(files)
    skipped: list[Path] = []
    for file in files:
        try:
            yield from read(file)
        except NoPosesError as error:
            skipped.append(file)
            if len(skipped) == len(files):
                several = f"None of these {len(files)} files has poses. " if len(files) > 1 else ""
                raise VepeError(f"{several}{error}{_below(file)}") from None
    if skipped:
        rest = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        warnings.warn(
            f"Left out, since they hold no poses: {', '.join(map(str, skipped[:3]))}{rest}.",
            VepeWarning,
            stacklevel=2,
        )


def _below(file: Path) -> str:
    """A hint at the folders next to a file that have annotation files."""
    folders = [d for d in sorted(file.parent.iterdir()) if d.is_dir() and _files_in(d)]
    named = ", ".join(map(str, folders))
    return f" Folders with annotation files are next to it: {named}; name one." if named else ""


def iter_posetrack(path: Path) -> Iterator[AnnotatedSequence]:
    """The sequences of a folder or a file, one file at a time, by name of the file.

    Raises:
        VepeError: see `posetrack_files` and `read_files`.
    """
    return read_files(posetrack_files(path))


def read_posetrack(path: Path) -> Sequences:
    """All sequences of a folder or a file. See `iter_posetrack`."""
    return tuple(iter_posetrack(path))
