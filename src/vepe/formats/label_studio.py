"""Label Studio's JSON: one task per image, a rectangle per person, a point per keypoint.

Source: Label Studio's documentation, 'Label Studio JSON format of annotated tasks', and the reader
of sleap-io. Coordinates are percentages of the image. Every point names its rectangle twice: by
`parentID` and by a relation. The track id is in the rectangle's `meta`. A point that is hidden has
`hidden` in its `meta`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person, skeleton_named
from vepe.formats.files import dump_json, load_json
from vepe.formats.geometry import coco_visibility, person_box
from vepe.formats.records import number_or_none, whole_or_none
from vepe.skeleton import SKELETONS, Skeleton

LOCAL_FILES = "/data/local-files/?d="
"""Label Studio's address of a file in its local storage."""
_TRACK = re.compile(r"^track (\d{1,9})$")


def label_config(skeleton: Skeleton) -> str:
    """The labelling configuration of a project that takes what `write_label_studio` writes."""
    names = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in skeleton.keypoints)
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        '  <RectangleLabels name="box" toName="image">\n    <Label value="person"/>\n'
        '  </RectangleLabels>\n  <KeyPointLabels name="keypoint" toName="image">\n'
        f"{names}\n  </KeyPointLabels>\n</View>\n"
    )


def write_label_studio(path: Path, sequence: AnnotatedSequence) -> Path:
    """Writes one sequence as tasks and returns the path.

    People with a score are `predictions` (pre-annotations), others `annotations`. Images are
    addressed in Label Studio's local storage by their name.

    Raises:
        VepeError: if the size of an image is unknown, or `path` cannot be written.
    """
    return dump_json(path, [_task(sequence, i) for i in range(len(sequence))])


def _task(sequence: AnnotatedSequence, position: int) -> dict[str, Any]:
    frame = sequence.frames[position]
    if frame.people and not (frame.width and frame.height):
        raise VepeError(
            f"{sequence.source}, frame {position}: the size of the image is unknown, and Label "
            "Studio counts in percent of it; give results with image sizes."
        )
    data: dict[str, Any] = {
        "image": LOCAL_FILES + quote(frame.file_name),
        "video": sequence.name,
        "frame_index": frame.index,
    }
    if frame.time_s is not None:
        data["time_s"] = frame.time_s
    if frame.width and frame.height:
        data |= {"width": frame.width, "height": frame.height}
    result: list[dict[str, Any]] = []
    for n, person in enumerate(frame.people):
        result += _regions(person, sequence, frame, f"f{frame.index}p{n}")
    if any(person.score is not None for person in frame.people):
        scores = [p.score for p in frame.people if p.score is not None]
        side = {"model_version": "vepe", "score": float(np.mean(scores)), "result": result}
        return {"data": data, "predictions": [side]}
    return {"data": data, "annotations": [{"result": result}] if frame.is_labeled else []}


def _regions(
    person: Person, sequence: AnnotatedSequence, frame: AnnotatedFrame, own_id: str
) -> list[dict[str, Any]]:
    """The rectangle of a person, its points, and a relation from each point to the rectangle."""
    size = np.array([frame.width, frame.height], float)
    shared = {
        "original_width": frame.width,
        "original_height": frame.height,
        "image_rotation": 0,
        "to_name": "image",
    }
    box = person_box(person)
    regions: list[dict[str, Any]] = []
    if box is not None:
        x, y, width, height = (100 * box / np.tile(size, 2)).tolist()
        value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
        rectangle: dict[str, Any] = {
            **shared, "id": own_id, "type": "rectanglelabels", "from_name": "box",
            "value": {**value, "rectanglelabels": ["person"]},
        }  # fmt: skip
        if person.track_id is not None:
            rectangle["meta"] = {"text": [f"track {person.track_id}"]}
        if person.score is not None:
            rectangle["score"] = person.score
        regions.append(rectangle)
    visibility = coco_visibility(person, sequence.format)
    for k in np.flatnonzero(person.present).tolist():
        x, y = (100 * person.keypoints_px[k] / size).tolist()
        label = sequence.skeleton.keypoints[k]
        point: dict[str, Any] = {
            **shared, "id": f"{own_id}k{k}", "type": "keypointlabels", "from_name": "keypoint",
            "value": {"x": x, "y": y, "width": 0.4, "keypointlabels": [label]},
        }  # fmt: skip
        if not np.isnan(person.keypoint_scores[k]):
            point["score"] = float(person.keypoint_scores[k])
        if visibility[k] == 1:
            point["meta"] = {"text": ["hidden"]}
        if box is not None:
            point["parentID"] = own_id
        regions.append(point)
    if box is not None:
        regions += [
            {"type": "relation", "from_id": r["id"], "to_id": own_id, "direction": "right"}
            for r in regions[1:]
        ]
    return regions


def is_label_studio(data: Any) -> bool:
    """Whether a document is a list of Label Studio's tasks."""
    return (
        isinstance(data, list)
        and bool(data)
        and all(
            isinstance(task, dict)
            and isinstance(task.get("data"), dict)
            and ("annotations" in task or "predictions" in task)
            for task in data
        )
    )


def read_label_studio(path: Path) -> tuple[AnnotatedSequence, ...]:
    """Reads an export of annotated tasks: one sequence for each `video` of the tasks' data.

    Of every task the last annotation counts, or the last prediction without any. A task without
    either is a frame without labels. Points belong to the rectangle that they name by `parentID`
    or a relation; the others of a task are one person.

    Raises:
        VepeError: names the task if something is missing or not a number.
    """
    return parse_label_studio(load_json(path), path)


def parse_label_studio(data: Any, source: Path) -> tuple[AnnotatedSequence, ...]:
    """The sequences in a loaded document; see `read_label_studio`."""
    if not is_label_studio(data):
        raise VepeError(f"{source} is not a list of Label Studio's tasks; check what it is.")
    skeleton = _skeleton(data, source)
    by_video: defaultdict[str, list[AnnotatedFrame]] = defaultdict(list)
    for i, task in enumerate(data):
        video = str(task["data"].get("video") or source.stem)
        number = whole_or_none(
            task["data"].get("frame_index"), "frame_index", f"{source}, task {i}"
        )
        index = len(by_video[video]) if number is None else number
        by_video[video].append(_frame(task, index, skeleton, f"{source}, task {i}"))
    return tuple(
        AnnotatedSequence(
            name, tuple(sorted(frames, key=lambda f: f.index)), skeleton, source, "coco"
        )
        for name, frames in by_video.items()
    )


def _results(task: dict[str, Any], place: str) -> list[dict[str, Any]] | None:
    """The regions of a task, None without annotation and prediction."""
    for side in ("annotations", "predictions"):
        entries = task.get(side) or []
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise VepeError(f"{place}: '{side}' must be a list of records; fix or remove it.")
        entries = [e for e in entries if not e.get("was_cancelled")]
        if entries:
            regions = entries[-1].get("result") or []
            if not isinstance(regions, list) or not all(isinstance(r, dict) for r in regions):
                raise VepeError(f"{place}: 'result' must be a list of regions; fix it.")
            return regions
    return None


def _label(region: dict[str, Any], place: str) -> str:
    value = region.get("value")
    labels = value.get("keypointlabels") if isinstance(value, dict) else None
    if not isinstance(labels, list) or not labels:
        raise VepeError(f"{place}: a keypoint has no label; give each one a name.")
    return str(labels[0])


def _skeleton(data: list[dict[str, Any]], source: Path) -> Skeleton:
    """The known skeleton with all names of the file, or a new one in order of appearance."""
    names: dict[str, None] = {}
    for i, task in enumerate(data):
        place = f"{source}, task {i}"
        for region in _results(task, place) or ():
            if region.get("type") == "keypointlabels":
                names[_label(region, place)] = None
    if not names:
        raise VepeError(f"{source} has no keypoints; label some, or check what it is.")
    for known in SKELETONS.values():
        if set(names) <= set(known.keypoints):
            return known
    return skeleton_named(list(names))


def _frame(task: dict[str, Any], index: int, skeleton: Skeleton, place: str) -> AnnotatedFrame:
    regions = _results(task, place)
    people, size = _people(regions or [], skeleton, place)
    width, height = (whole_or_none(task["data"].get(s), s, place) for s in ("width", "height"))
    image = str(task["data"].get("image") or "")
    name = unquote(image.removeprefix(LOCAL_FILES)) if image.startswith(LOCAL_FILES) else image
    return AnnotatedFrame(
        index=index,
        file_name=name,
        image_id=None,
        is_labeled=regions is not None,
        has_annotations=bool(people),
        people=people,
        width=size[0] if size else width,
        height=size[1] if size else height,
        time_s=number_or_none(task["data"].get("time_s"), "time_s", place),
    )


def _people(
    regions: list[dict[str, Any]], skeleton: Skeleton, place: str
) -> tuple[tuple[Person, ...], tuple[int, int] | None]:
    rectangles = {str(r.get("id")): r for r in regions if r.get("type") == "rectanglelabels"}
    points = {str(r.get("id")): r for r in regions if r.get("type") == "keypointlabels"}
    owner = {i: str(r.get("parentID")) for i, r in points.items()}
    for region in regions:
        if region.get("type") == "relation":
            ends = str(region.get("from_id")), str(region.get("to_id"))
            for a, b in (ends, ends[::-1]):
                if a in points and b in rectangles:
                    owner[a] = b
    members: dict[str | None, list[dict[str, Any]]] = {i: [] for i in rectangles}
    for i, point in points.items():
        members.setdefault(owner[i] if owner[i] in rectangles else None, []).append(point)
    size: tuple[int, int] | None = None
    people = []
    for owned_by, own in members.items():
        rectangle = None if owned_by is None else rectangles[owned_by]
        for region in (*([rectangle] if rectangle else ()), *own):
            size = _size(region, place)
        people.append(_person(rectangle, own, skeleton, size, place))
    return tuple(people), size


def _size(region: dict[str, Any], place: str) -> tuple[int, int]:
    sides = [
        whole_or_none(region.get(f"original_{side}"), f"original_{side}", place)
        for side in ("width", "height")
    ]
    if not all(side and 0 < side < 2**31 for side in sides):
        raise VepeError(f"{place}: a region has no original_width and original_height; add them.")
    return sides[0] or 0, sides[1] or 0


def _numbers(region: dict[str, Any], names: tuple[str, ...], place: str) -> list[float]:
    value = region.get("value")
    numbers = [
        number_or_none(value.get(n) if isinstance(value, dict) else None, n, place) for n in names
    ]
    if None in numbers:
        raise VepeError(f"{place}: a region lacks one of {', '.join(names)}; fix the record.")
    return [n for n in numbers if n is not None]


def _notes(region: dict[str, Any]) -> list[str]:
    """The texts that a user, or `write_label_studio`, gave to a region."""
    meta = region.get("meta")
    texts = meta.get("text") if isinstance(meta, dict) else None
    return [str(t) for t in (texts if isinstance(texts, list) else [texts]) if t]


def _person(
    rectangle: dict[str, Any] | None,
    points: list[dict[str, Any]],
    skeleton: Skeleton,
    size: tuple[int, int] | None,
    place: str,
) -> Person:
    scale = np.array(size or (0, 0), float) / 100
    k = len(skeleton)
    xy, visibility, scores = np.zeros((k, 2)), np.zeros(k), np.full(k, np.nan)
    for point in points:
        j = skeleton.index(_label(point, place))
        xy[j] = np.array(_numbers(point, ("x", "y"), place)) * scale
        visibility[j] = 1 if "hidden" in _notes(point) else 2
        score = number_or_none(point.get("score"), "score", place)
        scores[j] = np.nan if score is None else score
    box = score = track_id = None
    if rectangle is not None:
        values = np.array(_numbers(rectangle, ("x", "y", "width", "height"), place))
        box = values * np.tile(scale, 2)
        score = number_or_none(rectangle.get("score"), "score", place)
        matches = [m for m in map(_TRACK.match, _notes(rectangle)) if m]
        track_id = int(matches[0][1]) if matches else None
    return Person(
        xy, visibility > 0, visibility, scores, score, track_id, box_xywh_px=box,
        has_points=bool(points),
    )  # fmt: skip
