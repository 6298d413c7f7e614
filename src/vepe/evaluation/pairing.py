"""Pairs ground truth and prediction files, and checks each pair before anything is scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, frame_place
from vepe.formats.posetrack import (
    posetrack_files,
    read_files,
    read_posetrack,
    read_sequence,
    read_sequences,
)

MAX_TRACK_ID = 10_000
"""Track ids have to be below this (poseval since May 2018)."""

Source = str | Path | Iterable[AnnotatedSequence]
"""A folder of annotation files, one file, or sequences in memory."""


def paired_sequences(
    gt: Source, pred: Source, warnings: list[str]
) -> Iterator[tuple[AnnotatedSequence, AnnotatedSequence]]:
    """Yields ground truth and prediction of each sequence, by name, one pair at a time.

    Args:
        warnings: messages for the user are appended here.

    Raises:
        VepeError: if a prediction is missing or cannot be scored; names the file and the frame.
    """
    if isinstance(gt, str | Path) and isinstance(pred, str | Path):
        pairs = _paired_files(Path(gt), Path(pred), warnings)
    else:
        pairs = _paired_in_memory(_sequences(gt), _sequences(pred))
    for gt_sequence, pred_sequence in pairs:
        _check_pair(gt_sequence, pred_sequence, warnings)
        yield gt_sequence, pred_sequence


def _paired_files(
    gt: Path, pred: Path, warnings: list[str]
) -> Iterator[tuple[AnnotatedSequence, AnnotatedSequence]]:
    gt_files, pred_files = posetrack_files(gt), posetrack_files(pred)
    if gt.is_file() and pred.is_file():
        sides = read_sequences(gt), read_sequences(pred)
        if len(sides[0]) == len(sides[1]) == 1:
            yield sides[0][0], sides[1][0]
            return
    by_name = {file.stem: file for file in pred_files}
    merged: dict[str, AnnotatedSequence] | None = None  # sequences of files with other names
    used: set[str] = set()
    for sequence in read_files(gt_files):
        if sequence.name in by_name:
            used.add(sequence.name)
            yield sequence, read_sequence(by_name[sequence.name])
            continue
        if merged is None:
            others = [by_name[name] for name in sorted(by_name.keys() - used)]
            merged = {s.name: s for s in read_files(others)} if others else {}
        if sequence.name not in merged:
            where = pred / f"{sequence.name}.json" if pred.is_dir() else f"'{sequence.name}'"
            raise VepeError(
                f"{where} does not exist in the predictions; every sequence of the ground truth "
                "needs one of the same name, even if it has no people."
            )
        used.add(merged[sequence.name].source.stem)
        yield sequence, merged[sequence.name]
    extra = sorted(by_name.keys() - used)
    if extra:
        warnings.append(
            f"{len(extra)} prediction files have no ground truth and are left out: "
            f"{', '.join(extra[:3])}{' ...' if len(extra) > 3 else ''}."
        )


def _sequences(source: Source) -> list[AnnotatedSequence]:
    return list(read_posetrack(Path(source)) if isinstance(source, str | Path) else source)


def _paired_in_memory(
    gt: list[AnnotatedSequence], pred: list[AnnotatedSequence]
) -> Iterator[tuple[AnnotatedSequence, AnnotatedSequence]]:
    by_name = {sequence.name: sequence for sequence in pred}
    for sequence in sorted(gt, key=lambda s: s.name):
        if sequence.name not in by_name:
            raise VepeError(
                f"Sequence '{sequence.name}' has no prediction; give one of the same name."
            )
        yield sequence, by_name[sequence.name]


def _check_pair(gt: AnnotatedSequence, pred: AnnotatedSequence, warnings: list[str]) -> None:
    """Raises VepeError, or adds warnings, where the originals would fail or mislead."""
    if len(gt) != len(pred):
        raise VepeError(
            f"{pred.source} has {len(pred)} frames, but {gt.source} has {len(gt)}; write "
            "every frame of the sequence, including those without people or labels."
        )
    for sequence in (gt, pred):
        for position, frame in enumerate(sequence.frames):
            _check_ids(frame, sequence.source, position)
    differing = [
        (i, a.file_name, b.file_name)
        for i, (a, b) in enumerate(zip(gt.frames, pred.frames, strict=True))
        if a.file_name and b.file_name and Path(a.file_name).name != Path(b.file_name).name
    ]
    if differing:
        i, gt_name, pred_name = differing[0]
        warnings.append(
            f"{pred.source}: frames are paired by their position in the file, but "
            f"{len(differing)} names differ (frame {i}: {pred_name} against {gt_name})."
        )
    _warn_of_origin(pred, warnings)
    _warn_of_frames(gt, warnings)


def _check_ids(frame: AnnotatedFrame, source: Path, position: int) -> None:
    ids = [p.track_id for p in frame.people if p.track_id is not None]
    if len(set(ids)) != len(ids):
        repeated = next(i for k, i in enumerate(ids) if i in ids[:k])
        raise VepeError(
            f"{frame_place(source, position, frame.file_name)}: track id {repeated} is given "
            "twice; ids have to be unique within a frame."
        )
    over = [i for i in ids if i >= MAX_TRACK_ID]
    if over:
        raise VepeError(
            f"{frame_place(source, position, frame.file_name)}: track id {over[0]} is over the "
            f"limit; PoseTrack's evaluator takes ids below {MAX_TRACK_ID}, so renumber them."
        )


def _warn_of_origin(pred: AnnotatedSequence, warnings: list[str]) -> None:
    people = [p for frame in pred.frames for p in frame.people]
    if not people:
        return
    xy = np.stack([p.keypoints_px for p in people])  # (P, J, 2)
    present = np.stack([p.present for p in people])
    origin = int((present & (xy == 0).all(axis=2)).sum())
    if origin:
        warnings.append(
            f"{pred.source}: {origin} predicted joints lie at (0, 0) with a visibility other than "
            "0; poseval takes them for real points, hence false positives, the PoseTrack21 "
            "kit does not. Write missing joints as 0, 0, 0."
        )


def _warn_of_frames(gt: AnnotatedSequence, warnings: list[str]) -> None:
    boxes_only = [i for i, f in enumerate(gt.frames) if f.has_annotations and not f.is_labeled]
    if boxes_only:
        warnings.append(
            f"{gt.source}: {len(boxes_only)} frames with is_labeled false hold people (first: "
            f"frame {boxes_only[0]}). poseval scores these frames, and without joints there every "
            "prediction counts as wrong; --protocol posetrack21 leaves them out."
        )
    empty = [i for i, f in enumerate(gt.frames) if f.is_labeled and not f.has_annotations]
    if empty:
        warnings.append(
            f"{gt.source}: {len(empty)} labelled frames hold nobody (first: frame {empty[0]}). "
            "poseval drops them; the PoseTrack21 kit fails on them, here they count as frames "
            "without people."
        )
