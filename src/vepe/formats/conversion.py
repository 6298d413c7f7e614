"""From any format to any other, file by file, saying what is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vepe.errors import VepeError
from vepe.formats.annotations import Sequence
from vepe.formats.coco_writer import write_coco_video
from vepe.formats.csv_table import write_csv
from vepe.formats.detect import read_any
from vepe.formats.files import check_targets, safe_name
from vepe.formats.holdings import left_behind
from vepe.formats.mot import write_mot
from vepe.formats.openpose import write_openpose
from vepe.formats.parquet import write_parquet
from vepe.formats.posetrack17 import write_posetrack17
from vepe.formats.posetrack18_writer import require_posetrack_joints, write_posetrack18
from vepe.formats.submission import write_submission

SYNONYMS = {"coco-video": "coco", "cvat": "coco"}
"""Other names of formats: CVAT opens the COCO file with track ids that is written."""

_SINGLE: dict[str, tuple[str, Callable[[Path, Sequence], Path]]] = {
    "posetrack17": (".json", write_posetrack17),
    "posetrack18": (".json", lambda path, s: write_posetrack18(path, s)),
    "posetrack21": (".json", partial(write_posetrack18, year=2021)),
    "csv": (".csv", write_csv),
    "parquet": (".parquet", write_parquet),
    "mot": (".txt", write_mot),
    "openpose": ("", write_openpose),
}

TARGETS = (*_SINGLE, "coco", "submission")
"""Formats that can be written."""


@dataclass(frozen=True)
class Conversion:
    """What a conversion did: the paths written, how much, and lines on what was left behind."""

    written: tuple[Path, ...]
    sequences: int
    frames: int
    people: int
    notes: tuple[str, ...]


def convert_annotations(
    source: Path,
    target: Path,
    to: str,
    *,
    from_format: str | None = None,
    like: Path | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Converts a file or folder.

    Args:
        source: file, or folder with one file a sequence.
        target: a file for one sequence (and always for coco), else a folder.
        to: one of `TARGETS`, or `coco-video` or `cvat` for coco.
        from_format: format of the source; detected where it is None.
        like: ground truth whose names, frames and year a submission takes.
        overwrite: whether files that are there may be replaced; the source may not be.

    Raises:
        VepeError: where something cannot be read, held or written, or is there already; no file
            is half written.
    """
    to = SYNONYMS.get(to, to)
    if to not in TARGETS:
        raise VepeError(f"Format '{to}' is unknown; choose one of {', '.join(TARGETS)}.")
    if like is not None and to != "submission":
        raise VepeError("--like is for submissions; leave it out or use --to submission.")
    sequences = read_any(source, SYNONYMS.get(from_format or "", from_format))
    if not any(len(s) for s in sequences):
        raise VepeError(f"{source} holds no frames; check the path.")
    notes: list[str]
    if to == "submission":
        truth = () if like is None else read_any(like)
        notes = write_submission(target, sequences, truth, overwrite=overwrite)
        written = [target]
    else:
        notes = left_behind(sequences, to)
        plan = _plan(target, to, sequences)
        read = {sequence.source for sequence in sequences}
        check_targets([path for path, _ in plan], read, overwrite=overwrite)
        written = [write(path) for path, write in plan]
    return Conversion(
        written=tuple(written),
        sequences=len(sequences),
        frames=sum(len(s) for s in sequences),
        people=sum(s.people_count() for s in sequences),
        notes=tuple(notes),
    )


def _plan(
    target: Path, to: str, sequences: tuple[Sequence, ...]
) -> list[tuple[Path, Callable[[Path], Path]]]:
    """What is to be written, each with the function that writes it there."""
    if to == "coco":
        file = target if target.suffix.lower() == ".json" else target / "annotations.json"
        return [(file, lambda path: write_coco_video(path, sequences))]
    if to.startswith("posetrack"):
        for sequence in sequences:
            require_posetrack_joints(sequence, to)
    ending, write = _SINGLE[to]
    writers = [_bound(write, sequence) for sequence in sequences]
    if len(sequences) == 1 and (target.suffix.lower() == ending):
        return [(target, writers[0])]
    if target.suffix.lower() in (".json", ".csv", ".parquet", ".txt", ".zip"):
        what = f"a file ending in {ending}" if len(sequences) == 1 and ending else "a folder"
        raise VepeError(f"{target} cannot take {len(sequences)} {to} sequence(s); name {what}.")
    names = [safe_name(s.name) for s in sequences]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise VepeError(f"Two sequences are called '{twice}'; rename one of the sources.")
    paths = [target / f"{name}{ending}" for name in names]
    return list(zip(paths, writers, strict=True))


def _bound(write: Callable[[Path, Sequence], Path], sequence: Sequence) -> Callable[[Path], Path]:
    return lambda path: write(path, sequence)
