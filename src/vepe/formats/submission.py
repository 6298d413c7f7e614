"""A PoseTrack submission: one JSON per sequence, with the ground truth's names and frames.

Source: poseval's README. The evaluator pairs files by name and frames by position, needs every
frame, joint scores for AP, and track ids below 1000 that are unique within a frame.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.files import check_targets, replacing, safe_name
from vepe.formats.posetrack17 import write_posetrack17
from vepe.formats.posetrack18_writer import require_posetrack_joints, write_posetrack18

MAX_TRACK_ID = 999
"""Largest id that poseval's README allows (its code: 9999)."""


@dataclass
class SubmissionNotes:
    """Counts of what was changed, with a line for the user about each."""

    empty_frames: int = 0
    dropped_frames: int = 0
    new_ids: int = 0
    renumbered: int = 0
    without_scores: int = 0

    def lines(self) -> list[str]:
        """One line for each thing that happened."""
        texts = {
            "empty_frames": "Frames without a prediction, added empty",
            "dropped_frames": "Frames that are not in the ground truth, left out",
            "new_ids": "People without a track id or with a taken one, given an arbitrary one",
            "renumbered": f"Sequences with track ids over {MAX_TRACK_ID}, renumbered from 0",
            "without_scores": "People without keypoint scores, by which AP ranks keypoints",
        }
        return [f"{text}: {getattr(self, k)}." for k, text in texts.items() if getattr(self, k)]


def write_submission(
    path: Path,
    results: Iterable[AnnotatedSequence],
    gt: Iterable[AnnotatedSequence] = (),
    *,
    overwrite: bool = False,
) -> list[str]:
    """Writes `path` (a folder, or a .zip) and returns lines about what was changed.

    With ground truth, files take its names, formats (2017 or 2018), frames, image names and ids.
    Results are paired with it by name; frames by image name, or by position if their numbers
    agree. Without it, every sequence is written as it is, in PoseTrack18's layout.

    Args:
        path: the folder or archive to write.
        results: the predictions.
        gt: the ground truth, or nothing.
        overwrite: whether existing files may be replaced; files that were read never may.

    Raises:
        VepeError: if a sequence of the ground truth has no result, frames cannot be paired, a
            joint of PoseTrack is missing, or a file exists already.
    """
    notes = SubmissionNotes()
    results, gt = tuple(results), tuple(gt)
    by_name = {sequence.name: sequence for sequence in results}
    ready: list[tuple[str, AnnotatedSequence, bool]] = []
    names = set()
    for target in gt:
        if target.name not in by_name:
            raise VepeError(
                f"The results have no sequence '{target.name}' of {target.source}; add it."
            )
        names.add(target.name)
        aligned = _align(by_name[target.name], target, notes)
        ready.append((target.name, aligned, target.format == "posetrack17"))
    if not names:
        ready = [(s.name, s, False) for s in by_name.values()]
    elif names != set(by_name):
        extra = sorted(set(by_name) - names)[0]
        raise VepeError(f"The ground truth has no sequence '{extra}'; remove it from the results.")
    ready = [(name, _with_ids(sequence, notes), old) for name, sequence, old in ready]
    files = [_file(path, name) for name, _, _ in ready] if path.suffix.lower() != ".zip" else [path]
    check_targets(files, {s.source for s in (*results, *gt)}, overwrite=overwrite)
    _write(path, ready)
    return notes.lines()


def _write(path: Path, ready: list[tuple[str, AnnotatedSequence, bool]]) -> None:
    if path.suffix.lower() != ".zip":
        for name, sequence, old in ready:
            _write_one(_file(path, name), sequence, old)
        return
    with (
        TemporaryDirectory() as folder,
        replacing(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, sequence, old in ready:
            file = _write_one(_file(Path(folder), name), sequence, old)
            archive.write(file, file.name)
            file.unlink()


def _file(folder: Path, name: str) -> Path:
    return folder / f"{safe_name(name)}.json"


def _write_one(path: Path, sequence: AnnotatedSequence, old: bool) -> Path:
    require_posetrack_joints(sequence, "a PoseTrack submission")
    return (write_posetrack17 if old else write_posetrack18)(path, sequence)


def _align(
    result: AnnotatedSequence, gt: AnnotatedSequence, notes: SubmissionNotes
) -> AnnotatedSequence:
    """The result with the ground truth's frames, in its order."""
    by_image = {PurePosixPath(f.file_name).name: f for f in result.frames if f.file_name}
    names = [PurePosixPath(f.file_name).name for f in gt.frames]
    if len(by_image) == len(result.frames) and set(by_image) & set(names):
        chosen = [by_image.get(name) for name in names]
    elif len(result) == len(gt):
        chosen = list(result.frames)
    else:
        raise VepeError(
            f"{result.source} has {len(result)} frames, {gt.source} has {len(gt)}, and their "
            "image names differ; give results with the ground truth's images."
        )
    notes.empty_frames += sum(frame is None for frame in chosen)
    notes.dropped_frames += len(result) - sum(frame is not None for frame in chosen)
    frames = tuple(_with_people_of(f, pred) for f, pred in zip(gt.frames, chosen, strict=True))
    return replace(result, frames=frames)


def _with_people_of(gt: AnnotatedFrame, pred: AnnotatedFrame | None) -> AnnotatedFrame:
    """The frame of the ground truth with the predicted people."""
    people = () if pred is None else pred.people
    return AnnotatedFrame(
        index=gt.index,
        file_name=gt.file_name,
        image_id=gt.image_id,
        is_labeled=gt.is_labeled,
        has_annotations=bool(people),
        people=people,
        time_s=None if pred is None else pred.time_s,
    )


def _with_ids(sequence: AnnotatedSequence, notes: SubmissionNotes) -> AnnotatedSequence:
    """The sequence with track ids from 0 to 999, unique within a frame."""
    ids = {p.track_id for f in sequence.frames for p in f.people if p.track_id is not None}
    renumber = {i: i for i in ids}
    if ids and (max(ids) > MAX_TRACK_ID or min(ids) < 0):
        notes.renumbered += 1
        renumber = {old: new for new, old in enumerate(sorted(ids))}
        if len(ids) > MAX_TRACK_ID + 1:
            raise VepeError(
                f"{sequence.source} has {len(ids)} tracks and PoseTrack takes {MAX_TRACK_ID + 1}; "
                "drop short or low-scoring tracks first."
            )
    frames = tuple(
        replace(frame, people=_unique_ids(frame.people, renumber, notes))
        for frame in sequence.frames
    )
    return replace(sequence, frames=frames)


def _unique_ids(
    people: tuple[Person, ...], renumber: dict[int, int], notes: SubmissionNotes
) -> tuple[Person, ...]:
    own_ids = [None if p.track_id is None else renumber[p.track_id] for p in people]
    free = iter(i for i in range(MAX_TRACK_ID + 1 + len(people)) if i not in set(own_ids))
    taken: set[int] = set()
    result = []
    for person, track_id in zip(people, own_ids, strict=True):
        if track_id is None or track_id in taken:
            track_id = next(free)
            notes.new_ids += 1
        taken.add(track_id)
        notes.without_scores += bool(np.isnan(person.keypoint_scores).all())
        result.append(replace(person, track_id=track_id))
    return tuple(result)
