"""Writing PoseTrack18 and PoseTrack21 files, both ground truth and results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.files import dump_json
from vepe.formats.geometry import flat_numbers, posetrack_visibility, xyxy_to_xywh
from vepe.formats.posetrack18 import FIRST_CODED_ID, SLOTS_2018, frame_ids, video_id
from vepe.skeleton import POSETRACK15, Skeleton

NO_SCORE = -9999.0
"""poseval's value for a keypoint without a score among others that have one."""

ONLY_2021 = ("has_labeled_person", "person_id")
"""Fields that PoseTrack18 lacks."""

NOT_POSETRACK = ("attributes", "category_id", "video_id", "frame_id", "source_frame_id")
"""Fields of COCO-video files that are not copied."""

CATEGORY_2018 = {
    "supercategory": "person",
    "id": 1,
    "name": "person",
    "keypoints": list(SLOTS_2018),
    "skeleton": [
        [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9],
        [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7],
    ],
}  # fmt: skip
"""The category of PoseTrack18's own files."""


def write_posetrack18(path: Path, sequence: AnnotatedSequence, *, year: int = 2018) -> Path:
    """Writes one sequence as PoseTrack18 (or, with `year=2021`, PoseTrack21) and returns the path.

    Ids are kept if the source has them, else made: frame ids in PoseTrack's code if the images'
    names allow it, `annotation id = frame id * 100 + k`. A skeleton that lacks PoseTrack's joints
    is written with its own keypoint names.

    Raises:
        VepeError: if `path` cannot be written.
    """
    return dump_json(path, posetrack18_document(sequence, year=year))


def require_posetrack_joints(sequence: AnnotatedSequence, target: str) -> None:
    """Raises VepeError if the skeleton lacks one of PoseTrack's 15 joints."""
    missing = [n for n in POSETRACK15.keypoints if n not in sequence.skeleton.keypoints]
    if missing:
        raise VepeError(
            f"{sequence.source} has no {', '.join(missing)}, but {target} needs PoseTrack's 15 "
            "joints; choose coco, csv or parquet instead."
        )


def posetrack18_document(sequence: AnnotatedSequence, *, year: int = 2018) -> dict[str, Any]:
    """The JSON document of one sequence; see `write_posetrack18`."""
    frames = sequence.frames
    ids = image_ids(sequence)
    keep = sequence.format != "posetrack17"
    slots = _Slots(sequence)
    # A person with a score is a prediction; a file without any is ground truth.
    is_gt = all(p.score is None for f in frames for p in f.people)
    crowded = any(len(f.people) > 100 for f in frames) or min(ids, default=0) < FIRST_CODED_ID
    annotations: list[dict[str, Any]] = []
    for frame, image_id in zip(frames, ids, strict=True):
        for k, person in enumerate(frame.people):
            own_id = len(annotations) + 1 if crowded else image_id * 100 + k
            extra = _carried(person.extra, year) if keep else {}
            annotations.append(slots.annotation(person, image_id, own_id, extra, sequence))
    return {
        **{k: v for k, v in sequence.extra.items() if keep and k not in ("categories", "videos")},
        "images": [
            _image(frame, image_id, len(frames), _carried(frame.extra, year) if keep else {}, is_gt,
                   year)
            for frame, image_id in zip(frames, ids, strict=True)
        ],
        "annotations": annotations,
        "categories": [slots.category],
    }  # fmt: skip


def image_ids(sequence: AnnotatedSequence) -> list[int]:
    """Ids of all frames: the source's if it has them, else made from names or numbers."""
    own = [frame.image_id for frame in sequence.frames]
    if None not in own:
        return [i for i in own if i is not None]
    return frame_ids([f.file_name for f in sequence.frames], [f.index for f in sequence.frames])


def _carried(extra: dict[str, Any], year: int) -> dict[str, Any]:
    """Those of a COCO-like source's own fields that the target has too."""
    drop = NOT_POSETRACK + (ONLY_2021 if year == 2018 else ())
    return {key: value for key, value in extra.items() if key not in drop}


def _image(
    frame: AnnotatedFrame, image_id: int, count: int, extra: dict[str, Any], is_gt: bool, year: int
) -> dict[str, Any]:
    coded = image_id >= FIRST_CODED_ID
    number = frame.extra.get("source_frame_id", image_id if coded else frame.index)
    record: dict[str, Any] = {
        "id": image_id,
        "frame_id": number,
        "file_name": frame.file_name,
        "is_labeled": frame.is_labeled,
    }
    if frame.time_s is not None:
        record["time_s"] = frame.time_s
    if frame.width is not None and frame.height is not None:
        record |= {"width": frame.width, "height": frame.height}
    if is_gt or frame.ignore_regions_px:
        record["ignore_regions_x"] = [r[:, 0].tolist() for r in frame.ignore_regions_px]
        record["ignore_regions_y"] = [r[:, 1].tolist() for r in frame.ignore_regions_px]
    if is_gt and coded:
        record |= {"vid_id": video_id(frame.file_name), "nframes": count}
    if year == 2021:
        record["has_labeled_person"] = frame.has_annotations
    return record | extra


class _Slots:
    """The index in the file's lists of each keypoint of a sequence."""

    def __init__(self, sequence: AnnotatedSequence) -> None:
        skeleton = sequence.skeleton
        posetrack = set(POSETRACK15.keypoints) <= set(skeleton.keypoints)
        self.names = SLOTS_2018 if posetrack else skeleton.keypoints
        self.category = _category(sequence, self.names, skeleton)
        pairs = [
            (i, skeleton.index(n)) for i, n in enumerate(self.names) if n in skeleton.keypoints
        ]
        self.slots = [slot for slot, _ in pairs]
        self.columns = [column for _, column in pairs]
        self.ears = [i for i, n in enumerate(self.names) if n.endswith("_ear")]

    def annotation(
        self,
        person: Person,
        image_id: int,
        own_id: int,
        extra: dict[str, Any],
        sequence: AnnotatedSequence,
    ) -> dict[str, Any]:
        ears, ear_scores = extra.pop("ears", None), extra.pop("ear_scores", None)
        record: dict[str, Any] = {
            "id": own_id if person.annotation_id is None else person.annotation_id,
            "image_id": image_id,
            "category_id": self.category.get("id", 1),
        }
        if person.track_id is not None or person.score is not None:
            record["track_id"] = -1 if person.track_id is None else person.track_id
        if person.box_xywh_px is not None:
            record["bbox"] = person.box_xywh_px.tolist()
        if person.head_box_xyxy_px is not None:
            record["bbox_head"] = xyxy_to_xywh(person.head_box_xyxy_px).tolist()
        if person.has_points:
            record["keypoints"] = self._keypoints(person, ears, sequence)
        record["scores"] = self._scores(person, ear_scores)
        if person.score is not None:
            record["score"] = person.score
        return record | extra

    def _keypoints(
        self, person: Person, ears: list[float] | None, sequence: AnnotatedSequence
    ) -> list[Any]:
        visibility = np.nan_to_num(posetrack_visibility(person, sequence.format), nan=1.0)
        table = np.zeros((len(self.names), 3))
        table[self.slots, :2] = person.keypoints_px[self.columns]
        table[self.slots, 2] = visibility[self.columns]
        table[self.slots] *= person.present[self.columns, None]
        if ears is not None and len(ears) == 3 * len(self.ears):
            table[self.ears] = np.reshape(ears, (-1, 3))
        return flat_numbers(table)

    def _scores(self, person: Person, ear_scores: list[float] | None) -> list[float]:
        own_scores = person.keypoint_scores[self.columns]
        if np.isnan(own_scores).all():
            return []
        scores: Float[np.ndarray, "S"] = np.zeros(len(self.names))
        missing = np.where(person.present[self.columns], NO_SCORE, 0.0)
        scores[self.slots] = np.where(np.isnan(own_scores), missing, own_scores)
        if ear_scores is not None and len(ear_scores) == len(self.ears):
            scores[self.ears] = ear_scores
        return scores.tolist()


def _category(
    sequence: AnnotatedSequence, names: tuple[str, ...], skeleton: Skeleton
) -> dict[str, Any]:
    """The source's category if it has exactly these keypoints, else PoseTrack's or a new one."""
    for category in sequence.extra.get("categories", []):
        if isinstance(category, dict) and category.get("keypoints") == list(names):
            return category
    if names == SLOTS_2018:
        return dict(CATEGORY_2018)
    edges = [[a + 1, b + 1] for a, b in skeleton.edges]
    return {**CATEGORY_2018, "keypoints": list(names), "skeleton": edges}
