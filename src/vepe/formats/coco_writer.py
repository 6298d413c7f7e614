"""Writing COCO keypoints: labelled videos, which CVAT opens too, and plain results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.files import dump_json
from vepe.formats.geometry import (
    COORDINATE_DECIMALS,
    SCORE_DECIMALS,
    coco_visibility,
    flat_numbers,
    person_box,
    rounded,
    xyxy_to_xywh,
)
from vepe.formats.posetrack18_writer import NO_SCORE, image_ids
from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses


@dataclass(frozen=True)
class ResultImage:
    """The image that a prediction belongs to: its file name and its size in pixels."""

    file_name: str
    width: int
    height: int


def category_of(skeleton: Skeleton) -> dict[str, Any]:
    """COCO's category 'person' with the skeleton's keypoint names and limbs (from 1)."""
    return {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.edges],
    }


def write_coco_results(
    path: Path, skeleton: Skeleton, images: Iterable[tuple[ResultImage, FramePoses]]
) -> Path:
    """Writes predictions of single images in COCO's result fields and returns the path.

    Every keypoint is x, y, confidence. Image ids count from 1. Coordinates have three decimals,
    scores six. People with a track id get `track_id`.

    Raises:
        VepeError: if `path` cannot be written.
    """
    entries = (
        ({"file_name": p.file_name, "width": p.width, "height": p.height}, poses)
        for p, poses in images
    )
    return dump_json(path, results_document(skeleton, entries))


def results_document(
    skeleton: Skeleton, entries: Iterable[tuple[dict[str, Any], FramePoses]]
) -> dict[str, Any]:
    """COCO results of images with these fields, numbered from 1; see `write_coco_results`."""
    images, annotations = [], []
    for number, (fields, poses) in enumerate(entries, start=1):
        images.append({"id": number, **fields})
        annotations += result_records(poses, number)
    return {"categories": [category_of(skeleton)], "images": images, "annotations": annotations}


def result_records(poses: FramePoses, image_id: int) -> list[dict[str, Any]]:
    """COCO results of one frame, one record per person."""
    table = np.concatenate(
        [
            rounded(np.nan_to_num(poses.keypoints_px), COORDINATE_DECIMALS),
            rounded(poses.keypoint_scores, SCORE_DECIMALS)[..., None],
        ],
        axis=2,
    )
    records = []
    for points, score, track_id in zip(table, poses.scores, poses.track_ids, strict=True):
        record = {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": points.ravel().tolist(),
            "score": round(float(score), SCORE_DECIMALS),
        }
        if track_id != NO_TRACK:
            record["track_id"] = int(track_id)
        records.append(record)
    return records


def write_coco_video(path: Path, sequences: Iterable[AnnotatedSequence]) -> Path:
    """Writes labelled sequences into one COCO file with a `videos` table; returns the path.

    `v` is COCO's: 2 visible, 1 hidden, 0 absent. Track ids go to `track_id` and to `attributes`,
    where CVAT looks for them. Head boxes, ignore regions and scores have PoseTrack18's field
    names, which COCO's tools ignore. Image and annotation ids are kept if they are unique over
    all sequences, else counted from 1.

    Raises:
        VepeError: if the sequences differ in their keypoints, or `path` cannot be written.
    """
    sequences = tuple(sequences)
    skeletons = {s.skeleton.keypoints for s in sequences}
    if len(skeletons) != 1:
        raise VepeError(f"{path} cannot hold {len(skeletons)} sets of keypoints; convert each.")
    ids = _unique([i for s in sequences for i in image_ids(s)])
    frames = [(video, s, f) for video, s in enumerate(sequences, 1) for f in s.frames]
    people = [
        (image_id, video, s, p)
        for image_id, (video, s, f) in zip(ids, frames, strict=True)
        for p in f.people
    ]
    category = _category(sequences[0])
    category_id = category.get("id", 1)
    own = _unique([p.annotation_id for _, _, _, p in people])
    document = {
        **_shared_extra(sequences),
        "videos": [{"id": i, "name": s.name} for i, s in enumerate(sequences, 1)],
        "images": [_image(f, i, v, s) for i, (v, s, f) in zip(ids, frames, strict=True)],
        "annotations": [_annotation(n, category_id, *e) for n, e in zip(own, people, strict=True)],
        "categories": [category],
    }
    return dump_json(path, document)


def _unique(ids: list[Any]) -> list[int]:
    """The ids if all exist, are unique and above 0 (pycocotools treats 0 as none), or 1 to n."""
    if None in ids or len(set(ids)) != len(ids) or min(ids, default=1) < 1:
        return list(range(1, len(ids) + 1))
    return ids


def _shared_extra(sequences: tuple[AnnotatedSequence, ...]) -> dict[str, Any]:
    if sequences[0].format == "posetrack17":
        return {}
    return {k: v for k, v in sequences[0].extra.items() if k not in ("categories", "videos")}


def _category(sequence: AnnotatedSequence) -> dict[str, Any]:
    for category in sequence.extra.get("categories", []) if sequence.format == "coco" else []:
        if category.get("keypoints") == list(sequence.skeleton.keypoints):
            return category
    return category_of(sequence.skeleton)


def _image(
    frame: AnnotatedFrame, image_id: int, video: int, sequence: AnnotatedSequence
) -> dict[str, Any]:
    extra = dict(frame.extra) if sequence.format != "posetrack17" else {}
    own_number = extra.pop("frame_id", None)
    extra.pop("video_id", None)
    record: dict[str, Any] = {
        "id": image_id,
        "video_id": video,
        "frame_id": frame.index,
        "file_name": frame.file_name,
        "is_labeled": frame.is_labeled,
    }
    if sequence.format != "coco" and own_number not in (None, image_id, frame.index):
        record["source_frame_id"] = own_number
    if frame.width is not None and frame.height is not None:
        record |= {"width": frame.width, "height": frame.height}
    if frame.time_s is not None:
        record["time_s"] = frame.time_s
    if frame.ignore_regions_px:
        record["ignore_regions_x"] = [r[:, 0].tolist() for r in frame.ignore_regions_px]
        record["ignore_regions_y"] = [r[:, 1].tolist() for r in frame.ignore_regions_px]
    return record | extra


def _annotation(
    own_id: int,
    category_id: int,
    image_id: int,
    video: int,
    sequence: AnnotatedSequence,
    person: Person,
) -> dict[str, Any]:
    extra = dict(person.extra) if sequence.format != "posetrack17" else {}
    box = person_box(person)
    own = extra.pop("attributes", None)
    attributes: dict[str, Any] = {"occluded": False, **(own if isinstance(own, dict) else {})}
    record: dict[str, Any] = {
        "id": own_id,
        "image_id": image_id,
        "video_id": video,
        "category_id": category_id,
        "iscrowd": 0,
        "num_keypoints": int(person.present.sum()),
        "attributes": attributes,
    }
    if person.track_id is not None:
        record["track_id"] = person.track_id
        attributes |= {"track_id": person.track_id, "keyframe": True}
    if box is not None:
        record |= {"bbox": box.tolist(), "area": float(box[2] * box[3])}
    if person.head_box_xyxy_px is not None:
        record["bbox_head"] = xyxy_to_xywh(person.head_box_xyxy_px).tolist()
    if person.has_points:
        visibility = coco_visibility(person, sequence.format)
        table = np.concatenate([person.keypoints_px, visibility[:, None]], axis=1)
        record["keypoints"] = flat_numbers(table)
    has_score = ~np.isnan(person.keypoint_scores)
    if has_score.any() or person.score is not None:
        filler = np.where(person.present, NO_SCORE, 0.0)
        record["scores"] = np.where(has_score, person.keypoint_scores, filler).tolist()
    if person.score is not None:
        record["score"] = person.score
    return record | {k: v for k, v in extra.items() if k not in ("category_id", "video_id")}
