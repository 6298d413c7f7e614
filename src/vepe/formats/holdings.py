"""What each format can hold, so that a conversion can say what it leaves behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from vepe.formats.annotations import AnnotatedFrame, Person, Sequence
from vepe.formats.boxes import person_box
from vepe.formats.frame_ids import coded_frame_id
from vepe.formats.openpose import BODY_25, is_body
from vepe.formats.visibility import posetrack_visibility

_JSON = frozenset({
    "keypoints", "track ids", "person scores", "keypoint scores", "head boxes", "body boxes",
    "ignore regions", "picture sizes", "timestamps", "visibility", "labelled flags", "empty frames",
    "picture names", "image ids", "annotation ids", "ears",
    "own fields", "scores of absent keypoints",
})  # fmt: skip
_TABLE = frozenset({
    "keypoints", "track ids", "person scores", "keypoint scores", "head boxes", "body boxes",
    "picture sizes", "timestamps", "visibility", "unknown visibility", "labelled flags",
    "empty frames", "picture names", "image ids", "keypoints hidden at 0, 0",
    "scores of absent keypoints",
})  # fmt: skip

HOLDINGS: dict[str, frozenset[str]] = {
    "posetrack17": frozenset({
        "keypoints", "track ids", "person scores", "keypoint scores", "head boxes",
        "ignore regions", "visibility", "unknown visibility", "labelled flags", "empty frames",
        "picture names", "keypoints hidden at 0, 0", "other points",
    }),
    "posetrack18": _JSON,
    "posetrack21": _JSON | {"person ids"},
    "coco": _JSON | {"person ids", "keypoints hidden at 0, 0"},
    "csv": _TABLE,
    "parquet": _TABLE,
    "mot": frozenset({"track ids", "person scores", "body boxes"}),
    "openpose": frozenset({"keypoints", "track ids", "keypoint scores", "empty frames"}),
}  # fmt: skip
"""Names of what a format holds; the names are those that `left_behind` prints."""

_FAMILY = frozenset({"posetrack18", "posetrack21", "coco"})
_BOOKKEEPING = frozenset({
    "imgnum", "frame_id", "source_frame_id", "video_id", "vid_id", "nframes", "category_id",
    "iscrowd", "num_keypoints", "area", "attributes", "bbox_head", "has_labeled_person", "image_id",
})  # fmt: skip
"""Fields that follow from others or number things; nothing is lost with them."""


def left_behind(sequences: Iterable[Sequence], target: str) -> list[str]:
    """One line for each thing that the sequences have and the target format cannot hold."""
    found: Counter[str] = Counter()
    fields: set[str] = set()
    for sequence in sequences:
        for frame in sequence.frames:
            _count_frame(frame, sequence, target, found, fields)
    held = HOLDINGS[target]
    lines = [
        f"{target} has no place for {what}: {count} left behind."
        for what, count in sorted(found.items())
        if what not in held
    ]
    if fields:
        lines.append(f"{target} does not keep the source's own fields {', '.join(sorted(fields))}.")
    return lines


def _count_frame(
    frame: AnnotatedFrame, sequence: Sequence, target: str, found: Counter[str], fields: set[str]
) -> None:
    found["ignore regions"] += len(frame.ignore_regions_px)
    found["picture sizes"] += frame.width is not None
    found["timestamps"] += frame.time_s is not None
    found["picture names"] += frame.file_name != ""
    found["labelled flags"] += frame.is_labeled != frame.has_annotations
    found["empty frames"] += not frame.people
    own_id = frame.image_id is not None and frame.image_id != coded_frame_id(frame.file_name)
    found["image ids"] += own_id and frame.image_id != frame.index
    kept = target == sequence.format or {target, sequence.format} <= _FAMILY
    for person in frame.people:
        _count_person(person, sequence, target, found)
        if not kept:
            fields |= (
                set(person.extra)
                - _BOOKKEEPING
                - {"ears", "ear_scores", "person_id", "other_points"}
            )
    if not kept:
        fields |= set(frame.extra) - _BOOKKEEPING
    for what in [name for name, count in found.items() if count == 0]:
        del found[what]


def _count_person(person: Person, sequence: Sequence, target: str, found: Counter[str]) -> None:
    visibility = posetrack_visibility(person, sequence.format)
    hidden = person.present & (visibility == 0)
    found["keypoints"] += int(person.present.sum())
    found["track ids"] += person.track_id is not None
    found["person scores"] += person.score is not None
    found["keypoint scores"] += int((~np.isnan(person.keypoint_scores)).sum())
    absent = person.keypoint_scores[~person.present]
    found["scores of absent keypoints"] += int((np.nan_to_num(absent) != 0).sum())
    found["head boxes"] += person.head_box_xyxy_px is not None
    found["body boxes"] += person.box_xywh_px is not None
    found["visibility"] += int(hidden.sum())
    found["unknown visibility"] += int((person.present & np.isnan(visibility)).sum())
    found["keypoints hidden at 0, 0"] += int(
        (hidden & (person.keypoints_px == 0).all(axis=1)).sum()
    )
    found["ears"] += "ears" in person.extra
    found["person ids"] += "person_id" in person.extra
    found["other points"] += len(person.extra.get("other_points", []))
    if target == "mot":
        found["people without box or keypoints"] += person_box(person) is None
    if target == "openpose" and is_body(sequence.skeleton):
        missing = [n not in BODY_25.keypoints for n in sequence.skeleton.keypoints]
        found["head_bottom and other keypoints beyond BODY_25"] += int(
            person.present[missing].sum()
        )
