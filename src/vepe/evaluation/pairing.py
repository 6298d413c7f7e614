"""Ground truth and prediction files brought together and checked before anything is scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, frame_place
from vepe.formats.posetrack import posetrack_files, read_sequence

MAX_TRACK_ID = 10_000
"""Track ids have to be below this (poseval since May 2018)."""

Source = str | Path | Iterable[AnnotatedSequence]
"""A folder of annotation files, one file, or sequences in memory."""


def paired_sequences(
    truth: Source, found: Source, warnings: list[str]
) -> Iterator[tuple[AnnotatedSequence, AnnotatedSequence]]:
    """Sequences of both sides by name, one pair at a time, each checked.

    Args:
        warnings: what the user should know is added here.

    Raises:
        VepeError: where a prediction is missing or cannot be scored; names file and frame.
    """
    if isinstance(truth, str | Path) and isinstance(found, str | Path):
        pairs = _paired_files(Path(truth), Path(found), warnings)
    else:
        pairs = _paired_values(_sequences(truth), _sequences(found))
    for a, b in pairs:
        check_pair(a, b, warnings)
        yield a, b


def _paired_files(
    truth: Path, found: Path, warnings: list[str]
) -> Iterator[tuple[AnnotatedSequence, AnnotatedSequence]]:
    truth_files, found_files = posetrack_files(truth), posetrack_files(found)
    if truth.is_file() and found.is_file():
        yield read_sequence(truth), read_sequence(found)
        return
    by_name = {file.stem: file for file in found_files}
    for file in truth_files:
        if file.stem not in by_name:
            where = found / f"{file.stem}.json" if found.is_dir() else found
            raise VepeError(
                f"{where} does not exist; every sequence of the ground truth needs a prediction "
                "file of the same name, be it without people."
            )
    extra = sorted(by_name.keys() - {file.stem for file in truth_files})
    if extra:
        warnings.append(
            f"{len(extra)} prediction files have no ground truth and are left out: "
            f"{', '.join(extra[:3])}{' ...' if len(extra) > 3 else ''}."
        )
    for file in truth_files:
        yield read_sequence(file), read_sequence(by_name[file.stem])


def _sequences(source: Source) -> list[AnnotatedSequence]:
    if isinstance(source, str | Path):
        return [read_sequence(file) for file in posetrack_files(Path(source))]
    return list(source)


def _paired_values(
    truth: list[AnnotatedSequence], found: list[AnnotatedSequence]
) -> Iterator[tuple[AnnotatedSequence, AnnotatedSequence]]:
    by_name = {sequence.name: sequence for sequence in found}
    for sequence in sorted(truth, key=lambda s: s.name):
        if sequence.name not in by_name:
            raise VepeError(
                f"Sequence '{sequence.name}' has no prediction; give one of the same name."
            )
        yield sequence, by_name[sequence.name]


def check_pair(truth: AnnotatedSequence, found: AnnotatedSequence, warnings: list[str]) -> None:
    """Raises VepeError, or adds warnings, where a pair cannot be scored as the originals do."""
    if len(truth) != len(found):
        raise VepeError(
            f"{found.source} has {len(found)} frames, but {truth.source} has {len(truth)}; write "
            "every frame of the sequence, also those without people or labels."
        )
    for sequence in (truth, found):
        for position, frame in enumerate(sequence.frames):
            _check_ids(frame, sequence.source, position)
    pictures = [
        (i, a.file_name, b.file_name)
        for i, (a, b) in enumerate(zip(truth.frames, found.frames, strict=True))
        if a.file_name and b.file_name and Path(a.file_name).name != Path(b.file_name).name
    ]
    if pictures:
        i, a, b = pictures[0]
        warnings.append(
            f"{found.source}: frames are paired by their place in the file, but "
            f"{len(pictures)} names differ (frame {i}: {b} against {a})."
        )
    _warn_of_points(found, truth, warnings)


def _check_ids(frame: AnnotatedFrame, source: Path, position: int) -> None:
    ids = [p.track_id for p in frame.people if p.track_id is not None]
    if len(set(ids)) != len(ids):
        twice = next(i for k, i in enumerate(ids) if i in ids[:k])
        raise VepeError(
            f"{frame_place(source, position, frame.file_name)}: track id {twice} is given twice; "
            "ids have to be unique within a frame."
        )
    over = [i for i in ids if i >= MAX_TRACK_ID]
    if over:
        raise VepeError(
            f"{frame_place(source, position, frame.file_name)}: track id {over[0]} is over the "
            f"limit; PoseTrack's evaluator takes ids below {MAX_TRACK_ID}, so renumber them."
        )


def _warn_of_points(
    found: AnnotatedSequence, truth: AnnotatedSequence, warnings: list[str]
) -> None:
    """Warns of joints that the originals take for something else than is meant."""
    people = [p for frame in found.frames for p in frame.people]
    origin = 0
    if people:
        xy = np.stack([p.keypoints_px for p in people])
        present = np.stack([p.present for p in people])
        origin = int((present & (xy == 0).all(axis=2)).sum())
    if origin:
        warnings.append(
            f"{found.source}: {origin} predicted joints lie at (0, 0) with a visibility that is "
            "not 0; poseval takes them for real points, hence false positives, the PoseTrack21 "
            "kit does not. Write missing joints as 0, 0, 0."
        )
    boxes_only = [i for i, f in enumerate(truth.frames) if f.has_annotations and not f.is_labeled]
    if boxes_only:
        warnings.append(
            f"{truth.source}: {len(boxes_only)} frames with is_labeled false hold people (first: "
            f"frame {boxes_only[0]}). poseval scores these frames, and without joints there every "
            "prediction counts as wrong; --protocol posetrack21 leaves them out."
        )
    empty = [i for i, f in enumerate(truth.frames) if f.is_labeled and not f.has_annotations]
    if empty:
        warnings.append(
            f"{truth.source}: {len(empty)} labelled frames hold nobody (first: frame {empty[0]}). "
            "poseval drops them, the PoseTrack21 kit stops on them; here its rules are carried on."
        )
