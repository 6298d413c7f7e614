"""Do scores mean what they say? A reliability plot of person scores and keypoint confidences.

    python benchmarks/reliability.py --gt coco.json --images DIR [--model vepe-n] [-o plot.png]

Person score: the chance that a prediction is a labelled person's pose with OKS of 0.5 or more, each
person claimed once, best score first. Keypoint confidence: how close a keypoint of such a matched
person lies, exp(-d^2 / (2 area (2 x 0.05)^2)), which is what it was trained for. Boxes marked as
crowd, and people without labelled keypoints, neither help nor harm the predictions on them.
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

RIGHT_OKS = 0.5
LOWEST_SCORE = 0.05
EDGES = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Pairs:
    """What was said and what came true, one entry a prediction or keypoint."""

    said: list[float]
    true: list[float]

    def bins(self) -> list[tuple[float, float, int]]:
        """Mean of what was said and of what came true, and the count, of every bin that is used."""
        said, true = np.array(self.said), np.array(self.true)
        where = np.clip(np.digitize(said, EDGES) - 1, 0, len(EDGES) - 2)
        return [
            (
                float(said[where == b].mean()),
                float(true[where == b].mean()),
                int((where == b).sum()),
            )
            for b in np.unique(where)
        ]

    def error(self) -> float:
        """Expected calibration error: the mean distance of the two, weighted by count."""
        found = self.bins()
        return sum(n * abs(s - t) for s, t, n in found) / max(sum(n for *_, n in found), 1)


def _closeness(keypoints: np.ndarray, label: np.ndarray, area: float, sigma: np.ndarray | float):
    squared = np.square(keypoints - label[:, :2]).sum(axis=1)
    return np.exp(-squared / (2 * (area + 1e-9) * np.square(2 * np.asarray(sigma))))


def _on_unsure(keypoints: np.ndarray, unsure: list[dict]) -> bool:
    x, y = keypoints.mean(axis=0)
    return any(
        b[0] <= x <= b[0] + b[2] and b[1] <= y <= b[1] + b[3] for b in (a["bbox"] for a in unsure)
    )


def compare(
    poses: FramePoses,
    people: list[dict],
    own: np.ndarray,
    coco: np.ndarray,
    out: tuple[Pairs, Pairs],
) -> None:
    """Adds one picture's predictions to the pairs of persons and of keypoints."""
    persons, keypoints_out = out
    sigmas = COCO17.sigma_array()[coco]
    labels = [np.asarray(a["keypoints"], float).reshape(-1, 3)[coco] for a in people]
    posed = [i for i, a in enumerate(people) if not a["iscrowd"] and labels[i][:, 2].any()]
    unsure = [a for i, a in enumerate(people) if i not in posed]
    for person, score in enumerate(poses.scores):
        if score < LOWEST_SCORE:
            continue
        keypoints = poses.keypoints_px[person][own]
        best, most = None, RIGHT_OKS
        for i in posed:
            seen = labels[i][:, 2] > 0
            close = _closeness(keypoints, labels[i], people[i]["area"], sigmas)[seen].mean()
            if close >= most:
                best, most = i, float(close)
        if best is None and _on_unsure(keypoints, unsure):
            continue
        persons.said.append(float(score))
        persons.true.append(float(best is not None))
        if best is not None:
            posed.remove(best)
            seen = labels[best][:, 2] > 0
            close = _closeness(keypoints, labels[best], people[best]["area"], 0.05)[seen]
            keypoints_out.said.extend(poses.keypoint_scores[person][own][seen].tolist())
            keypoints_out.true.extend(close.tolist())


def draw(pairs: dict[str, Pairs], path: Path) -> None:
    """One panel a kind: on the diagonal, what is said is true; dots grow with counts."""
    fig, axes = figure(7.2, 3.6, columns=len(pairs))
    for axis, (name, found) in zip(axes.flat, pairs.items(), strict=True):
        said, true, count = (np.array(v) for v in zip(*found.bins(), strict=True))
        axis.plot([0, 1], [0, 1], color=GRID)
        axis.plot(said, true, color=MAIN, lw=1)
        axis.scatter(said, true, s=12 + 160 * count / count.max(), color=MAIN, alpha=0.7)
        axis.set_title(f"{name} (error {found.error():.2f})", loc="left", fontsize=9)
        axis.set_xlabel("said", fontsize=8, color=QUIET)
        axis.set_ylabel("came true", fontsize=8, color=QUIET)
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
    truth = json.loads(options.gt.read_text(encoding="utf-8"))
    model = load(options.model, conf=0.0)
    own, coco = model.skeleton.shared_with(COCO17)
    pairs = {"person score": Pairs([], []), "keypoint confidence": Pairs([], [])}
    for picture in truth["images"]:
        poses = model.predict(read_image(options.images / picture["file_name"]))
        people = [a for a in truth["annotations"] if a["image_id"] == picture["id"]]
        compare(poses, people, own, coco, (pairs["person score"], pairs["keypoint confidence"]))
    for name, found in pairs.items():
        print(f"{name}: expected calibration error {found.error():.3f}")
        for said, true, count in found.bins():
            print(f"  said {said:.2f}  came true {true:.2f}  ({count})")
    draw(pairs, options.output)
    print(f"Plot: {options.output}")


if __name__ == "__main__":
    main()
