"""Reading COCO keypoints: images and videos, labels and results, CVAT's export with track ids.

Sources: the COCO data format page; CVAT's "COCO Keypoints" format, whose annotations carry
`attributes: {"track_id", "keyframe", "occluded"}`; the `videos` table of COCO-video data sets.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedSequence, Person, frame_place, skeleton_named
from vepe.formats.files import load_json
from vepe.formats.geometry import xywh_to_xyxy
from vepe.formats.records import (
    ANNOTATION_KEYS,
    annotation_table,
    box_of,
    image_table,
    keypoint_array,
    keypoint_names,
    number_or_none,
    read_frame,
    score_array,
    track_id_or_none,
    whole_or_none,
)


def read_coco(path: Path) -> tuple[AnnotatedSequence, ...]:
    """Reads a COCO keypoints file of labels or results.

    Returns:
        One `AnnotatedSequence` for each video of the file, or one for the whole file if it has no
        videos. The skeleton is the known one with the category's names, or a new one. In results
        (`score`, but no `scores`) the third number of a keypoint is its confidence: it goes to
        `keypoint_scores`, and every keypoint is present.

    Raises:
        VepeError: names the file and the frame if something is missing or not a number.
    """
    return parse_coco(load_json(Path(path)), Path(path))


def parse_coco(data: Any, source: Path) -> tuple[AnnotatedSequence, ...]:
    """The sequences in a loaded document; see `read_coco`."""
    names = keypoint_names(data, source)
    images = image_table(data, source)
    places = [frame_place(source, i, str(m.get("file_name", ""))) for i, m in enumerate(images)]
    people = _read_people(data, len(names), source, images, places)
    skeleton = skeleton_named(names, _edges(data, names, source))
    by_video: defaultdict[Any, list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        video = image.get("video_id")
        if not isinstance(video, int | str | None):
            raise VepeError(f"{places[i]}: video_id is {video!r}; give a number or leave it out.")
        by_video[video].append(i)
    videos = _videos(data, source)
    extra = {k: v for k, v in data.items() if k not in ("images", "annotations", "videos")}
    sequences = []
    for video, members in by_video.items():
        name = str(videos.get(video or 0, {}).get("name") or video or source.stem)
        frames = tuple(
            read_frame(images[i], _frame_number(images[i], n), people[i], places[i])
            for n, i in enumerate(members)
        )
        sequences.append(AnnotatedSequence(name, frames, skeleton, source, "coco", extra))
    return tuple(sequences)


def _edges(data: dict[str, Any], names: list[str], source: Path) -> list[tuple[int, int]]:
    """Limbs of the category, counted from 0 (COCO counts from 1)."""
    for category in data["categories"]:
        if not isinstance(category, dict) or category.get("keypoints") != names:
            continue
        pairs = np.array(category.get("skeleton") or [], dtype=object).reshape(-1)
        wrong = [i for i in pairs if type(i) is not int or not 1 <= i <= len(names)]
        if wrong or len(pairs) % 2:
            raise VepeError(
                f"{source}: the category's 'skeleton' must be a list of keypoint pairs, counted "
                f"from 1 to {len(names)}; fix or remove it."
            )
        return [(int(a) - 1, int(b) - 1) for a, b in pairs.reshape(-1, 2)]
    return []


def _videos(data: dict[str, Any], source: Path) -> dict[int | str, dict[str, Any]]:
    """The videos of the file by their id."""
    videos = data.get("videos") or []
    if not isinstance(videos, list) or not all(
        isinstance(v, dict) and isinstance(v.get("id"), int | str) for v in videos
    ):
        raise VepeError(
            f"{source}: 'videos' must be a list of records with an id; fix or remove it."
        )
    return {v["id"]: v for v in videos}


def _frame_number(image: dict[str, Any], position: int) -> int:
    """The record's own frame number if it has a sane one, else its position."""
    number = image.get("frame_id", image.get("frame_index"))
    return number if type(number) is int and 0 <= number < 10**9 else position


def _read_people(
    data: dict[str, Any],
    num_keypoints: int,
    source: Path,
    images: list[dict[str, Any]],
    places: list[str],
) -> defaultdict[int, list[Person]]:
    """People by the position of their image, in the file's order."""
    annotations, positions = annotation_table(data, source, images)
    where = [f"{places[p]}, annotation {i}" for i, p in enumerate(positions)]
    points = keypoint_array(annotations, num_keypoints, where)
    scores = score_array(annotations, num_keypoints, where)
    result: defaultdict[int, list[Person]] = defaultdict(list)
    for i, record in enumerate(annotations):
        result[positions[i]].append(_read_person(record, points[i], scores[i], where[i]))
    return result


def _read_person(
    record: dict[str, Any], points: np.ndarray, scores: np.ndarray, place: str
) -> Person:
    score = number_or_none(record.get("score"), "score", place)
    visibility, present = points[:, 2], points[:, 2] > 0
    if score is not None and not record.get("scores"):  # a result: the third number is a confidence
        scores, visibility = points[:, 2], np.full(len(points), 2.0)
        present = np.ones(len(points), bool)
    attributes = record.get("attributes")
    track_id = record.get("track_id")
    if track_id is None and isinstance(attributes, dict):
        track_id = attributes.get("track_id")
    head = box_of(record.get("bbox_head"), "bbox_head", place)
    return Person(
        keypoints_px=points[:, :2],
        present=present,
        visibility=visibility,
        keypoint_scores=scores,
        score=score,
        track_id=track_id_or_none(track_id, place),
        head_box_xyxy_px=None if head is None else xywh_to_xyxy(head),
        box_xywh_px=box_of(record.get("bbox"), "bbox", place),
        has_points=bool(record.get("keypoints")),
        annotation_id=whole_or_none(record.get("id"), "id", place),
        extra={k: v for k, v in record.items() if k not in ANNOTATION_KEYS},
    )
