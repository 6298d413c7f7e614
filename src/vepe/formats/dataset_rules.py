"""The rules of `vepe data check` for one sequence: what is wrong with it, and how to fix it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person, frame_place
from vepe.formats.data_paths import is_inside
from vepe.formats.image_files import image_problem

MAX_TRACK_ID = 10_000
"""poseval refuses ground truth with ids of this size and above."""

MIN_INSIDE = 0.2
"""Fraction of a PoseTrack box that must lie in the image. Valid boxes do leave it: body boxes are
1.3 times the extent of the keypoints, and head boxes at the border extend beyond it. COCO clips
its boxes."""

MIN_INSIDE_COCO = 0.98
"""Fraction of a COCO box that must lie in the image."""


@dataclass(frozen=True)
class DatasetFinding:
    """One thing that the check found.

    Attributes:
        level: 'problem' (something is wrong or missing) or 'note' (valid, but worth knowing).
        place: file, frame and person.
        text: what is wrong.
        fix: what to do about it.
        count: how often it occurs in this file; `place` is the first occurrence.
    """

    level: Literal["problem", "note"]
    place: str
    text: str
    fix: str
    count: int = 1

    def line(self) -> str:
        """The finding in one line."""
        often = f" (and {self.count - 1} more in this file)" if self.count > 1 else ""
        return f"{self.level}: {self.place}: {self.text}{often}. {self.fix}"


def check_sequence(sequence: AnnotatedSequence) -> list[DatasetFinding]:
    """Findings in the annotations of one sequence, one for each kind."""
    findings = [
        *_duplicates(sequence),
        *(f for i, frame in enumerate(sequence.frames) for f in _frame_rules(sequence, i, frame)),
        *_whole_rules(sequence),
    ]
    return _merged(findings)


def _merged(findings: list[DatasetFinding]) -> list[DatasetFinding]:
    """One finding for each kind, with its count; findings with one fix are of one kind."""
    counts = Counter((f.level, f.fix) for f in findings)
    first = {(f.level, f.fix): f for f in reversed(findings)}
    return [
        DatasetFinding(f.level, f.place, f.text, f.fix, counts[key])
        for key, f in sorted(first.items(), key=lambda item: findings.index(item[1]))
    ]


def _duplicates(sequence: AnnotatedSequence) -> Iterator[DatasetFinding]:
    ids = Counter(
        p.annotation_id for f in sequence.frames for p in f.people if p.annotation_id is not None
    )
    for annotation_id, count in ids.items():
        if count > 1:
            yield DatasetFinding(
                "problem", str(sequence.source), f"{count} annotations have the id {annotation_id}",
                "Give every annotation its own id.",
            )  # fmt: skip
    names = Counter(f.file_name for f in sequence.frames if f.file_name)
    for name, count in names.items():
        if count > 1:
            yield DatasetFinding(
                "problem", str(sequence.source), f"image {name} stands for {count} frames",
                "Keep one frame for each image.",
            )  # fmt: skip


def _whole_rules(sequence: AnnotatedSequence) -> Iterator[DatasetFinding]:
    place = str(sequence.source)
    if not sequence.frames:
        yield DatasetFinding(
            "problem", place, "there are no frames", "Remove the file or write it again."
        )
        return
    if sequence.format == "coco":
        return
    yield from _frame_counts(sequence)
    annotated = sum(f.has_annotations for f in sequence.frames)
    if annotated == 0:
        yield DatasetFinding(
            "note", place, "no frame has annotations",
            "That is right for hidden test sets; such a sequence cannot be evaluated.",
        )  # fmt: skip
    elif annotated == 1:
        yield DatasetFinding(
            "note", place, "only one frame has annotations",
            "The original evaluators drop the last labelled frame, so it has no MOTA.",
        )  # fmt: skip


def _frame_counts(sequence: AnnotatedSequence) -> Iterator[DatasetFinding]:
    """Compares the number of frames with `nframes`."""
    records = [f.extra for f in sequence.frames if isinstance(f.extra.get("nframes"), int)]
    counts = Counter((str(r.get("vid_id")), int(r["nframes"])) for r in records)
    for (video, stated), count in counts.items():
        if stated != count:
            yield DatasetFinding(
                "problem", str(sequence.source), f"{count} of {stated} frames of video {video}",
                "Restore the missing frames, or correct 'nframes' where a part is meant.",
            )  # fmt: skip


def _frame_rules(
    sequence: AnnotatedSequence, position: int, frame: AnnotatedFrame
) -> Iterator[DatasetFinding]:
    place = frame_place(sequence.source, position, frame.file_name)
    posetrack = sequence.format != "coco"
    ids = Counter(p.track_id for p in frame.people if p.track_id is not None)
    for track_id, count in ids.items():
        if count > 1:
            yield DatasetFinding(
                "problem", place, f"track id {track_id} belongs to {count} people",
                "Give each person of a frame another track id.",
            )  # fmt: skip
        if posetrack and (track_id >= MAX_TRACK_ID or track_id < 0):
            yield DatasetFinding(
                "problem", place, f"track id {track_id} is not in 0 to {MAX_TRACK_ID - 1}",
                "Renumber the tracks of this sequence from 0.",
            )  # fmt: skip
    for region in frame.ignore_regions_px:
        if len(region) < 3:
            yield DatasetFinding(
                "problem", place, f"an ignore region has {len(region)} corners",
                "Give an ignore region three corners or more, or remove it.",
            )  # fmt: skip
    if posetrack and not frame.is_labeled and frame.has_annotations:
        yield DatasetFinding(
            "note", place, "the frame is not labelled, but has annotations",
            "PoseTrack21 has such frames with only boxes; poseval counts them, VEPE warns.",
        )  # fmt: skip
    if posetrack and frame.is_labeled and not frame.has_annotations:
        yield DatasetFinding(
            "note", place, "the frame is labelled, but has no annotations",
            "That is right if nobody is in view; the PoseTrack21 kit stops at such a frame.",
        )  # fmt: skip
    for i, person in enumerate(frame.people):
        yield from _person_rules(sequence, frame, person, f"{place}, person {i}")


def _person_rules(
    sequence: AnnotatedSequence, frame: AnnotatedFrame, person: Person, place: str
) -> Iterator[DatasetFinding]:
    is_gt = person.score is None
    if sequence.format != "coco" and is_gt and person.present.any():
        if person.head_box_xyxy_px is None:
            yield DatasetFinding(
                "problem", place, "a person with keypoints has no head box",
                "Add 'bbox_head' (2017: x1, y1, x2, y2); PoseTrack's metrics measure by it.",
            )  # fmt: skip
        if person.track_id is None:
            yield DatasetFinding(
                "problem", place, "a person has no track id", "Add 'track_id' for MOTA and HOTA."
            )
    for name, box in (("body", person.box_xywh_px), ("head", _head_xywh(person))):
        if box is None:
            continue
        if box[2] <= 0 or box[3] <= 0:
            yield DatasetFinding(
                "problem", place, f"the {name} box has the size {box[2]:g} x {box[3]:g}",
                f"Give the {name} box a positive width and height.",
            )  # fmt: skip
        elif frame.width is not None and frame.height is not None:
            yield from _outside(box, name, frame.width, frame.height, sequence, place)


def _outside(
    box: Float[np.ndarray, "4"],
    name: str,
    width: int,
    height: int,
    sequence: AnnotatedSequence,
    place: str,
) -> Iterator[DatasetFinding]:
    low = np.maximum(box[:2], 0)
    high = np.minimum(box[:2] + box[2:], [width, height])
    inside = float(np.prod(np.maximum(high - low, 0)) / np.prod(box[2:]))
    x, y, w, h = (f"{value:g}" for value in box)
    text = f"the {name} box {x}, {y}, {w}, {h} leaves the image of {width} x {height}"
    if inside < (MIN_INSIDE_COCO if sequence.format == "coco" else MIN_INSIDE):
        yield DatasetFinding(
            "problem", place, text, f"Correct the {name} box, or clip it to the image."
        )
    elif inside < MIN_INSIDE_COCO:
        yield DatasetFinding(
            "note",
            place,
            text,
            "PoseTrack's boxes do so at the border; clip them if a tool needs it.",
        )


def _head_xywh(person: Person) -> np.ndarray | None:
    if person.head_box_xyxy_px is None:
        return None
    low, high = person.head_box_xyxy_px[:2], person.head_box_xyxy_px[2:]
    return np.concatenate([low, high - low])


def check_images(sequence: AnnotatedSequence, base: Path, *, decode: bool) -> list[DatasetFinding]:
    """Findings in the images of one sequence below `base`: missing, unreadable, other size."""
    findings: list[DatasetFinding] = []
    for i, frame in enumerate(sequence.frames):
        place = frame_place(sequence.source, i, frame.file_name)
        path = base / frame.file_name
        if not frame.file_name or not is_inside(base, frame.file_name) or not path.is_file():
            findings.append(DatasetFinding(
                "problem", place, "the image is missing",
                "Copy it from the data set's archive, or remove the frame.",
            ))  # fmt: skip
            continue
        problem, size = image_problem(path, decode=decode)
        if problem is not None:
            findings.append(DatasetFinding(
                "problem", place, f"the image {problem}", "Copy it again from the archive.",
            ))  # fmt: skip
        elif size is not None and frame.width is not None and size != (frame.width, frame.height):
            findings.append(DatasetFinding(
                "problem", place,
                f"the image is {size[0]} x {size[1]}, not {frame.width} x {frame.height} as stated",
                "Use the images that belong to these annotations.",
            ))  # fmt: skip
    return _merged(findings)
