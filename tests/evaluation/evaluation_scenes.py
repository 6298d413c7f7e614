"""Random PoseTrack18 documents for the evaluation tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.formats.annotations import AnnotatedSequence
from vepe.formats.posetrack18 import parse_posetrack18

NAMES = ["nose", "head_bottom", "head_top", "left_ear", "right_ear"] + [
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]
CATEGORIES = [{"id": 1, "name": "person", "keypoints": NAMES}]
Document = dict[str, Any]


def document(images: list[Document], annotations: list[Document]) -> Document:
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}


def image(index: int, **more: Any) -> Document:
    return {"id": index, "file_name": f"images/val/000001_x_test/{index:06d}.jpg", **more}


def person(image_id: int, track: int, xy: np.ndarray, seen: np.ndarray, **more: Any) -> Document:
    """A record; `xy` (15, 2) and `seen` (15,) in PoseTrack-15's order."""
    points = np.zeros((17, 3))
    slots = [0, 1, 2, *range(5, 17)]
    points[slots, :2] = xy * seen[:, None]
    points[slots, 2] = seen
    keypoints = points.ravel().tolist()
    return {
        "image_id": image_id,
        "track_id": track,
        "category_id": 1,
        "keypoints": keypoints,
        **more,
    }


def messy_pair(rng: np.random.Generator, *, frames: int = 8) -> tuple[Document, Document]:
    """A pair with all difficult cases: crowds, duplicates, swapped ids, empty and one-sided frames,
    ignore regions, missing joints, unlabelled frames, points at the origin."""
    count = int(rng.integers(1, 6))
    head = rng.uniform(15, 40, count)
    start, speed = rng.uniform(50, 160, (count, 1, 2)), rng.normal(0, 6, (count, 1, 2))
    body = rng.normal(0, 40, (count, 15, 2))
    ids = rng.permutation(count + 2)
    shown, pred, people, guesses = [], [], [], []
    for t in range(frames):
        labelled = bool(rng.random() < 0.8)
        regions: Document = {}
        if rng.random() < 0.3:
            corners = rng.integers(0, 250, (2, int(rng.integers(3, 6)))).tolist()
            regions = {"ignore_regions_x": [corners[0]], "ignore_regions_y": [corners[1]]}
        shown.append(image(t, is_labeled=labelled, **regions))
        pred.append(image(t))
        if rng.random() < 0.2:
            ids = rng.permutation(count + 2)
        xy = start + t * speed + body
        gt_here = labelled and rng.random() < 0.9
        pred_here = rng.random() < 0.9
        for k in range(count):
            if gt_here and rng.random() < 0.85:
                box = [10, 10, float(head[k]), float(head[k] * 1.2)]
                seen = rng.random(15) < 0.85
                people.append(person(t, k, xy[k].round(1), seen, bbox_head=box))
            if pred_here and rng.random() < 0.85:
                guess = xy[k] + rng.normal(0, 0.25 * head[k], (15, 2))
                seen = rng.random(15) < 0.9
                scores = rng.random(17).tolist()
                record = person(t, int(ids[k]), guess, seen, scores=scores)
                guesses.append(record)
                if rng.random() < 0.2:
                    scores = rng.random(17).tolist()
                    guesses.append({**record, "track_id": 100 + k, "scores": scores})
    return document(shown, people), document(pred, guesses)


def as_sequences(
    pairs: list[tuple[Document, Document]],
) -> tuple[list[AnnotatedSequence], list[AnnotatedSequence]]:
    """Both sides as sequences named `seq_0`, `seq_1` ..."""
    names = [Path(f"seq_{i}.json") for i in range(len(pairs))]
    return (
        [parse_posetrack18(t, n)[0] for (t, _), n in zip(pairs, names, strict=True)],
        [parse_posetrack18(p, n)[0] for (_, p), n in zip(pairs, names, strict=True)],
    )


def one_sequence(partners: list[list[int | None]], name: str = "sequence.json") -> PoseTrackMatch:
    """A sequence of people who stand still.

    Args:
        partners: per frame, the predicted track id on each person; None for no prediction.
    """
    body = np.column_stack([np.arange(15) * 6 + 40, np.arange(15) * 4 + 60]).astype(float)
    images = [image(t, is_labeled=True) for t in range(len(partners))]
    gt: list[Document] = []
    pred: list[Document] = []
    for t, row in enumerate(partners):
        for k, partner in enumerate(row):
            xy = body + 300 * k
            gt.append(person(t, k, xy, np.ones(15), bbox_head=[0, 0, 20, 20]))
            if partner is not None:
                scores = [0.9 - 0.01 * t] * 17
                pred.append(person(t, partner, xy, np.ones(15), scores=scores))
    sides = (document(images, gt), document(images, pred))
    return PoseTrackMatch.load(*(parse_posetrack18(d, Path(name)) for d in sides))
