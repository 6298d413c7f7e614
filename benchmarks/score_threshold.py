"""What a person-score threshold finds and invents on COCO-style pictures; `--conf` is chosen so.

    python benchmarks/score_threshold.py --gt coco.json --images DIR [--model vepe-n]

A labelled person counts as found where one prediction above the threshold matches it with an OKS
of 0.3 or more (best score first, each person once, over the keypoints shared by name).
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

FOUND_OKS = 0.3
THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


def matched_scores(poses: FramePoses, people: list[dict], own: np.ndarray, coco: np.ndarray):
    """Scores of the predictions that match a labelled person, each person once."""
    sigmas, left, scores = COCO17.sigma_array()[coco], list(people), []
    for keypoints, score in zip(poses.keypoints_px[:, own], poses.scores, strict=True):
        best, most = None, FOUND_OKS
        for person in left:
            label = np.asarray(person["keypoints"], float).reshape(-1, 3)[coco]
            seen = label[:, 2] > 0
            squared = np.square(keypoints[seen] - label[seen, :2]).sum(axis=1)
            oks = np.exp(-squared / (2 * person["area"] * (2 * sigmas[seen]) ** 2)).mean()
            if oks >= most:
                best, most = person, oks
        if best is not None:
            left.remove(best)
            scores.append(float(score))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="vepe-n")
    options = parser.parse_args()
    truth = json.loads(options.gt.read_text(encoding="utf-8"))
    model = load(options.model, conf=0.0)
    own, coco = model.skeleton.shared_with(COCO17)
    found: list[float] = []
    highest: list[float] = []
    labelled = 0
    for picture in truth["images"]:
        poses = model.predict(read_image(options.images / picture["file_name"]))
        people = [a for a in truth["annotations"] if a["image_id"] == picture["id"]]
        if not people:
            highest.append(float(poses.scores.max(initial=0)))
        posed = [
            a
            for a in people
            if not a["iscrowd"] and np.asarray(a["keypoints"]).reshape(-1, 3)[coco, 2].any()
        ]
        labelled += len(posed)
        found += matched_scores(poses, posed, own, coco)
    for threshold in THRESHOLDS:
        hits = sum(score >= threshold for score in found)
        clean = sum(score < threshold for score in highest)
        print(
            f"conf {threshold:.2f}: {hits} of {labelled} people found ({hits / labelled:.0%}), "
            f"{clean} of {len(highest)} pictures without people stay empty"
        )


if __name__ == "__main__":
    main()
