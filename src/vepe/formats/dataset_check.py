"""Is a PoseTrack17, 18, 21 or COCO tree complete and sane? What `vepe data check` runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vepe.errors import VepeError
from vepe.formats.annotations import Sequence
from vepe.formats.coco import parse_coco
from vepe.formats.dataset_rules import Finding, check_pictures, check_sequence
from vepe.formats.detect import is_coco
from vepe.formats.files import is_inside, load_json
from vepe.formats.pictures import PICTURE_SUFFIXES, PictureFinder
from vepe.formats.posetrack import parse_sequence, read_sequence

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
    "See 'Getting the data' in docs/formats.md: posetrack.net is offline, and nothing can be "
    "downloaded automatically."
)


@dataclass
class SplitCounts:
    """How much one folder of annotation files holds."""

    files: int = 0
    sequences: int = 0
    frames: int = 0
    labeled: int = 0
    people: int = 0
    keypoints: int = 0
    tracks: int = 0
    pictures: int = 0

    def add(self, sequence: Sequence) -> None:
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
            f"{self.sequences} sequence(s) in {self.files} file(s), {self.frames} frames "
            f"({self.labeled} labelled, {self.pictures} pictures found), {self.people} people, "
            f"{self.tracks} tracks, {self.keypoints} keypoints"
        )


@dataclass
class DatasetReport:
    """What a tree is, what it holds, and what was found.

    Attributes:
        root: the folder.
        formats: formats of its annotation files, most frequent first.
        splits: counts by folder of annotation files, relative to `root`.
        findings: problems and notes, in order of files.
    """

    root: Path
    formats: list[str] = field(default_factory=list)
    splits: dict[str, SplitCounts] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def problems(self) -> list[Finding]:
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
    pictures: bool = True,
    decode: bool = True,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> DatasetReport:
    """Checks all annotation files and pictures below a folder.

    Args:
        root: folder of the data set.
        pictures: whether to look for pictures at all.
        decode: whether to decode every picture (slow and sure), or look at its two ends.
        progress: wraps the list of annotation files, for a progress bar.

    Raises:
        VepeError: where the folder does not exist or holds no annotation file.
    """
    root = Path(root)
    if not root.is_dir():
        raise VepeError(f"{root} is no folder; name the folder of the data set.")
    files = annotation_files(root)
    if not files:
        raise VepeError(
            f"{root} holds no .json or .mat file, so nothing can be checked. {GET_DATA}"
        )
    report = DatasetReport(root)
    finder = PictureFinder(root)
    kinds: list[str] = []
    used: set[Path] = set()
    unread = 0
    for file in progress(files):
        try:
            sequences = _read(file)
        except VepeError as error:
            unread += 1
            report.findings.append(Finding("problem", str(file), "it cannot be read", str(error)))
            continue
        counts = report.splits.setdefault(_split_of(file, root), SplitCounts())
        counts.files += bool(sequences)
        for sequence in sequences:
            kinds.append(sequence.format)
            counts.add(sequence)
            report.findings += check_sequence(sequence)
            if pictures:
                _look_at_pictures(sequence, finder, decode, report, counts, used)
    report.splits = {name: c for name, c in report.splits.items() if c.files}
    if not report.splits and not unread:
        raise VepeError(
            f"{root} holds JSON, but no PoseTrack or COCO annotations, so nothing can be checked. "
            f"{GET_DATA}"
        )
    report.formats = sorted(set(kinds), key=lambda k: (-kinds.count(k), k))
    _one_for_all(report)
    report.findings += _tree_findings(report, used if pictures else None)
    return report


def annotation_files(root: Path) -> list[Path]:
    """All .json and .mat files below a folder, by name; hidden ones and doubles (.mat) left out."""
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        here = {n for n in names if n.lower().endswith(".json") and not n.startswith(".")}
        stems = {Path(n).stem for n in here}
        here |= {n for n in names if n.lower().endswith(".mat") and Path(n).stem not in stems}
        found += [Path(folder) / name for name in sorted(here)]
    return found


def _read(file: Path) -> tuple[Sequence, ...]:
    """The sequences of a file; none where it holds something else (lists, settings)."""
    if file.suffix.lower() == ".mat":
        return (read_sequence(file),)
    data = load_json(file)
    if not isinstance(data, dict) or not ({"annolist", "images", "annotations"} & set(data)):
        return ()
    return parse_coco(data, file) if is_coco(data) else (parse_sequence(data, file),)


def _split_of(file: Path, root: Path) -> str:
    """The folder of the file; for COCO's one file a split, its name too."""
    folder = str(file.parent.relative_to(root))
    return f"{folder}/{file.name}" if file.parent.name == "annotations" else folder


def _look_at_pictures(
    sequence: Sequence,
    finder: PictureFinder,
    decode: bool,
    report: DatasetReport,
    counts: SplitCounts,
    used: set[Path],
) -> None:
    names = [f.file_name for f in sequence.frames]
    base = finder.base_for(sequence.source, names)
    if base is None:
        if sequence.frames:
            report.findings.append(_none_there(str(sequence.source), len(names), names[0]))
        return
    used.update((base / name).parent for name in names if is_inside(base, name))
    counts.pictures += sum(is_inside(base, n) and (base / n).is_file() for n in names if n)
    report.findings += check_pictures(sequence, base, decode=decode)


def _none_there(place: str, count: int, first: str) -> Finding:
    text = f"none of its {count} pictures is there (first: {first or 'without a name'})"
    return Finding("problem", place, text, GET_DATA)


def _one_for_all(report: DatasetReport) -> None:
    """One finding in place of many, where the tree has no picture at all."""
    missing = [f for f in report.findings if f.mend == GET_DATA]
    if len(missing) > 1 and not any(c.pictures for c in report.splits.values()):
        frames = sum(c.frames for c in report.splits.values())
        text = f"none of the {frames} pictures is there"
        rest = [f for f in report.findings if f.mend != GET_DATA]
        report.findings = [Finding("problem", str(report.root), text, GET_DATA), *rest]


def _tree_findings(report: DatasetReport, used: set[Path] | None) -> list[Finding]:
    """Folders of pictures that no file speaks of, and how far each split is from the release."""
    found = []
    for name, counts in report.splits.items():
        for kind in report.formats:
            split = next((s for s in ("train", "val", "test") if s in Path(name).parts), None)
            official = RELEASES.get((kind, split or ""))
            if official is not None and not official.startswith(f"{counts.sequences} "):
                if official == str(counts.sequences):
                    continue
                found.append(Finding(
                    "note", f"{report.root / name}", f"it has {counts.sequences} sequence(s)",
                    f"The {TITLES[kind]} release has {official}; a part is fine for trying out.",
                ))  # fmt: skip
    if used is None:
        return found
    for folder, folders, names in os.walk(report.root):
        folders.sort()
        path = Path(folder)
        if path in used or path == report.root or not used:
            continue
        count = sum(Path(n).suffix.lower() in PICTURE_SUFFIXES for n in names)
        if count:
            found.append(Finding(
                "note", folder, f"no annotation file speaks of the {count} picture(s) here",
                "Add the annotations of this sequence, or leave it (test sets have none).",
            ))  # fmt: skip
    return found
