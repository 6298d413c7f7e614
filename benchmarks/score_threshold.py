"""Recall and false alarms of person score thresholds on COCO-style images, to choose `--conf`.

    python benchmarks/score_threshold.py --gt coco.json --images DIR [--model vepe-n]

A labelled person counts as detected if a prediction above the threshold matches it with an OKS of
at least 0.3 (highest score first, each person once, over the keypoints shared by name).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from vepe.inference.predictor import load
from vepe.skeleton import COCO17
from vepe.types import FramePoses
from vepe.video.images import read_image

MATCH_OKS = 0.3
THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


def matched_scores(poses: FramePoses, people: list[dict], own: np.ndarray, coco: np.ndarray):
    """Scores of the predictions that match a labelled person, each person once."""
    sigmas, unmatched, scores = COCO17.sigma_array()[coco], list(people), []
    for keypoints, score in zip(poses.keypoints_px[:, own], poses.scores, strict=True):
        best, best_oks = None, MATCH_OKS
        for person in unmatched:
            label = np.asarray(person["keypoints"], float).reshape(-1, 3)[coco]
            labelled = label[:, 2] > 0
            squared = np.square(keypoints[labelled] - label[labelled, :2]).sum(axis=1)
            oks = np.exp(-squared / (2 * person["area"] * (2 * sigmas[labelled]) ** 2)).mean()
            if oks >= best_oks:
                best, best_oks = person, oks
        if best is not None:
            unmatched.remove(best)
            scores.append(float(score))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="vepe-n")
    options = parser.parse_args()
    gt = json.loads(options.gt.read_text(encoding="utf-8"))
    model = load(options.model, conf=0.0)
    own, coco = model.skeleton.shared_with(COCO17)
    matched: list[float] = []
    highest: list[float] = []
    num_people = 0
    for image in gt["images"]:
        poses = model.predict(read_image(options.images / image["file_name"]))
        people = [a for a in gt["annotations"] if a["image_id"] == image["id"]]
        if not people:
            highest.append(float(poses.scores.max(initial=0)))
        scored = [
            a
            for a in people
            if not a["iscrowd"] and np.asarray(a["keypoints"]).reshape(-1, 3)[coco, 2].any()
        ]
        num_people += len(scored)
        matched += matched_scores(poses, scored, own, coco)
    for threshold in THRESHOLDS:
        hits = sum(score >= threshold for score in matched)
        clean = sum(score < threshold for score in highest)
        print(
            f"conf {threshold:.2f}: {hits} of {num_people} people detected "
            f"({hits / num_people:.0%}), {clean} of {len(highest)} images without people stay empty"
        )


if __name__ == "__main__":
    main()
