"""Converting any format to any other, with a note about everything the target cannot hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vepe.errors import VepeError, counted
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.coco_writer import write_coco_video
from vepe.formats.detect import read_any
from vepe.formats.files import check_targets, encoding, safe_name
from vepe.formats.geometry import person_box, posetrack_visibility
from vepe.formats.hdf5 import write_hdf5
from vepe.formats.label_studio import write_label_studio
from vepe.formats.mot import write_mot
from vepe.formats.openpose import BODY_25, is_body, write_openpose
from vepe.formats.posetrack17 import write_posetrack17
from vepe.formats.posetrack18 import coded_frame_id
from vepe.formats.posetrack18_writer import require_posetrack_joints, write_posetrack18
from vepe.formats.rerun import write_rerun
from vepe.formats.sleap import write_nwb, write_slp
from vepe.formats.submission import write_submission
from vepe.formats.table import write_csv, write_parquet
from vepe.formats.tracks import tracks_from_sequence
from vepe.skeleton import POSETRACK15

_JSON = frozenset({
    "keypoints", "track ids", "person scores", "keypoint scores", "head boxes", "body boxes",
    "ignore regions", "image sizes", "timestamps", "visibility", "labelled flags", "empty frames",
    "image names", "image ids", "ears", "scores of absent keypoints",
})  # fmt: skip
_TABLE = frozenset({
    "keypoints", "track ids", "person scores", "keypoint scores", "head boxes", "body boxes",
    "image sizes", "timestamps", "visibility", "unknown visibility", "labelled flags",
    "empty frames", "image names", "image ids", "keypoints hidden at 0, 0",
    "scores of absent keypoints",
})  # fmt: skip

CAPABILITIES: dict[str, frozenset[str]] = {
    "posetrack17": frozenset({
        "keypoints", "track ids", "person scores", "keypoint scores", "head boxes",
        "ignore regions", "visibility", "unknown visibility", "labelled flags", "empty frames",
        "image names", "keypoints hidden at 0, 0", "other points",
    }),
    "posetrack18": _JSON,
    "posetrack21": _JSON | {"person ids"},
    "coco": _JSON | {"person ids", "keypoints hidden at 0, 0"},
    "csv": _TABLE,
    "parquet": _TABLE,
    "hdf5": frozenset({
        "keypoints", "track ids", "person scores", "keypoint scores", "timestamps", "empty frames",
    }),
    "label-studio": frozenset({
        "keypoints", "track ids", "person scores", "keypoint scores", "body boxes", "image sizes",
        "timestamps", "visibility", "labelled flags", "empty frames", "image names",
        "keypoints hidden at 0, 0",
    }),
    "slp": frozenset({
        "keypoints", "track ids", "person scores", "keypoint scores",
    }),
    "nwb": frozenset({"keypoints", "track ids", "keypoint scores", "timestamps"}),
    "rerun": frozenset({
        "keypoints", "track ids", "person scores", "body boxes", "timestamps", "empty frames",
    }),
    "mot": frozenset({"track ids", "person scores", "body boxes"}),
    "openpose": frozenset({"keypoints", "track ids", "keypoint scores", "empty frames"}),
}  # fmt: skip
"""What each format can hold, in the words that `left_behind` prints."""

SYNONYMS = {
    "coco-video": "coco", "cvat": "coco", "posetrack": "posetrack18", "h5": "hdf5",
    "labelstudio": "label-studio", "sleap": "slp", "rrd": "rerun",
}  # fmt: skip
"""Other names of formats. CVAT opens the COCO file with track ids."""
ENDINGS = {
    ".coco.json": "coco", ".json": "json", ".csv": "csv", ".parquet": "parquet", ".txt": "mot",
    ".h5": "hdf5", ".hdf5": "hdf5", ".slp": "slp", ".nwb": "nwb", ".rrd": "rerun",
    ".zip": "submission", "_openpose": "openpose",
}  # fmt: skip
"""The format that an ending of the target stands for."""

_WRITERS: dict[str, tuple[str, Callable[[Path, AnnotatedSequence], Path]]] = {
    "posetrack17": (".json", write_posetrack17),
    "posetrack18": (".json", lambda path, s: write_posetrack18(path, s)),
    "posetrack21": (".json", partial(write_posetrack18, year=2021)),
    "csv": (".csv", write_csv),
    "parquet": (".parquet", write_parquet),
    "mot": (".txt", write_mot),
    "openpose": ("", write_openpose),
    "hdf5": (".h5", write_hdf5),
    "label-studio": (".tasks.json", write_label_studio),
    "slp": (".slp", write_slp),
    "nwb": (".nwb", write_nwb),
    "rerun": (".rrd", lambda path, s: write_rerun(path, tracks_from_sequence(s))),
}
"""Formats with one file per sequence: its suffix and its writer."""

TARGETS = (*_WRITERS, "coco", "submission")
"""Formats that can be written."""

_COCO_LIKE = frozenset({"posetrack18", "posetrack21", "coco"})
_DERIVED_FIELDS = frozenset({
    "imgnum", "frame_id", "source_frame_id", "video_id", "vid_id", "nframes", "category_id",
    "iscrowd", "num_keypoints", "area", "attributes", "bbox_head", "has_labeled_person", "image_id",
})  # fmt: skip
"""Fields that follow from others or number things, so that nothing is lost without them."""
_NAMED_FIELDS = frozenset({"ears", "ear_scores", "person_id", "other_points"})
"""Fields in `Person.extra` that `left_behind` counts under a name of their own."""


@dataclass(frozen=True)
class Conversion:
    """What a conversion did: the paths written, how much, and notes on what was left behind."""

    written: tuple[Path, ...]
    sequences: int
    frames: int
    people: int
    notes: tuple[str, ...]


def convert_annotations(
    source: Path,
    target: Path,
    to: str | None = None,
    *,
    from_format: str | None = None,
    like: Path | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Converts a file or a folder.

    Args:
        source: a file, or a folder with one file per sequence.
        target: a file for one sequence (and always for coco), else a folder.
        to: one of `TARGETS` or `SYNONYMS`, or several, separated by commas; `json` is posetrack18
            where the keypoints allow it, else coco. None: by the ending of the target.
        from_format: format of the source, or None to detect it.
        like: ground truth whose names, frames and year a submission takes.
        overwrite: whether existing files may be replaced; the source never may.

    Raises:
        VepeError: if something cannot be read, held or written, or exists already; no file is
            half written.
    """
    formats = _formats(to, target)
    if like is not None and formats != ["submission"]:
        raise VepeError("--like is for submissions; leave it out or use --to submission.")
    sequences = read_any(source, SYNONYMS.get(from_format or "", from_format))
    if not any(len(s) for s in sequences):
        raise VepeError(f"{source} holds no frames; check the path.")
    notes: list[str] = []
    if formats == ["submission"]:
        gt = () if like is None else read_any(like)
        notes = write_submission(target, sequences, gt, overwrite=overwrite)
        written = [target]
    else:
        plan: list[tuple[Path, Callable[[Path], Path]]] = []
        for name in dict.fromkeys(_resolved(name, sequences) for name in formats):
            notes += left_behind(sequences, name)
            plan += _plan(target, name, sequences, alone=len(formats) == 1)
        paths = [path for path, _ in plan]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice is not None:
            raise VepeError(f"Two of the formats write '{twice}'; convert to one after the other.")
        check_targets(paths, {sequence.source for sequence in sequences}, overwrite=overwrite)
        written = []
        for path, write in plan:
            with encoding(path):
                written.append(write(path))
    return Conversion(
        written=tuple(written),
        sequences=len(sequences),
        frames=sum(len(s) for s in sequences),
        people=sum(s.people_count() for s in sequences),
        notes=tuple(notes),
    )


def _formats(to: str | None, target: Path) -> list[str]:
    """The formats to write: as named, or by the ending of the target."""
    if to is None:
        endings = [e for e in ENDINGS if target.name.lower().endswith(e)]
        if not endings:
            raise VepeError(
                f"The ending of '{target}' names no format; add --to with one of "
                f"{', '.join(('json', *TARGETS))}."
            )
        return [ENDINGS[max(endings, key=len)]]
    names = [SYNONYMS.get(n, n) for n in (part.strip().lower() for part in to.split(","))]
    for name in names:
        if name not in (*TARGETS, "json"):
            raise VepeError(
                f"Format '{name}' is unknown; choose one of {', '.join(('json', *TARGETS))}."
            )
    if len(names) > 1 and "submission" in names:
        raise VepeError("A submission is made alone; leave the other formats out.")
    return names


def _resolved(name: str, sequences: tuple[AnnotatedSequence, ...]) -> str:
    """The format itself for 'json'."""
    if name != "json":
        return name
    joints = set(POSETRACK15.keypoints)
    fits = all(joints <= set(s.skeleton.keypoints) for s in sequences)
    return "posetrack18" if fits else "coco"


def _plan(
    target: Path, to: str, sequences: tuple[AnnotatedSequence, ...], *, alone: bool
) -> list[tuple[Path, Callable[[Path], Path]]]:
    """The paths to write, each with the function that writes it.

    Args:
        alone: whether this is the only format, so that the target may be a file.
    """
    if not alone and target.suffix.lower() in _FILE_SUFFIXES:
        raise VepeError(f"{target} is a file, but several formats are written; name a folder.")
    if to == "coco":
        file = target if target.suffix.lower() == ".json" else target / "annotations.json"
        return [(file, lambda path: write_coco_video(path, sequences))]
    if to.startswith("posetrack"):
        for sequence in sequences:
            require_posetrack_joints(sequence, to)
    suffix, write = _WRITERS[to]
    writers = [partial(_write_sequence, write, sequence) for sequence in sequences]
    if len(sequences) == 1 and alone and _fits(target, suffix):
        return [(target, writers[0])]
    if target.suffix.lower() in _FILE_SUFFIXES:
        what = f"a file ending in {suffix}" if len(sequences) == 1 and suffix else "a folder"
        raise VepeError(
            f"{target} cannot take {counted(len(sequences), f'{to} sequence')}; name {what}."
        )
    names = [safe_name(s.name) for s in sequences]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise VepeError(f"Two sequences are called '{twice}'; rename one of the sources.")
    paths = [target / f"{name}{suffix}" for name in names]
    return list(zip(paths, writers, strict=True))


_FILE_SUFFIXES = frozenset({Path(f"x{ending}").suffix for ending in ENDINGS} - {""})


def _fits(target: Path, suffix: str) -> bool:
    """Whether the target's ending is that of the format."""
    own = {".h5": (".h5", ".hdf5"), ".tasks.json": (".json",)}.get(suffix, (suffix,))
    return target.suffix.lower() in own


def _write_sequence(
    write: Callable[[Path, AnnotatedSequence], Path], sequence: AnnotatedSequence, path: Path
) -> Path:
    return write(path, sequence)


def left_behind(sequences: Iterable[AnnotatedSequence], target: str) -> list[str]:
    """One line for each thing that the sequences have and the target format cannot hold."""
    counts: Counter[str] = Counter()
    fields: set[str] = set()
    for sequence in sequences:
        same_fields = target == sequence.format or {target, sequence.format} <= _COCO_LIKE
        for frame in sequence.frames:
            _count_frame(frame, counts)
            for person in frame.people:
                _count_person(person, sequence, target, counts)
            if not same_fields:
                fields |= set(frame.extra) - _DERIVED_FIELDS
                for person in frame.people:
                    fields |= set(person.extra) - _DERIVED_FIELDS - _NAMED_FIELDS
    lines = [
        f"{target} has no field for {what}: {count} left behind."
        for what, count in sorted(counts.items())
        if count and what not in CAPABILITIES[target]
    ]
    if fields:
        names = ", ".join(sorted(fields))
        lines.append(f"{target} does not keep the source's own fields {names}.")
    return lines


def _count_frame(frame: AnnotatedFrame, counts: Counter[str]) -> None:
    counts["ignore regions"] += len(frame.ignore_regions_px)
    counts["image sizes"] += frame.width is not None
    counts["timestamps"] += frame.time_s is not None
    counts["image names"] += frame.file_name != ""
    counts["labelled flags"] += frame.is_labeled != frame.has_annotations
    counts["empty frames"] += not frame.people
    own_id = frame.image_id is not None and frame.image_id != coded_frame_id(frame.file_name)
    counts["image ids"] += own_id and frame.image_id != frame.index


def _count_person(
    person: Person, sequence: AnnotatedSequence, target: str, counts: Counter[str]
) -> None:
    visibility = posetrack_visibility(person, sequence.format)
    hidden = person.present & (visibility == 0)
    at_origin = (person.keypoints_px == 0).all(axis=1)
    absent_scores = np.nan_to_num(person.keypoint_scores[~person.present])
    counts["keypoints"] += int(person.present.sum())
    counts["track ids"] += person.track_id is not None
    counts["people without track id"] += target in ("hdf5", "nwb") and person.track_id is None
    counts["person scores"] += person.score is not None
    counts["keypoint scores"] += int((~np.isnan(person.keypoint_scores)).sum())
    counts["scores of absent keypoints"] += int((absent_scores != 0).sum())
    counts["head boxes"] += person.head_box_xyxy_px is not None
    counts["body boxes"] += person.box_xywh_px is not None
    counts["visibility"] += int(hidden.sum())
    counts["unknown visibility"] += int((person.present & np.isnan(visibility)).sum())
    counts["keypoints hidden at 0, 0"] += int((hidden & at_origin).sum())
    counts["ears"] += "ears" in person.extra
    counts["person ids"] += "person_id" in person.extra
    counts["other points"] += len(person.extra.get("other_points", []))
    if target == "mot":
        counts["people without box or keypoints"] += person_box(person) is None
    if target == "openpose" and is_body(sequence.skeleton):
        missing = [n not in BODY_25.keypoints for n in sequence.skeleton.keypoints]
        beyond = int(person.present[missing].sum())
        counts["head_bottom and other keypoints beyond BODY_25"] += beyond
