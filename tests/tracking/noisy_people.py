"""Real annotated motion with seeded noise (test support, no tests).

Reads PoseTrack18 annotations with a few lines of its own: the tracker's tests depend on no format.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vepe.skeleton import POSETRACK15
from vepe.types import FramePoses

SOURCE_FPS = 25.0


@dataclass(frozen=True)
class LabelledFrame:
    """Ground truth of one frame: P people, with which of their K keypoints are labelled."""

    time_s: float
    keypoints_px: np.ndarray
    labelled: np.ndarray
    person_ids: np.ndarray


@dataclass(frozen=True)
class Noise:
    """Errors of a pose estimator; lengths in person sizes, the rest as probabilities."""

    jitter: float = 0.0
    hide_person: float = 0.0
    hide_spell: float = 0.0
    spell_frames: int = 8
    hide_keypoint: float = 0.0
    false_people: float = 0.0
    duplicates: float = 0.0


CLEAN = Noise()
NOISY = Noise(0.02, 0.05, 0.006, 8, 0.1, 0.3, 0.1)
HARSH = Noise(0.035, 0.12, 0.012, 10, 0.2, 0.6, 0.2)
EMBEDDINGS = {"none": None, "weak": 1.0, "strong": 0.35}
"""Noise of simulated embeddings: cosine to oneself is about 0.5 (weak) or 0.9 (strong)."""


def read_video(path: Path) -> list[LabelledFrame]:
    """The annotated frames of one PoseTrack18 file, people with 3 or more labelled keypoints."""
    data = json.loads(path.read_text())
    names = data["categories"][0]["keypoints"]
    slots = [names.index(name) for name in POSETRACK15.keypoints]
    people: dict[int, list[tuple[int, np.ndarray]]] = {}
    for annotation in data["annotations"]:
        points = np.asarray(annotation["keypoints"], float).reshape(-1, 3)[slots]
        if (points[:, 2] > 0).sum() >= 3:
            people.setdefault(annotation["image_id"], []).append((annotation["track_id"], points))
    frames = []
    for image in data["images"]:
        number = int(Path(image["file_name"]).stem)
        rows = people.get(image["id"], [])
        points = np.stack([p for _, p in rows]) if rows else np.zeros((0, len(slots), 3))
        ids = np.array([i for i, _ in rows], np.int64)
        frames.append(LabelledFrame(number / SOURCE_FPS, points[..., :2], points[..., 2] > 0, ids))
    return frames


def size_of(points: np.ndarray) -> float:
    """Diagonal of the box around points (n, 2), at least 10 px."""
    return max(float(np.linalg.norm(points.max(0) - points.min(0))), 10.0)


def observed(
    frames: list[LabelledFrame], noise: Noise, embedding_noise: float | None, seed: int
) -> list[FramePoses]:
    """What a pose estimator with such errors would report for `frames`."""
    rng = np.random.default_rng(seed)
    persons = sorted({int(i) for frame in frames for i in frame.person_ids})
    identity = {p: _unit(rng.normal(size=32)) for p in persons}
    hidden = dict.fromkeys(persons, 0)
    return [
        _observed_frame(index, frame, noise, embedding_noise, identity, hidden, rng)
        for index, frame in enumerate(frames)
    ]


def _observed_frame(index, frame, noise, embedding_noise, identity, hidden, rng):
    rows = []
    for points, labelled, person in zip(
        frame.keypoints_px, frame.labelled, frame.person_ids.tolist(), strict=True
    ):
        hidden[person] -= 1
        if rng.random() < noise.hide_spell:
            hidden[person] = int(rng.integers(2, noise.spell_frames + 1))
        if hidden[person] > 0 or rng.random() < noise.hide_person:
            continue
        rows.append(_seen(points, labelled, identity[person], noise, embedding_noise, rng))
        if rng.random() < noise.duplicates:
            duplicate = _seen(points, labelled, identity[person], noise, embedding_noise, rng)
            rows.append((*duplicate[:2], 0.7 * duplicate[2], duplicate[3]))
    for _ in range(rng.poisson(noise.false_people)):
        rows.append(_invented(frame, rng))
    empty = FramePoses.empty(index, frame.time_s, len(POSETRACK15))
    if not rows:
        return empty
    order = rng.permutation(len(rows))
    points, keypoint_scores, scores, embeddings = (
        np.stack([rows[i][c] for i in order]) for c in range(4)
    )
    return replace(
        empty,
        keypoints_px=points.astype(np.float32),
        keypoint_scores=keypoint_scores.astype(np.float32),
        scores=scores.astype(np.float32),
        track_ids=np.full(len(rows), -1),
        embeddings=None if embedding_noise is None else embeddings.astype(np.float32),
    )


def _seen(points, labelled, identity, noise, embedding_noise, rng):
    """One person as reported: jitter grows with size, lost keypoints lie anywhere nearby."""
    size, count = size_of(points[labelled]), len(points)
    reported = points + rng.normal(size=points.shape) * noise.jitter * size
    scores = np.clip(rng.normal(0.75, 0.15, count) - 2 * noise.jitter, 0.05, 1.0)
    lost = ~labelled | (rng.random(count) < noise.hide_keypoint)
    anywhere = points[labelled].mean(0) + rng.normal(size=points.shape) * 0.25 * size
    reported = np.where(lost[:, None], anywhere, reported)
    scores = np.where(lost, rng.uniform(0.02, 0.3, count), scores)
    blur = 0.0 if embedding_noise is None else embedding_noise
    embedding = _unit(
        identity + blur * rng.normal(size=identity.shape) / np.sqrt(len(identity)) * 1.7
    )
    # Poorly visible people score low: a tail of real people falls below any threshold.
    score = np.clip(rng.beta(5, 2) * (0.35 + 0.65 * (~lost).mean()) + 0.1, 0, 1)
    return reported, scores, score, embedding


def _invented(frame, rng):
    """A false positive: anywhere in the image, mostly with a low score."""
    width, height = 1280.0, 720.0
    spread = rng.uniform(40, 250)
    points = rng.uniform((0, 0), (width, height)) + rng.normal(size=(15, 2)) * spread * 0.3
    return points, rng.uniform(0.05, 0.6, 15), rng.uniform(0.05, 0.6), _unit(rng.normal(size=32))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def oks_distances(frame: LabelledFrame, poses: FramePoses) -> np.ndarray:
    """1 - OKS of all pairs (gt, pred) over labelled keypoints; NaN from 0.5 on."""
    sigmas = 2 * POSETRACK15.sigma_array()
    # Annotated head points scatter more than eyes, so they get the falloff of a shoulder.
    sigmas[:3] = 2 * 0.079
    table = np.full((len(frame.person_ids), len(poses)), np.nan)
    for row, (points, labelled) in enumerate(zip(frame.keypoints_px, frame.labelled, strict=True)):
        scale = 0.5 * size_of(points[labelled])
        squares = np.square(poses.keypoints_px - points).sum(2) / np.square(scale * sigmas)
        oks = np.exp(-0.5 * squares[:, labelled]).mean(1)
        table[row] = np.where(oks > 0.5, 1 - oks, np.nan)
    return table
