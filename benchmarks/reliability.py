"""Calibration: a reliability plot of person scores and keypoint confidences.

    python benchmarks/reliability.py --gt coco.json --images DIR [--model vepe-n] [-o plot.png]

The person score should be the probability that a prediction matches a labelled person with an OKS
of at least 0.5 (each person matched once, highest score first). The keypoint confidence should be
the closeness of a matched keypoint, exp(-d^2 / (2 area (2 x 0.05)^2)), which it is trained for.
Predictions on crowd boxes and on people without labelled keypoints are ignored.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vepe.inference.predictor import load
from vepe.skeleton import COCO17
from vepe.types import FramePoses
from vepe.video.images import read_image
from vepe.viz.plots import GRID, MAIN, QUIET, figure

MATCH_OKS = 0.5
MIN_SCORE = 0.05
EDGES = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Calibration:
    """Predicted and actual values, one entry per prediction or keypoint."""

    predicted: list[float]
    actual: list[float]

    def bins(self) -> list[tuple[float, float, int]]:
        """Mean predicted value, mean actual value and count of every bin that is not empty."""
        predicted, actual = np.array(self.predicted), np.array(self.actual)
        where = np.clip(np.digitize(predicted, EDGES) - 1, 0, len(EDGES) - 2)
        return [
            (
                float(predicted[where == b].mean()),
                float(actual[where == b].mean()),
                int((where == b).sum()),
            )
            for b in np.unique(where)
        ]

    def error(self) -> float:
        """Expected calibration error: mean difference of the two, weighted by count."""
        bins = self.bins()
        return sum(n * abs(p - a) for p, a, n in bins) / max(sum(n for *_, n in bins), 1)


def _closeness(keypoints: np.ndarray, label: np.ndarray, area: float, sigma: np.ndarray | float):
    squared = np.square(keypoints - label[:, :2]).sum(axis=1)
    return np.exp(-squared / (2 * (area + 1e-9) * np.square(2 * np.asarray(sigma))))


def _on_ignored(keypoints: np.ndarray, ignored: list[dict]) -> bool:
    x, y = keypoints.mean(axis=0)
    return any(
        b[0] <= x <= b[0] + b[2] and b[1] <= y <= b[1] + b[3] for b in (a["bbox"] for a in ignored)
    )


def compare(
    poses: FramePoses,
    people: list[dict],
    own: np.ndarray,
    coco: np.ndarray,
    out: tuple[Calibration, Calibration],
) -> None:
    """Adds the predictions of one image to the calibration of persons and of keypoints."""
    persons, keypoint_values = out
    sigmas = COCO17.sigma_array()[coco]
    labels = [np.asarray(a["keypoints"], float).reshape(-1, 3)[coco] for a in people]
    scored = [i for i, a in enumerate(people) if not a["iscrowd"] and labels[i][:, 2].any()]
    ignored = [a for i, a in enumerate(people) if i not in scored]
    for person, score in enumerate(poses.scores):
        if score < MIN_SCORE:
            continue
        keypoints = poses.keypoints_px[person][own]
        best, best_oks = None, MATCH_OKS
        for i in scored:
            labelled = labels[i][:, 2] > 0
            oks = _closeness(keypoints, labels[i], people[i]["area"], sigmas)[labelled].mean()
            if oks >= best_oks:
                best, best_oks = i, float(oks)
        if best is None and _on_ignored(keypoints, ignored):
            continue
        persons.predicted.append(float(score))
        persons.actual.append(float(best is not None))
        if best is not None:
            scored.remove(best)
            labelled = labels[best][:, 2] > 0
            close = _closeness(keypoints, labels[best], people[best]["area"], 0.05)[labelled]
            confidence = poses.keypoint_scores[person][own][labelled]
            keypoint_values.predicted.extend(confidence.tolist())
            keypoint_values.actual.extend(close.tolist())


def draw(calibration: dict[str, Calibration], path: Path) -> None:
    """One panel each; perfect calibration lies on the diagonal. Dots grow with the count."""
    fig, axes = figure(7.2, 3.6, columns=len(calibration))
    for axis, (name, values) in zip(axes.flat, calibration.items(), strict=True):
        predicted, actual, count = (np.array(v) for v in zip(*values.bins(), strict=True))
        axis.plot([0, 1], [0, 1], color=GRID)
        axis.plot(predicted, actual, color=MAIN, lw=1)
        axis.scatter(predicted, actual, s=12 + 160 * count / count.max(), color=MAIN, alpha=0.7)
        axis.set_title(f"{name} (error {values.error():.2f})", loc="left", fontsize=9)
        axis.set_xlabel("predicted", fontsize=8, color=QUIET)
        axis.set_ylabel("actual", fontsize=8, color=QUIET)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
    fig.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("-o", "--output", type=Path, default=Path("reliability.png"))
    options = parser.parse_args()
    gt = json.loads(options.gt.read_text(encoding="utf-8"))
    model = load(options.model, conf=0.0)
    own, coco = model.skeleton.shared_with(COCO17)
    persons, keypoints = Calibration([], []), Calibration([], [])
    calibration = {"person score": persons, "keypoint confidence": keypoints}
    for image in gt["images"]:
        poses = model.predict(read_image(options.images / image["file_name"]))
        people = [a for a in gt["annotations"] if a["image_id"] == image["id"]]
        compare(poses, people, own, coco, (persons, keypoints))
    for name, values in calibration.items():
        print(f"{name}: expected calibration error {values.error():.3f}")
        for predicted, actual, count in values.bins():
            print(f"  predicted {predicted:.2f}  actual {actual:.2f}  ({count})")
    draw(calibration, options.output)
    print(f"Plot: {options.output}")


if __name__ == "__main__":
    main()
