"""What a model finds on a ground truth's pictures and videos, for scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, Person, Sequence
from vepe.formats.files import path_inside
from vepe.formats.posetrack import read_posetrack
from vepe.inference.predictor import Predictor
from vepe.skeleton import POSETRACK15, Skeleton
from vepe.types import FramePoses
from vepe.video.images import read_image

NOMINAL_FPS = 25.0
"""Frame rate of pictures that say nothing of their time (PoseTrack's videos)."""
LOWEST_SCORE = 0.0
"""COCO's AP ranks people by score, so none is left out for a low one."""
LOWEST_TRACKED_SCORE = 0.05
"""So for PoseTrack's AP; but every track counts in MOTA, so that clutter is still kept out."""

Model = Callable[[], Predictor]
Shown = Callable[[list[Any], str], Iterable[Any]]
"""Goes through a list of things of that name while it shows how far it is."""


def silently(items: list[Any], what: str) -> Iterable[Any]:
    """Shows nothing."""
    return items


def predict_pictures(
    truth: Any, gt_file: Path, images: Path, model: Model, shown: Shown = silently
) -> dict[str, Any]:
    """People of every picture of a COCO file, each on its own, in `vepe predict`'s layout.

    Args:
        truth, gt_file: the file's content and its name.
        images: folder that its picture names start from.
        model: gives the predictor, once all pictures are found.
        shown: told of what is gone through, for a bar of progress.

    Raises:
        VepeError: where pictures are missing or the model cannot be loaded.
    """
    if not isinstance(truth, Mapping) or not isinstance(truth.get("images"), list):
        raise VepeError(f"{gt_file} has no list 'images'; it is no COCO keypoint file.")
    entries = truth["images"]
    paths = picture_paths(images, [str(e.get("file_name", "")) for e in entries], flat=True)
    predictor = model()
    people = []
    for entry, path in shown(list(zip(entries, paths, strict=True)), "pictures"):
        poses = predictor.predict(path)
        for xy, confidence, score in zip(
            poses.keypoints_px, poses.keypoint_scores, poses.scores, strict=True
        ):
            keypoints = np.column_stack([xy, confidence]).astype(float).ravel().tolist()
            people.append(
                {"image_id": entry["id"], "category_id": 1, "keypoints": keypoints,
                 "score": float(score)}
            )  # fmt: skip
    names = list(predictor.skeleton.keypoints)
    return {
        "images": [{"id": e["id"]} for e in entries],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }


def track_sequences(
    gt: Path, images: Path, model: Model, name: str, shown: Shown = silently
) -> tuple[list[Sequence], list[Sequence]]:
    """Ground truth sequences and the model's tracks on the same frames.

    Args: as `predict_pictures`; `gt` is a PoseTrack folder or file, `name` the model's.

    Raises:
        VepeError: where pictures are missing or the model cannot be loaded.
    """
    sequences = list(read_posetrack(gt))
    paths = [picture_paths(images, [f.file_name for f in s.frames]) for s in sequences]
    times_s = [frame_times_s(s) for s in sequences]
    predictor = model()
    found: list[list[AnnotatedFrame]] = [[emptied(f) for f in s.frames] for s in sequences]
    streams = [predictor.stream(NOMINAL_FPS) for _ in sequences]
    work = [(s, k) for s, sequence in enumerate(sequences) for k in range(len(sequence))]
    for s, k in shown(work, "frames"):
        told = list(streams[s].push(read_image(paths[s][k]), times_s[s][k], k))
        if k + 1 == len(paths[s]):
            told += streams[s].finish()
        for poses in told:
            people = people_of(poses, predictor.skeleton, POSETRACK15)
            found[s][poses.frame_index] = replace(
                found[s][poses.frame_index], people=people, has_annotations=bool(people)
            )
    return sequences, [
        replace(s, frames=tuple(f), source=Path(f"{name} on {s.name}"))
        for s, f in zip(sequences, found, strict=True)
    ]


def emptied(frame: AnnotatedFrame) -> AnnotatedFrame:
    """The frame without its labels."""
    return replace(frame, people=(), has_annotations=False, ignore_regions_px=(), extra={})


def people_of(poses: FramePoses, skeleton: Skeleton, target: Skeleton) -> tuple[Person, ...]:
    """The people of a frame with the keypoints of `target` that the model's skeleton has."""
    to, source = target.shared_with(skeleton)
    k = len(target)
    result = []
    for i in range(len(poses)):
        xy, scores, present = np.zeros((k, 2)), np.full(k, np.nan), np.zeros(k, bool)
        xy[to], scores[to] = poses.keypoints_px[i, source], poses.keypoint_scores[i, source]
        present[to] = True
        result.append(
            Person(
                keypoints_px=xy,
                present=present,
                visibility=present.astype(float),
                keypoint_scores=scores,
                score=float(poses.scores[i]),
                track_id=int(poses.track_ids[i]),
            )
        )
    return tuple(result)


def frame_times_s(sequence: Sequence) -> list[float]:
    """Rising times: the file's own, else its frame numbers at 25 fps, else frames are counted."""
    given = [frame.time_s for frame in sequence.frames]
    known = [t for t in given if t is not None]
    numbers = [frame.index / NOMINAL_FPS for frame in sequence.frames]
    counted = [k / NOMINAL_FPS for k in range(len(sequence))]
    for times in (known, numbers):
        if len(times) == len(counted) and all(b > a for a, b in pairwise(times)):
            return times
    return counted


def picture_paths(images: Path, names: list[str], *, flat: bool = False) -> list[Path]:
    """The pictures' files: the names under the folder.

    Args:
        images: the folder.
        names: as the ground truth has them.
        flat: whether a picture may also lie there by the last part of its name, as COCO's are
            often kept; only where no two names end alike, lest one be taken for another.

    Raises:
        VepeError: naming the first picture that is not there.
    """
    flat = flat and max(Counter(Path(name).name for name in names).values(), default=1) == 1
    paths = []
    for name in names:
        path = path_inside(images, name)
        if flat and not path.is_file():
            path = path_inside(images, Path(name).name)
        if not path.is_file():
            raise VepeError(
                f"{images / name} does not exist; --images has to be the folder that the names in "
                "the ground truth start from."
            )
        paths.append(path)
    return paths
