"""What the temporal parts add: the same weights with their window and with a window of one.

    python benchmarks/temporal_parts.py --gt ANNOTATIONS --images ROOT [--model vepe-n]

Made for video of `vepe synth` (every keypoint labelled, hidden ones too). For each variant: OKS AP
over all keypoints, over those that something hides, and over those that move fast (by more than
FAST of the root of the person's area in a frame: what blurs); MOTA and HOTA of the tracks; and
jitter, the mean second difference of a keypoint's error in thousandths of that root.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track as with_bar

from vepe.evaluation.oks import coco_oks_ap
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.formats.annotations import Person, Sequence
from vepe.inference.checkpoint import load_weights
from vepe.inference.predictions import track_sequences
from vepe.inference.predictor import Predictor
from vepe.skeleton import POSETRACK15

FAST = 0.08
MATCH_SHARE = 0.5
"""A prediction is compared with a person where its keypoints lie this near on average, in roots."""

Wanted = Callable[[Person, Person | None], np.ndarray]
"""(K,) keypoints that count, given the person and itself in the frame before."""


def root_of(person: Person) -> float:
    """Root of the area, the unit of all distances."""
    return max(float(person.extra.get("area", 0)), 1.0) ** 0.5


def everything(person: Person, before: Person | None) -> np.ndarray:
    return person.present


def hidden(person: Person, before: Person | None) -> np.ndarray:
    return person.present & (person.visibility == 0)


def fast(person: Person, before: Person | None) -> np.ndarray:
    if before is None:
        return np.zeros_like(person.present)
    way = np.linalg.norm(person.keypoints_px - before.keypoints_px, axis=1)
    return person.present & before.present & (way > FAST * root_of(person))


def as_coco(sequences: list[Sequence], wanted: Wanted | None) -> dict:
    """Sequences as one COCO table: truth with the wanted labels alone, or (None) predictions."""
    images, people = [], []
    for sequence in sequences:
        before: dict[int | None, Person] = {}
        for frame in sequence.frames:
            number = len(images)
            images.append({"id": number, "width": frame.width, "height": frame.height})
            for person in frame.people:
                flags = person.keypoint_scores
                if wanted is not None:
                    flags = 2.0 * wanted(person, before.get(person.track_id))
                keypoints = np.column_stack([person.keypoints_px, flags])
                entry = {"image_id": number, "category_id": 1, "id": len(people) + 1}
                entry |= {"keypoints": keypoints.ravel().tolist(), "score": person.score}
                if wanted is not None:
                    entry |= {"iscrowd": 0, "area": root_of(person) ** 2}
                    entry |= {"num_keypoints": int((flags > 0).sum())}
                    entry |= {"bbox": [float(v) for v in person.box_xywh_px]}
                people.append(entry)
            before = {p.track_id: p for p in frame.people}
    names = list(POSETRACK15.keypoints)
    category = {"id": 1, "name": "person", "keypoints": names}
    category["sigmas"] = list(POSETRACK15.sigmas)
    return {"images": images, "annotations": people, "categories": [category]}


def jitter(truth: list[Sequence], found: list[Sequence]) -> float:
    """Mean second difference of the error of keypoints, over people matched in three frames."""
    seen: list[float] = []
    for labels, poses in zip(truth, found, strict=True):
        errors: dict[int | None, list[np.ndarray]] = {}
        for frame, answer in zip(labels.frames, poses.frames, strict=True):
            present = {}
            for person in frame.people:
                offsets = [p.keypoints_px - person.keypoints_px for p in answer.people]
                far = [np.linalg.norm(o[person.present], axis=1).mean() for o in offsets]
                if far and min(far) < MATCH_SHARE * root_of(person):
                    error = offsets[int(np.argmin(far))] / root_of(person)
                    error[~person.present] = np.nan
                    present[person.track_id] = [*errors.get(person.track_id, []), error][-3:]
            errors = present
            for last in errors.values():
                if len(last) == 3:
                    second = np.linalg.norm(last[0] - 2 * last[1] + last[2], axis=1)
                    seen += second[~np.isnan(second)].tolist()
    return 1000 * float(np.mean(seen)) if seen else float("nan")


def measure(gt: Path, images: Path, model: Predictor, name: str) -> dict[str, float]:
    """One row of the table."""
    shown = lambda items, what: with_bar(items, what, console=Console(stderr=True))  # noqa: E731
    truth, found = track_sequences(gt, images, lambda: model, name, shown)
    predictions = as_coco(found, None)
    aps = {
        f"AP {kind}": coco_oks_ap(as_coco(truth, wanted), predictions).ap
        for kind, wanted in (("all", everything), ("hidden", hidden), ("fast", fast))
    }
    scores = PoseTrackMatch.load(truth, found).result("fixed")
    assert scores.mota is not None
    assert scores.hota is not None
    return {
        **aps,
        "MOTA": scores.mota.total,
        "HOTA": scores.hota["HOTA"],
        "AssA": scores.hota["AssA"],
        "jitter": jitter(truth, found),
    }


VARIANTS = (
    "full",
    "window 1",
    "no spacing",
    "no pose encoder",
    "no memory encoder",
)


def variant(weights: str, name: str) -> Predictor:
    """The same weights with parts left out."""
    model, config, _ = load_weights(weights)
    if name == "no spacing":
        model.spacing_s = 0.0
    if name == "no pose encoder":
        model.pose_encoder = None
    if name == "no memory encoder":
        model.memory_encoder = None
    return Predictor(model, config, window=1 if name == "window 1" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    for name in VARIANTS:
        rows[name] = measure(options.gt, options.images, variant(options.model, name), name)
    print("| | " + " | ".join(rows["full"]) + " |")
    print("|---" * (1 + len(rows["full"])) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in row.values()) + " |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
