"""PoseTrack 2017: one `annolist` per sequence, as JSON (every scalar in a list of one) or .mat.

Source: the poseval README and its loader (leonid-pishchulin/poseval). Head boxes instead of body
boxes, joints by number, absent joints left out, no image sizes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person, frame_place
from vepe.formats.files import dump_json, load_json
from vepe.formats.geometry import posetrack_visibility
from vepe.formats.matlab import read_mat
from vepe.formats.records import flag_or_none, is_finite_number, track_id_or_none
from vepe.skeleton import POSETRACK15

# fmt: off
JOINTS_2017 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "head_bottom", "nose", "head_top",
)
# fmt: on
"""Names of the joint ids 0 to 14 (PoseTrack17 calls head_bottom the neck)."""

SLOT_OF_ID = tuple(POSETRACK15.index(name) for name in JOINTS_2017)
"""Index in `POSETRACK15` of every joint id."""

_FRAME_KEYS = frozenset({"image", "annorect", "is_labeled", "ignore_regions"})
_RECT_KEYS = frozenset({"x1", "y1", "x2", "y2", "track_id", "score", "annopoints"})
_BOX_KEYS = ("x1", "y1", "x2", "y2")
_LISTS = frozenset({"annorect", "annopoints", "point", "ignore_regions"})
"""Fields of a .mat file that are lists of records, of whatever length."""


def read_posetrack17(path: Path) -> AnnotatedSequence:
    """Reads one sequence from `annolist` JSON or .mat.

    Returns:
        An `AnnotatedSequence` over `POSETRACK15`. If a joint is listed twice, the first counts,
        as in poseval; joint ids above 14 are kept in `Person.extra["other_points"]`.

    Raises:
        VepeError: names the file and the frame if something is missing or not a number.
    """
    if path.suffix.lower() == ".mat":
        return parse_posetrack17({"annolist": load_annolist(path)}, path)
    return parse_posetrack17(load_json(path), path)


def parse_posetrack17(data: Any, source: Path) -> AnnotatedSequence:
    """The sequence in an `annolist` document; `source` is for messages and names it."""
    annolist = data.get("annolist") if isinstance(data, dict) else None
    if not isinstance(annolist, list):
        raise VepeError(f"{source} has no list 'annolist'; it is not a PoseTrack17 file.")
    frames = tuple(_read_frame(record, source, i) for i, record in enumerate(annolist))
    extra = {key: value for key, value in data.items() if key != "annolist"}
    return AnnotatedSequence(source.stem, frames, POSETRACK15, source, "posetrack17", extra)


def load_annolist(path: Path) -> list[Any]:
    """The `annolist` of a .mat file in the form of the JSON files: plain lists, dicts and numbers.

    MATLAB squeezes: one frame, person or point is a struct, several are an array of structs, none
    is an empty array. Here all become lists again, so that one parser serves both kinds of file.

    Raises:
        VepeError: if the file is missing, not MATLAB's, in its HDF5 form, or has no annolist.
    """
    return _records(read_mat(path, "annolist"))


def _records(value: Any) -> list[Any]:
    """A list of plain records from a record, several or none."""
    return [_with_lists(item) for item in (value if isinstance(value, list) else [value])]


def _with_lists(value: Any) -> Any:
    """The value, in which all fields of `_LISTS` are lists again, or left out if empty."""
    if isinstance(value, dict):
        return {
            name: _records(item) if name in _LISTS else _with_lists(item)
            for name, item in value.items()
            if not (name in _LISTS and item == [])
        }
    return [_with_lists(item) for item in value] if isinstance(value, list) else value


def _one(value: Any) -> Any:
    """The scalar in `[scalar]` or `scalar`; None for an empty list."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def _many(value: Any, what: str, place: str) -> list[Any]:
    """A list of records; a single record counts as a list of one, None as an empty one."""
    if value is None:
        return []
    records = [value] if isinstance(value, dict) else value
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise VepeError(f"{place}: '{what}' is not a list of records; write the file again.")
    return records


def _number(value: Any, what: str, place: str) -> float:
    value = _one(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VepeError(f"{place}: {what} is {value!r}, not a number; fix or remove it.")
    if not is_finite_number(value):
        raise VepeError(f"{place}: {what} is {value}; give a finite number or remove the point.")
    return float(value)


def _read_frame(record: Any, source: Path, position: int) -> AnnotatedFrame:
    place = frame_place(source, position, "")
    if not isinstance(record, dict):
        raise VepeError(f"{place}: the record is not a JSON object; write the file again.")
    image = _one(record.get("image"))
    name = _one(image.get("name")) if isinstance(image, dict) else image
    if not isinstance(name, str):
        raise VepeError(f"{place}: 'image' has no name; give every frame its file name.")
    place = frame_place(source, position, name)
    rects = _many(record.get("annorect"), "annorect", place)
    regions = _many(record.get("ignore_regions"), "ignore_regions", place)
    labeled = flag_or_none(_one(record.get("is_labeled")), "is_labeled", place)
    return AnnotatedFrame(
        index=position,
        file_name=name,
        image_id=None,
        is_labeled=bool(rects) if labeled is None else labeled,
        has_annotations=bool(rects),
        people=tuple(_read_person(r, f"{place}, person {i}") for i, r in enumerate(rects)),
        ignore_regions_px=tuple(_read_region(r, place) for r in regions),
        extra={k: v for k, v in record.items() if k not in _FRAME_KEYS},
    )


def _read_region(record: dict[str, Any], place: str) -> np.ndarray:
    points = _many(record.get("point"), "ignore_regions.point", place)
    corners = [
        (_number(p.get("x"), "x of an ignore region", place),
         _number(p.get("y"), "y of an ignore region", place))
        for p in points
    ]  # fmt: skip
    return np.asarray(corners, np.float64).reshape(-1, 2)


def _read_person(rect: dict[str, Any], place: str) -> Person:
    k = len(POSETRACK15)
    xy, present = np.zeros((k, 2)), np.zeros(k, bool)
    visibility, scores = np.zeros(k), np.full(k, np.nan)
    holder = _one(rect.get("annopoints"))
    has_points = isinstance(holder, dict) and "point" in holder
    others: list[Any] = []
    for point in _many(holder["point"], "annopoints.point", place) if has_points else ():
        joint = _number(point.get("id"), "id of a point", place)
        slot = SLOT_OF_ID[int(joint)] if joint in range(k) else -1
        if slot < 0 or present[slot]:
            others.append(point)
            continue
        name = JOINTS_2017[int(joint)]
        present[slot] = True
        xy[slot, 0] = _number(point.get("x"), f"x of {name}", place)
        xy[slot, 1] = _number(point.get("y"), f"y of {name}", place)
        flag, score = _one(point.get("is_visible")), _one(point.get("score"))
        visibility[slot] = np.nan if flag is None else _number(flag, f"is_visible of {name}", place)
        scores[slot] = np.nan if score is None else _number(score, f"score of {name}", place)
    extra = {key: value for key, value in rect.items() if key not in _RECT_KEYS}
    if others:
        extra["other_points"] = others
    score = _one(rect.get("score"))
    return Person(
        keypoints_px=xy,
        present=present,
        visibility=visibility,
        keypoint_scores=scores,
        score=None if score is None else _number(score, "score", place),
        track_id=track_id_or_none(_one(rect.get("track_id")), place),
        head_box_xyxy_px=_head_box(rect, place),
        has_points=has_points,
        extra=extra,
    )


def _head_box(rect: dict[str, Any], place: str) -> np.ndarray | None:
    if any(_one(rect.get(key)) is None for key in _BOX_KEYS):
        return None
    return np.array([_number(rect[key], f"{key} of the head box", place) for key in _BOX_KEYS])


def write_posetrack17(path: Path, sequence: AnnotatedSequence) -> Path:
    """Writes one sequence as `annolist` JSON and returns the path.

    Raises:
        VepeError: if the skeleton lacks PoseTrack's 15 joints, or `path` cannot be written.
    """
    index, slots = POSETRACK15.shared_with(sequence.skeleton)
    if len(index) != len(POSETRACK15):
        raise VepeError(
            f"{sequence.source} has the skeleton '{sequence.skeleton.name}', but PoseTrack17 "
            "needs PoseTrack's 15 joints; choose coco, csv or parquet."
        )
    order = [int(slots[slot]) for slot in SLOT_OF_ID]
    document = {
        **(sequence.extra if sequence.format == "posetrack17" else {}),
        "annolist": [_frame_record(f, order, sequence) for f in sequence.frames],
    }
    return dump_json(path, document)


def _frame_record(
    frame: AnnotatedFrame, order: list[int], sequence: AnnotatedSequence
) -> dict[str, Any]:
    native = sequence.format == "posetrack17"
    record: dict[str, Any] = {
        "image": [{"name": frame.file_name}],
        "imgnum": [frame.index + 1],
        **(frame.extra if native else {}),
        "annorect": [_person_record(p, order, sequence) for p in frame.people],
        "is_labeled": [int(frame.is_labeled)],
    }
    if frame.ignore_regions_px:
        record["ignore_regions"] = [
            {"point": [{"x": [x], "y": [y]} for x, y in region.tolist()]}
            for region in frame.ignore_regions_px
        ]
    return record


def _person_record(person: Person, order: list[int], sequence: AnnotatedSequence) -> dict[str, Any]:
    native = sequence.format == "posetrack17"
    visibility = posetrack_visibility(person, sequence.format)
    record: dict[str, Any] = {k: v for k, v in person.extra.items() if native}
    others = record.pop("other_points", [])
    if person.track_id is not None:
        record["track_id"] = [person.track_id]
    points = [
        _point_record(person, visibility, j, slot)
        for j, slot in enumerate(order)
        if person.present[slot]
    ]
    record["annopoints"] = [{"point": points + others}] if person.has_points else []
    if person.head_box_xyxy_px is not None:
        record.update(
            {k: [v] for k, v in zip(_BOX_KEYS, person.head_box_xyxy_px.tolist(), strict=True)}
        )
    if person.score is not None:
        record["score"] = [person.score]
    return record


def _point_record(
    person: Person, visibility: Float[np.ndarray, "K"], joint: int, slot: int
) -> dict[str, Any]:
    x, y = person.keypoints_px[slot].tolist()
    record: dict[str, Any] = {"id": [joint], "x": [x], "y": [y]}
    flag = visibility[slot]
    if not np.isnan(flag):
        record["is_visible"] = [int(flag) if flag == int(flag) else float(flag)]
    if not np.isnan(person.keypoint_scores[slot]):
        record["score"] = [float(person.keypoint_scores[slot])]
    return record
