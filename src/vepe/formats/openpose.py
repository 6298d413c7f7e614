"""OpenPose's JSON: a folder with one file per frame, people ordered by track id.

Source: OpenPose's documentation, "Output format" (version 1.3, BODY_25). Human skeletons with
shoulders to ankles are written as BODY_25, whose Neck and MidHip are the middles of shoulders and
hips; it has no head_bottom and head_top. Other skeletons keep their own order.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vepe.errors import VepeError
from vepe.formats.annotations import (
    AnnotatedFrame,
    AnnotatedSequence,
    Person,
    frame_place,
    skeleton_named,
)
from vepe.formats.files import encode_json, load_json, replacing_folder, safe_name
from vepe.skeleton import COCO17, CROWDPOSE14, POSETRACK15, Skeleton

_NAMES = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear "
    "left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
)
_EDGES = (
    (0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (10, 11),
    (8, 12), (12, 13), (13, 14), (0, 15), (15, 17), (0, 16), (16, 18), (14, 19), (19, 20), (14, 21),
    (11, 22), (22, 23), (11, 24),
)  # fmt: skip
BODY_25 = skeleton_named(tuple(_NAMES.split()), _EDGES)
"""OpenPose's 25 keypoints in its order, joined as in its own drawings."""

_MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
_NUMBER = re.compile(r"(\d+)(?:_keypoints)?$")


def is_body(skeleton: Skeleton) -> bool:
    """Whether a skeleton is written as BODY_25: it has shoulders, hips, arms and legs."""
    limbs = {n for n in BODY_25.keypoints[:15] if n.startswith(("left_", "right_"))}
    return limbs <= set(skeleton.keypoints)


def write_openpose(path: Path, sequence: AnnotatedSequence) -> Path:
    """Writes the folder `path` (an old one is replaced) and returns it.

    Files are called `<sequence>_<frame number in 12 digits>_keypoints.json`. People are sorted by
    track id (`person_id`), those without one last. The third number of a keypoint is its
    confidence, 1 if the source has none; an absent keypoint is 0, 0, 0.

    Raises:
        VepeError: if the folder cannot be written, or holds files of another kind.
    """
    _refuse_foreign(path)
    with replacing_folder(path) as partial:
        for frame in sequence.frames:
            people = sorted(frame.people, key=lambda p: (p.track_id is None, p.track_id or 0))
            document = {
                "version": 1.3,
                "people": [_record(person, sequence.skeleton) for person in people],
            }
            file = partial / f"{safe_name(sequence.name)}_{frame.index:012d}_keypoints.json"
            file.write_bytes(encode_json(document))
    return path


def _refuse_foreign(path: Path) -> None:
    if path.is_dir():
        foreign = [f.name for f in path.iterdir() if not f.name.endswith("_keypoints.json")]
        if foreign:
            raise VepeError(
                f"{path} holds other files ({foreign[0]}); name a new folder for OpenPose's files."
            )


def _record(person: Person, skeleton: Skeleton) -> dict[str, Any]:
    scores = np.where(np.isnan(person.keypoint_scores), 1.0, person.keypoint_scores)
    table = np.concatenate([person.keypoints_px, scores[:, None]], axis=1)
    table *= person.present[:, None]
    if is_body(skeleton):
        table = _body_25(table, skeleton)
    return {
        "person_id": [-1 if person.track_id is None else person.track_id],
        "pose_keypoints_2d": table.ravel().tolist(),
    }


def _body_25(table: Float[np.ndarray, "K 3"], skeleton: Skeleton) -> Float[np.ndarray, "25 3"]:
    result = np.zeros((len(BODY_25), 3))
    ours, theirs = skeleton.shared_with(BODY_25)
    result[theirs] = table[ours]
    for name, sides in _MIDDLES.items():
        pair = table[[skeleton.index(side) for side in sides]]
        if name not in skeleton.keypoints and (pair[:, 2] > 0).all():
            result[BODY_25.index(name)] = [*pair[:, :2].mean(axis=0), pair[:, 2].min()]
    return result


def read_openpose(path: Path) -> AnnotatedSequence:
    """Reads a folder of `*_keypoints.json` files as one sequence.

    The number of keypoints decides the skeleton: 25 BODY_25, 17 COCO, 15 PoseTrack, 14 CrowdPose.

    Raises:
        VepeError: if there is no such file, or one is broken; names it.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else []
    if not files:
        raise VepeError(f"{path} is not a folder with OpenPose's JSON files; check the path.")
    skeleton: Skeleton | None = None
    frames = []
    for position, file in enumerate(files):
        data = load_json(file)
        people = data.get("people") if isinstance(data, dict) else None
        if not isinstance(people, list):
            raise VepeError(f"{file} has no list 'people'; it is not one of OpenPose's files.")
        place = frame_place(file, position, "")
        read = tuple(_read_person(r, f"{place}, person {i}") for i, r in enumerate(people))
        for person in read:
            skeleton = skeleton or _skeleton_of(len(person.present), file)
            if len(person.present) != len(skeleton):
                raise VepeError(
                    f"{file}: {len(person.present)} keypoints, but {len(skeleton)} before; "
                    "convert folders of one kind each."
                )
        number = _NUMBER.search(file.stem)
        index = int(number[1]) if number and len(number[1]) <= 15 else position
        frames.append(_frame(index, read))
    return AnnotatedSequence(path.name, tuple(frames), skeleton or BODY_25, path, "coco")


def _frame(index: int, people: tuple[Person, ...]) -> AnnotatedFrame:
    return AnnotatedFrame(
        index=index,
        file_name="",
        image_id=None,
        is_labeled=True,
        has_annotations=bool(people),
        people=people,
    )


def _skeleton_of(size: int, file: Path) -> Skeleton:
    for skeleton in (BODY_25, COCO17, POSETRACK15, CROWDPOSE14):
        if len(skeleton) == size:
            return skeleton
    raise VepeError(f"{file}: people have {size} keypoints; 14, 15, 17 and 25 are supported.")


def _read_person(record: Any, place: str) -> Person:
    values = record.get("pose_keypoints_2d") if isinstance(record, dict) else None
    try:
        table = np.asarray(values, np.float64).reshape(-1, 3)
        if not np.isfinite(table).all():
            raise ValueError
    except (TypeError, ValueError):
        raise VepeError(f"{place}: pose_keypoints_2d must be a list of x, y, confidence.") from None
    track_id = next(iter(np.atleast_1d(record.get("person_id", -1)).tolist()), -1)
    present = table[:, 2] > 0
    return Person(
        keypoints_px=table[:, :2],
        present=present,
        visibility=np.where(present, 2.0, 0.0),
        keypoint_scores=table[:, 2],
        track_id=track_id if type(track_id) is int and track_id >= 0 else None,
    )
