"""Checks that a PoseTrack17, 18, 21 or COCO data set is complete and consistent.

`vepe data check` runs it. The rules for one sequence are in `dataset_rules`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vepe.errors import VepeError, counted
from vepe.formats.annotations import AnnotatedSequence
from vepe.formats.coco import parse_coco
from vepe.formats.data_paths import is_inside
from vepe.formats.dataset_rules import DatasetFinding, check_images, check_sequence
from vepe.formats.detect import is_coco
from vepe.formats.files import load_json
from vepe.formats.image_files import IMAGE_SUFFIXES, ImageFinder
from vepe.formats.posetrack import parse_sequences, read_sequences

TITLES = {
    "posetrack17": "PoseTrack17",
    "posetrack18": "PoseTrack18",
    "posetrack21": "PoseTrack21",
    "coco": "COCO keypoints",
}
RELEASES: dict[tuple[str, str], str] = {
    ("posetrack17", "train"): "250",
    ("posetrack17", "val"): "50",
    ("posetrack17", "test"): "214, without labels",
    ("posetrack18", "train"): "593",
    ("posetrack18", "val"): "170 (v0.45) or 74 (v0.2), whose scores must not be compared",
    ("posetrack18", "test"): "375, without labels",
    ("posetrack21", "train"): "593",
    ("posetrack21", "val"): "170",
}
"""Sequences of the official releases, by format and split."""

GET_DATA = (
    "See 'Get the data' in docs/posetrack.md: posetrack.net is offline, and nothing can be "
    "downloaded automatically."
)


@dataclass
class SplitCounts:
    """The contents of one folder of annotation files, counted."""

    files: int = 0
    sequences: int = 0
    frames: int = 0
    labeled: int = 0
    people: int = 0
    keypoints: int = 0
    tracks: int = 0
    images: int = 0

    def add(self, sequence: AnnotatedSequence) -> None:
        people = [p for f in sequence.frames for p in f.people]
        self.sequences += 1
        self.frames += len(sequence)
        self.labeled += sum(f.is_labeled for f in sequence.frames)
        self.people += len(people)
        self.keypoints += sum(int(p.present.sum()) for p in people)
        self.tracks += len({p.track_id for p in people if p.track_id is not None})

    def line(self) -> str:
        """The counts in words."""
        return (
            f"{counted(self.sequences, 'sequence')} in {counted(self.files, 'file')}, "
            f"{counted(self.frames, 'frame')} ({self.labeled} labelled, "
            f"{counted(self.images, 'image')} found), {counted(self.people, 'person', 'people')}, "
            f"{counted(self.tracks, 'track')}, {counted(self.keypoints, 'keypoint')}"
        )


@dataclass
class DatasetReport:
    """What a data set is, what it holds, and what the check found.

    Attributes:
        root: the folder of the data set.
        formats: formats of its annotation files, most frequent first.
        splits: counts by folder of annotation files, relative to `root`.
        findings: problems and notes, in order of files.
    """

    root: Path
    formats: list[str] = field(default_factory=list)
    splits: dict[str, SplitCounts] = field(default_factory=dict)
    findings: list[DatasetFinding] = field(default_factory=list)

    @property
    def problems(self) -> list[DatasetFinding]:
        """The findings that are problems."""
        return [f for f in self.findings if f.level == "problem"]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "root": str(self.root),
            "formats": self.formats,
            "splits": {name: vars(counts) for name, counts in self.splits.items()},
            "findings": [vars(finding) for finding in self.findings],
        }


def check_dataset(
    root: Path,
    *,
    images: bool = True,
    decode: bool = True,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> DatasetReport:
    """Checks all annotation files and images below a folder.

    Args:
        root: folder of the data set.
        images: whether to check the images at all.
        decode: whether to decode every image (slow and reliable), or only inspect its two ends.
        progress: wraps the list of annotation files, for a progress bar.

    Raises:
        VepeError: if the folder does not exist or has no annotation file.
    """
    root = Path(root)
    if not root.is_dir():
        raise VepeError(f"{root} is not a folder; name the folder of the data set.")
    files = annotation_files(root)
    if not files:
        raise VepeError(
            f"{root} holds no .json or .mat file, so nothing can be checked. {GET_DATA}"
        )
    report = DatasetReport(root)
    finder = ImageFinder(root)
    kinds: list[str] = []
    used_folders: set[Path] = set()
    unreadable = 0
    for file in progress(files):
        try:
            sequences = _read(file)
        except VepeError as error:
            unreadable += 1
            report.findings.append(
                DatasetFinding("problem", str(file), "it cannot be read", str(error))
            )
            continue
        counts = report.splits.setdefault(_split_of(file, root), SplitCounts())
        counts.files += bool(sequences)
        for sequence in sequences:
            kinds.append(sequence.format)
            counts.add(sequence)
            report.findings += check_sequence(sequence)
            if images:
                _check_images_of(sequence, finder, decode, report, counts, used_folders)
    report.splits = {name: c for name, c in report.splits.items() if c.files}
    if not report.splits and not unreadable:
        raise VepeError(
            f"{root} holds JSON, but no PoseTrack or COCO annotations, so nothing can be checked. "
            f"{GET_DATA}"
        )
    report.formats = sorted(set(kinds), key=lambda k: (-kinds.count(k), k))
    _merge_missing_images(report)
    report.findings += _release_notes(report)
    if images:
        report.findings += _unused_images(report.root, used_folders)
    return report


def annotation_files(root: Path) -> list[Path]:
    """All .json and .mat files below a folder, sorted by name.

    Hidden files are left out, and `X.mat` next to `X.json`.
    """
    files: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        here = {n for n in names if n.lower().endswith(".json") and not n.startswith(".")}
        stems = {Path(n).stem for n in here}
        here |= {n for n in names if n.lower().endswith(".mat") and Path(n).stem not in stems}
        files += [Path(folder) / name for name in sorted(here)]
    return files


def _read(file: Path) -> tuple[AnnotatedSequence, ...]:
    """The sequences of a file; none if it holds something else (lists, settings)."""
    if file.suffix.lower() == ".mat":
        return read_sequences(file)
    data = load_json(file)
    if not isinstance(data, dict) or not ({"annolist", "images", "annotations"} & set(data)):
        return ()
    return parse_coco(data, file) if is_coco(data) else parse_sequences(data, file)


def _split_of(file: Path, root: Path) -> str:
    """The folder of the file; with the file's name for COCO, which has one file per split."""
    folder = str(file.parent.relative_to(root))
    return f"{folder}/{file.name}" if file.parent.name == "annotations" else folder


def _check_images_of(
    sequence: AnnotatedSequence,
    finder: ImageFinder,
    decode: bool,
    report: DatasetReport,
    counts: SplitCounts,
    used_folders: set[Path],
) -> None:
    names = [f.file_name for f in sequence.frames]
    base = finder.base_for(sequence.source, names)
    if base is None:
        if sequence.frames:
            report.findings.append(_no_images(str(sequence.source), len(names), names[0]))
        return
    used_folders.update((base / name).parent for name in names if is_inside(base, name))
    counts.images += sum(is_inside(base, n) and (base / n).is_file() for n in names if n)
    report.findings += check_images(sequence, base, decode=decode)


def _no_images(place: str, count: int, first: str) -> DatasetFinding:
    text = f"none of its {count} images exists (first: {first or 'without a name'})"
    return DatasetFinding("problem", place, text, GET_DATA)


def _merge_missing_images(report: DatasetReport) -> None:
    """Puts one finding in place of many if the data set has no image at all."""
    missing = [f for f in report.findings if f.fix == GET_DATA]
    if len(missing) > 1 and not any(c.images for c in report.splits.values()):
        frames = sum(c.frames for c in report.splits.values())
        text = f"none of the {frames} images exists"
        rest = [f for f in report.findings if f.fix != GET_DATA]
        report.findings = [DatasetFinding("problem", str(report.root), text, GET_DATA), *rest]


def _release_notes(report: DatasetReport) -> list[DatasetFinding]:
    """How the number of sequences of each split compares with the official release."""
    notes = []
    for name, counts in report.splits.items():
        for kind in report.formats:
            split = next((s for s in ("train", "val", "test") if s in Path(name).parts), None)
            official = RELEASES.get((kind, split or ""))
            if official is None or official == str(counts.sequences):
                continue
            if official.startswith(f"{counts.sequences} "):
                continue
            notes.append(DatasetFinding(
                "note", f"{report.root / name}", f"it has {counted(counts.sequences, 'sequence')}",
                f"The {TITLES[kind]} release has {official}; a part is fine for experiments.",
            ))  # fmt: skip
    return notes


def _unused_images(root: Path, used_folders: set[Path]) -> list[DatasetFinding]:
    """Folders with images that no annotation file refers to."""
    notes = []
    for folder, folders, names in os.walk(root):
        folders.sort()
        path = Path(folder)
        if path in used_folders or path == root or not used_folders:
            continue
        count = sum(Path(n).suffix.lower() in IMAGE_SUFFIXES for n in names)
        if count:
            notes.append(DatasetFinding(
                "note", folder, f"no annotation file refers to the {counted(count, 'image')} here",
                "Add the annotations of this sequence, or ignore this (test sets have none).",
            ))  # fmt: skip
    return notes
