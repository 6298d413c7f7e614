"""Reading PoseTrack 2018 and 2021: COCO-like JSON, one file per sequence, or many in one file.

In a merged file (mmpose's `posetrack18_val.json`) `vid_id` tells the sequences apart.
17 keypoint slots, of which the two ears stay empty. PoseTrack21 adds `has_labeled_person` to
images (there are boxes, but perhaps no poses) and `person_id` to people (an identity over all
sequences), and frames with `is_labeled` false may have records with only boxes.

Sources: the PoseTrack18 release as read by poseval and mmpose; the PoseTrack21 kit and its
documentation (anDoer/PoseTrack21). `vepe track` writes its results in this layout too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedSequence, FormatName, Person, frame_place
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
from vepe.skeleton import POSETRACK15

FIRST_CODED_ID = 10**10
"""The smallest frame id in PoseTrack's code, TSSSSSSFFFF (11 digits); see `coded_frame_id`."""

_KINDS = {"mpii": 1, "bonn": 2, "mpiinew": 3, "synth": 9}
_NAME = re.compile(r"(?:^|/)(\d{6})_(mpiinew|mpii|bonn|synth)[^/]*/(\d+)\.\w+$")


def coded_frame_id(file_name: str) -> int | None:
    """The id TSSSSSSFFFF of an image such as 'images/val/012834_mpii_test/000003.jpg', or None.

    T is 1 for mpii, 2 for bonn, 3 for mpiinew, 9 for synthetic video; S the sequence's six
    digits; F the frame.
    """
    match = _NAME.search(file_name)
    if match is None or len(match[3].lstrip("0")) > 4:
        return None
    return _KINDS[match[2]] * FIRST_CODED_ID + int(match[1]) * 10_000 + int(match[3])


def video_id(file_name: str) -> str | None:
    """The six digits of the sequence in an image's name, or None."""
    match = _NAME.search(file_name)
    return match[1] if match else None


def frame_ids(file_names: Iterable[str], indices: Iterable[int]) -> list[int]:
    """An id for every frame: coded if all names allow it, else the frame numbers."""
    coded = [coded_frame_id(name) for name in file_names]
    if None not in coded and len(set(coded)) == len(coded):
        return [i for i in coded if i is not None]
    return list(indices)


def is_posetrack21(data: dict[str, Any]) -> bool:
    """Whether a PoseTrack18-like document has one of the fields that PoseTrack21 added."""
    return _has(data.get("images"), "has_labeled_person") or _has(
        data.get("annotations"), "person_id"
    )


def _has(records: Any, key: str) -> bool:
    return isinstance(records, list) and any(isinstance(r, dict) and key in r for r in records)


SLOTS_2018 = (*POSETRACK15.keypoints[:3], "left_ear", "right_ear", *POSETRACK15.keypoints[3:])
"""Names of the 17 slots; the ears are never annotated."""


def read_posetrack18(path: Path) -> tuple[AnnotatedSequence, ...]:
    """Reads the sequences of a file of PoseTrack18 or PoseTrack21.

    Returns:
        The sequence of the file, or one for each `vid_id`, over `POSETRACK15`; ears, if a file has
        them, are kept in `Person.extra["ears"]` and `Person.extra["ear_scores"]`. `index` is the
        frame number from `frame_id`, or the position in the sequence if those do not ascend.
        A single sequence has the name of the file. One of several has that of its images' folder,
        which is how PoseTrack names files too, or its `vid_id` if folders do not tell them apart.

    Raises:
        VepeError: names the file and the frame if something is missing or not a number.
    """
    return parse_posetrack18(load_json(path), path)


def parse_posetrack18(data: Any, source: Path) -> tuple[AnnotatedSequence, ...]:
    """The sequences in a document; `source` is for messages and names a single one."""
    names = keypoint_names(data, source)
    missing = [name for name in POSETRACK15.keypoints if name not in names]
    if missing:
        raise VepeError(
            f"{source}: the category lacks the keypoints {', '.join(missing)}; "
            "PoseTrack needs all 15, so check what this file is."
        )
    images = image_table(data, source)
    places = [frame_place(source, i, str(m.get("file_name", ""))) for i, m in enumerate(images)]
    people = _read_people(data, names, source, images, places)
    extra = {key: v for key, v in data.items() if key not in ("images", "annotations")}
    kind: FormatName = "posetrack21" if is_posetrack21(data) else "posetrack18"
    sequences = []
    for name, members in _videos(images, source).items():
        indices = _frame_indices([images[i] for i in members])
        frames = tuple(
            read_frame(images[i], index, people[i], places[i])
            for i, index in zip(members, indices, strict=True)
        )
        sequences.append(AnnotatedSequence(name, frames, POSETRACK15, source, kind, extra))
    return tuple(sequences)


def _videos(images: list[dict[str, Any]], source: Path) -> dict[str, list[int]]:
    """Positions of the images of each sequence, by its name; see `read_posetrack18`.

    Raises:
        VepeError: if an image does not say to which of several sequences it belongs.
    """
    ids = [image.get("vid_id") for image in images]
    if len(set(map(str, ids)) - {"None"}) <= 1:
        return {source.stem: list(range(len(images)))}
    by_video: defaultdict[str, list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        video = ids[i] if ids[i] is not None else video_id(str(image.get("file_name", "")))
        if not isinstance(video, int | str):
            raise VepeError(
                f"{source}, frame {i}: the image has no usable 'vid_id', but the file holds "
                "several videos; add it."
            )
        by_video[str(video)].append(i)
    folders = {
        video: {PurePosixPath(str(images[i].get("file_name", ""))).parent.name for i in members}
        for video, members in by_video.items()
    }
    names = [next(iter(f)) for f in folders.values() if len(f) == 1]
    if "" in names or len(set(names)) < len(by_video):
        return dict(by_video)
    return dict(zip(names, by_video.values(), strict=True))


def _frame_indices(images: list[dict[str, Any]]) -> list[int]:
    """Frame numbers from `frame_id`, or positions in the file if those do not ascend."""
    ids = [image.get("frame_id") for image in images]
    numbers = [
        (i % 10_000 if i >= FIRST_CODED_ID else i) if isinstance(i, int) and i >= 0 else -1
        for i in ids
    ]
    ascending = all(a < b for a, b in zip([-1, *numbers], numbers, strict=False))
    return numbers if ascending else list(range(len(images)))


def _read_people(
    data: dict[str, Any],
    names: list[str],
    source: Path,
    images: list[dict[str, Any]],
    places: list[str],
) -> defaultdict[int, list[Person]]:
    """People by the position of their frame, in the file's order."""
    annotations, positions = annotation_table(data, source, images)
    where = [f"{places[p]}, annotation {i}" for i, p in enumerate(positions)]
    points = keypoint_array(annotations, len(names), where)
    scores = score_array(annotations, len(names), where)
    order = [names.index(name) for name in POSETRACK15.keypoints]
    ears = [i for i, name in enumerate(names) if name not in POSETRACK15.keypoints]
    body, body_scores = points[:, order], scores[:, order]
    present = (body != 0).any(axis=2)
    xy, visibility = body[:, :, :2], body[:, :, 2]
    has_ears = (points[:, ears] != 0).any(axis=(1, 2))
    has_ear_scores = (np.nan_to_num(scores[:, ears]) != 0).any(axis=1)
    result: defaultdict[int, list[Person]] = defaultdict(list)
    for i, record in enumerate(annotations):
        extra = {k: v for k, v in record.items() if k not in ANNOTATION_KEYS}
        if has_ears[i]:
            extra["ears"] = points[i, ears].ravel().tolist()
        if has_ear_scores[i]:
            extra["ear_scores"] = scores[i, ears].tolist()
        head = box_of(record.get("bbox_head"), "bbox_head", where[i])
        person = Person(
            keypoints_px=xy[i],
            present=present[i],
            visibility=visibility[i],
            keypoint_scores=body_scores[i],
            score=number_or_none(record.get("score"), "score", where[i]),
            track_id=track_id_or_none(record.get("track_id"), where[i]),
            head_box_xyxy_px=None if head is None else xywh_to_xyxy(head),
            box_xywh_px=box_of(record.get("bbox"), "bbox", where[i]),
            has_points=bool(record.get("keypoints")),
            annotation_id=whole_or_none(record.get("id"), "id", where[i]),
            extra=extra,
        )
        result[positions[i]].append(person)
    return result
