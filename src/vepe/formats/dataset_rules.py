"""The rules of `vepe data check` for one sequence: what is wrong in it, and how to mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from vepe.formats.annotations import AnnotatedFrame, Person, Sequence, frame_place
from vepe.formats.files import is_inside
from vepe.formats.pictures import picture_trouble

MAX_TRACK_ID = 10_000
"""poseval refuses ground truth with ids from here on."""

MIN_INSIDE = 0.2
"""Part of a PoseTrack box that must lie in the picture. Real boxes leave it: body boxes are 1.3
times the extent of the keypoints, and heads at the rim are boxed beyond it. COCO clips them."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: 'problem' (something is wrong or missing) or 'note' (true, but worth knowing).
        place: file, frame and person.
        text: what is the matter.
        mend: what to do about it.
        count: how often it happens in this file; `place` is the first time.
    """

    level: Literal["problem", "note"]
    place: str
    text: str
    mend: str
    count: int = 1

    def line(self) -> str:
        """The finding in one line."""
        often = f" (and {self.count - 1} more in this file)" if self.count > 1 else ""
        return f"{self.level}: {self.place}: {self.text}{often}. {self.mend}"


def check_sequence(sequence: Sequence) -> list[Finding]:
    """Findings in the annotations of one sequence, like ones counted together."""
    found = [
        *_duplicates(sequence),
        *(f for i, frame in enumerate(sequence.frames) for f in _frame_rules(sequence, i, frame)),
        *_whole_rules(sequence),
    ]
    return _gathered(found)


def _gathered(found: list[Finding]) -> list[Finding]:
    """One finding for each kind, with the number of times; kinds differ in their mending."""
    counts = Counter((f.level, f.mend) for f in found)
    first = {(f.level, f.mend): f for f in reversed(found)}
    return [
        Finding(f.level, f.place, f.text, f.mend, counts[key])
        for key, f in sorted(first.items(), key=lambda item: found.index(item[1]))
    ]


def _duplicates(sequence: Sequence) -> Iterator[Finding]:
    ids = Counter(
        p.annotation_id for f in sequence.frames for p in f.people if p.annotation_id is not None
    )
    for annotation_id, count in ids.items():
        if count > 1:
            yield Finding(
                "problem", str(sequence.source), f"{count} annotations have the id {annotation_id}",
                "Give every annotation an id of its own.",
            )  # fmt: skip
    names = Counter(f.file_name for f in sequence.frames if f.file_name)
    for name, count in names.items():
        if count > 1:
            yield Finding(
                "problem", str(sequence.source), f"picture {name} stands for {count} frames",
                "Keep one frame for each picture.",
            )  # fmt: skip


def _whole_rules(sequence: Sequence) -> Iterator[Finding]:
    place = str(sequence.source)
    if not sequence.frames:
        yield Finding("problem", place, "there are no frames", "Remove the file or write it again.")
        return
    if sequence.format == "coco":
        return
    yield from _frame_counts(sequence)
    annotated = sum(f.has_annotations for f in sequence.frames)
    if annotated == 0:
        yield Finding(
            "note", place, "no frame has annotations",
            "That is right for hidden test sets; such a sequence cannot be evaluated.",
        )  # fmt: skip
    elif annotated == 1:
        yield Finding(
            "note", place, "one frame alone has annotations",
            "The original evaluators drop the last labelled frame, so it has no MOTA.",
        )  # fmt: skip


def _frame_counts(sequence: Sequence) -> Iterator[Finding]:
    """Frames that are there against `nframes`, for every video of the file."""
    records = [f.extra for f in sequence.frames if isinstance(f.extra.get("nframes"), int)]
    there = Counter((str(r.get("vid_id")), int(r["nframes"])) for r in records)
    for (video, said), count in there.items():
        if said != count:
            yield Finding(
                "problem", str(sequence.source), f"{count} of {said} frames of video {video}",
                "Restore the missing frames, or correct 'nframes' where a part is meant.",
            )  # fmt: skip
    if len(there) > 1:
        yield Finding(
            "note", str(sequence.source), f"it holds {len(there)} videos",
            "PoseTrack's evaluators take a file for one sequence; split it.",
        )  # fmt: skip


def _frame_rules(sequence: Sequence, position: int, frame: AnnotatedFrame) -> Iterator[Finding]:
    place = frame_place(sequence.source, position, frame.file_name)
    posetrack = sequence.format != "coco"
    ids = Counter(p.track_id for p in frame.people if p.track_id is not None)
    for track_id, count in ids.items():
        if count > 1:
            yield Finding(
                "problem", place, f"track id {track_id} belongs to {count} people",
                "Give each person of a frame another track id.",
            )  # fmt: skip
        if posetrack and (track_id >= MAX_TRACK_ID or track_id < 0):
            yield Finding(
                "problem", place, f"track id {track_id} is not in 0 to {MAX_TRACK_ID - 1}",
                "Renumber the tracks of this sequence from 0.",
            )  # fmt: skip
    for region in frame.ignore_regions_px:
        if len(region) < 3:
            yield Finding(
                "problem", place, f"an ignore region has {len(region)} corners",
                "Give an ignore region three corners or more, or remove it.",
            )  # fmt: skip
    if posetrack and not frame.is_labeled and frame.has_annotations:
        yield Finding(
            "note", place, "the frame is not labelled, but has annotations",
            "PoseTrack21 has such frames with boxes alone; poseval would count them, ours warns.",
        )  # fmt: skip
    if posetrack and frame.is_labeled and not frame.has_annotations:
        yield Finding(
            "note", place, "the frame is labelled, but has no annotations",
            "That is right where nobody is in view; the PoseTrack21 kit stops at such a frame.",
        )  # fmt: skip
    for i, person in enumerate(frame.people):
        yield from _person_rules(sequence, frame, person, f"{place}, person {i}")


def _person_rules(
    sequence: Sequence, frame: AnnotatedFrame, person: Person, place: str
) -> Iterator[Finding]:
    truth = person.score is None
    if sequence.format != "coco" and truth and person.present.any():
        if person.head_box_xyxy_px is None:
            yield Finding(
                "problem", place, "a person with keypoints has no head box",
                "Add 'bbox_head' (2017: x1, y1, x2, y2); PoseTrack's metrics measure by it.",
            )  # fmt: skip
        if person.track_id is None:
            yield Finding(
                "problem", place, "a person has no track id", "Add 'track_id' for MOTA and HOTA."
            )
    for name, box in (("body", person.box_xywh_px), ("head", _head_xywh(person))):
        if box is None:
            continue
        if box[2] <= 0 or box[3] <= 0:
            yield Finding(
                "problem", place, f"the {name} box has the size {box[2]:g} x {box[3]:g}",
                f"Give the {name} box a positive width and height.",
            )  # fmt: skip
        elif frame.width is not None and frame.height is not None:
            yield from _outside(box, name, frame.width, frame.height, sequence, place)


def _outside(
    box: Float[np.ndarray, "4"], name: str, width: int, height: int, sequence: Sequence, place: str
) -> Iterator[Finding]:
    low = np.maximum(box[:2], 0)
    high = np.minimum(box[:2] + box[2:], [width, height])
    inside = float(np.prod(np.maximum(high - low, 0)) / np.prod(box[2:]))
    x, y, w, h = (f"{value:g}" for value in box)
    text = f"the {name} box {x}, {y}, {w}, {h} leaves the picture of {width} x {height}"
    if inside < (0.98 if sequence.format == "coco" else MIN_INSIDE):
        yield Finding("problem", place, text, f"Correct the {name} box, or clip it to the picture.")
    elif inside < 0.98:
        yield Finding(
            "note", place, text, "PoseTrack's boxes do so at the rim; clip if a tool minds."
        )


def _head_xywh(person: Person) -> np.ndarray | None:
    if person.head_box_xyxy_px is None:
        return None
    low, high = person.head_box_xyxy_px[:2], person.head_box_xyxy_px[2:]
    return np.concatenate([low, high - low])


def check_pictures(sequence: Sequence, base: Path, *, decode: bool) -> list[Finding]:
    """Findings in the pictures of one sequence below `base`: missing, unreadable, other size."""
    found: list[Finding] = []
    for i, frame in enumerate(sequence.frames):
        place = frame_place(sequence.source, i, frame.file_name)
        path = base / frame.file_name
        if (
            not frame.file_name
            or not is_inside(base, frame.file_name)
            or not path.is_file()
        ):
            found.append(Finding(
                "problem", place, "the picture is missing",
                "Copy it from the data set's archive, or remove the frame.",
            ))  # fmt: skip
            continue
        trouble, size = picture_trouble(path, decode=decode)
        if trouble is not None:
            found.append(Finding(
                "problem", place, f"the picture {trouble}", "Copy it again from the archive.",
            ))  # fmt: skip
        elif size is not None and frame.width is not None and size != (frame.width, frame.height):
            found.append(Finding(
                "problem", place,
                f"the picture is {size[0]} x {size[1]}, not {frame.width} x {frame.height} as said",
                "Use the pictures that belong to these annotations.",
            ))  # fmt: skip
    return _gathered(found)
