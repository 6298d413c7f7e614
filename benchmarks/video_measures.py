"""How good poses of labelled video are: jitter, and gain of OKS between two predictions of it.

Both follow one pose of each person: the one with the highest score of those on the person, which is
what is drawn, or the one nearest to the labels, whatever its score.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vepe.formats.annotations import AnnotatedSequence, Person
from vepe.skeleton import POSETRACK15
from vepe.types import FramePoses

FAST = 0.08
"""A joint is fast from so many roots of the person's area per frame on."""
MAX_DISTANCE = 0.5
"""A prediction is matched with a person up to this mean distance, in roots of the area."""

MATCH_OKS = 0.2
LARGE_PX = 80
GAIN_KINDS = ("all", "visible", "occluded", "fast", "large", "poor")
"""People over `LARGE_PX` tall are large; those whose own pose has an OKS under 0.5 are poor."""

Selection = Callable[[Person, Person | None], np.ndarray]
"""(K,) mask of the keypoints to evaluate, given a person and the same person a frame earlier."""


def root_area(person: Person) -> float:
    """Root of the person's area, the unit of all distances."""
    return max(float(person.extra.get("area", 0)), 1.0) ** 0.5


def all_keypoints(person: Person, before: Person | None) -> np.ndarray:
    return person.present


def occluded(person: Person, before: Person | None) -> np.ndarray:
    return person.present & (person.visibility == 0)


def fast(person: Person, before: Person | None) -> np.ndarray:
    if before is None:
        return np.zeros_like(person.present)
    distance = np.linalg.norm(person.keypoints_px - before.keypoints_px, axis=1)
    return person.present & before.present & (distance > FAST * root_area(person))


def as_coco(sequences: list[AnnotatedSequence], selection: Selection | None) -> dict:
    """Sequences as one COCO data set: selected labels, or predictions if `selection` is None."""
    images, people = [], []
    for sequence in sequences:
        before: dict[int | None, Person] = {}
        for frame in sequence.frames:
            number = len(images)
            images.append({"id": number, "width": frame.width, "height": frame.height})
            for person in frame.people:
                flags = person.keypoint_scores
                if selection is not None:
                    flags = 2.0 * selection(person, before.get(person.track_id))
                keypoints = np.column_stack([person.keypoints_px, flags])
                entry = {"image_id": number, "category_id": 1, "id": len(people) + 1}
                entry |= {"keypoints": keypoints.ravel().tolist(), "score": person.score}
                if selection is not None:
                    entry |= {"iscrowd": 0, "area": root_area(person) ** 2}
                    entry |= {"num_keypoints": int((flags > 0).sum())}
                    entry |= {"bbox": [float(v) for v in person.box_xywh_px]}
                people.append(entry)
            before = {p.track_id: p for p in frame.people}
    names = list(POSETRACK15.keypoints)
    category = {"id": 1, "name": "person", "keypoints": names, "sigmas": list(POSETRACK15.sigmas)}
    return {"images": images, "annotations": people, "categories": [category]}


def jitter(
    gt: list[AnnotatedSequence], pred: list[AnnotatedSequence], *, nearest: bool = False
) -> float:
    """Mean second difference of keypoint errors, over people with a pose in three frames in a row,
    in thousandths of the root of the person's area.

    A person's pose is the one with the highest score within `MAX_DISTANCE`, or the nearest one.
    """
    differences: list[float] = []
    for gt_sequence, pred_sequence in zip(gt, pred, strict=True):
        errors: dict[int | None, list[np.ndarray]] = {}
        for gt_frame, pred_frame in zip(gt_sequence.frames, pred_sequence.frames, strict=True):
            matched = {}
            scores = np.array([p.score for p in pred_frame.people], dtype=float)
            for person in gt_frame.people:
                if not len(scores) or not person.present.any():
                    continue
                offsets = [p.keypoints_px - person.keypoints_px for p in pred_frame.people]
                distances = np.array(
                    [np.linalg.norm(o[person.present], axis=1).mean() for o in offsets]
                )
                close = distances < MAX_DISTANCE * root_area(person)
                if close.any():
                    i = distances.argmin() if nearest else np.where(close, scores, -1).argmax()
                    error = offsets[int(i)] / root_area(person)
                    error[~person.present] = np.nan
                    matched[person.track_id] = [*errors.get(person.track_id, []), error][-3:]
            errors = matched
            for last in errors.values():
                if len(last) == 3:
                    second = np.linalg.norm(last[0] - 2 * last[1] + last[2], axis=1)
                    differences += second[~np.isnan(second)].tolist()
    return 1000 * float(np.mean(differences)) if differences else float("nan")


def oks(person: Person, pred_px: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(P,) OKS of P poses with a person, over the keypoints of the mask."""
    squared = np.square(pred_px[:, mask] - person.keypoints_px[mask]).sum(axis=-1)  # (P, K')
    variance = np.square(2 * POSETRACK15.sigma_array()[mask])
    return np.exp(-squared / (2 * root_area(person) ** 2 * variance)).mean(axis=-1)


def pose_on(person: Person, frame: FramePoses, *, nearest: bool) -> int | None:
    """Index of a person's pose: of those with an OKS of `MATCH_OKS` the one with the highest score.

    With `nearest`, or if there is none, the pose with the highest OKS; None without any pose.
    """
    if not len(frame) or not person.present.any():
        return None
    similarity = oks(person, frame.keypoints_px, person.present)
    on_person = similarity >= MATCH_OKS
    if nearest or not on_person.any():
        return int(similarity.argmax())
    return int(np.where(on_person, frame.scores, -1).argmax())


def oks_gain(
    gt: AnnotatedSequence,
    base: list[FramePoses],
    pred: list[FramePoses],
    *,
    nearest: bool = False,
) -> dict[str, list[float]]:
    """Change of each person's OKS from one prediction of a video to another, by kind of person.

    The same people are compared: those with a pose of at least `MATCH_OKS` in the first.
    """
    gains: dict[str, list[float]] = {name: [] for name in GAIN_KINDS}
    before: dict[int | None, Person] = {}
    for frame, own, other in zip(gt.frames, base, pred, strict=True):
        for person in frame.people:
            i = pose_on(person, own, nearest=nearest)
            j = pose_on(person, other, nearest=nearest)
            if i is None or j is None:
                continue
            pair = own.keypoints_px[i : i + 1], other.keypoints_px[j : j + 1]
            everything = oks(person, pair[0], person.present)[0]
            if everything < MATCH_OKS:
                continue
            kinds = {
                "all": person.present,
                "visible": person.present & (person.visibility == 1),
                "occluded": occluded(person, None),
                "fast": fast(person, before.get(person.track_id)),
            }
            if person.box_xywh_px is not None and person.box_xywh_px[3] > LARGE_PX:
                kinds["large"] = person.present
            if everything < 0.5:
                kinds["poor"] = person.present
            for name, mask in kinds.items():
                if mask.any():
                    first, second = (oks(person, pose, mask)[0] for pose in pair)
                    gains[name].append(100 * float(second - first))
        before = {p.track_id: p for p in frame.people}
    return gains


def mean_gain(
    gt: list[AnnotatedSequence], base: list[list[FramePoses]], pred: list[list[FramePoses]]
) -> dict[str, str]:
    """Mean gain over videos with its standard error, by kind, and of the nearest poses."""
    row = {}
    for nearest in (False, True):
        by_video = [oks_gain(*v, nearest=nearest) for v in zip(gt, base, pred, strict=True)]
        for name in ("all", "occluded") if nearest else GAIN_KINDS:
            means = np.array([np.mean(gains[name]) for gains in by_video if gains[name]])
            error = means.std(ddof=1) / len(means) ** 0.5 if len(means) > 1 else float("nan")
            key = f"OKS {name}, nearest" if nearest else f"OKS {name}"
            row[key] = f"{means.mean():+.2f} ± {error:.2f}" if len(means) else ""
    return row
