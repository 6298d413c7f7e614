"""Where people and keypoints are lost on COCO images: by size, visibility, crowding and layer.

    python benchmarks/where_lost.py --gt coco.json --images DIR [--model vepe-n] [--imgsz 384]

The first table takes, for every labelled person, the best OKS that any pose of the network reaches,
whatever its score: after the proposals, after each layer of the spatial decoder, and at the end.
What is low at the end cannot be fixed by ranking; what does not rise from layer to layer cannot be
fixed by more layers. The size of a person is the root of its area in units of the image's longer
side; IoU is the largest one of its box with another person's.

The second table says what AP would be without one kind of error: duplicates (poses whose person has
a higher scored one), ranking (each person has only its best pose, scored by OKS), and localisation
(poses near a person lie on its labels).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vepe.evaluation.coco import coco_oks_ap
from vepe.inference import DEFAULT_CONF, DEFAULT_MODEL
from vepe.inference.devices import keep_freed_memory
from vepe.inference.prepost import letterbox
from vepe.inference.weights import load_weights
from vepe.losses.oks import oks
from vepe.models.step import network_input
from vepe.models.vepe import Vepe
from vepe.skeleton import COCO17
from vepe.video.images import read_image

SIZES = ((0.0, 0.08), (0.08, 0.16), (0.16, 0.3), (0.3, 9.0))
NUM_KEYPOINTS = ((1, 4), (5, 9), (10, 17))
CROWDING = ((0.0, 0.1), (0.1, 0.3), (0.3, 1.1))
BORDER = 0.01
"""A box that ends this close to the border, in units of the image's longer side, is cut by it."""
MATCH_OKS = 0.5
"""OKS from which on a pose counts as its person's, for duplicates."""
NEAR_OKS = 0.1
"""OKS from which on a pose means a person, for the AP with perfect localisation."""
ERRORS = ("none", "duplicates", "ranking", "localisation")

ScoredPose = tuple[np.ndarray, float]


@dataclass(frozen=True)
class PersonRow:
    """A labelled person: what it is like, and how close the poses come.

    Attributes:
        best_oks: of the proposals, of each layer, and at the end.
        claimed_oks: the best at the end among the poses with at least the score threshold.
    """

    size: float
    num_keypoints: int
    overlap: float
    cut: bool
    best_oks: list[float]
    claimed_oks: float


@torch.inference_mode()
def poses_by_layer(
    model: Vepe, image: np.ndarray, imgsz: int
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """(N, K, 2) in pixels of the image after each part, in order, and the final (N,) scores."""
    image, fit = letterbox(image, imgsz, model.stride)
    size = torch.tensor([fit.resized_wh])
    pixels, padding = network_input(torch.from_numpy(image[None]), size)
    frame, output = model.encode_frame(pixels, padding)
    points = {"proposals": output.proposals.keypoints_px}
    points |= {f"layer {i + 1}": layer.keypoints_px for i, layer in enumerate(output.layers)}
    points["end"] = frame.poses.keypoints_px
    poses = {name: torch.from_numpy(fit.to_source(p[0].numpy())) for name, p in points.items()}
    return poses, frame.poses.score_logits[0].sigmoid()


def largest_overlaps(boxes_xywh: np.ndarray) -> np.ndarray:
    """The largest IoU of each box with another one."""
    if not len(boxes_xywh):
        return np.zeros(0)
    low, high = boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    intersection = np.prod(np.maximum(sides, 0), axis=2)
    area = np.prod(boxes_xywh[:, 2:], axis=1)
    iou = intersection / np.maximum(area[:, None] + area - intersection, 1e-6)
    np.fill_diagonal(iou, 0)
    return iou.max(axis=1)


def without_errors(
    poses: np.ndarray, scores: np.ndarray, labels: np.ndarray, table: np.ndarray
) -> dict[str, list[ScoredPose]]:
    """The scored poses of an image without each of `ERRORS`.

    Args:
        poses, scores: (N, K, 2) and (N,), K the scored keypoints.
        labels: (P, K, 3) of the labelled people.
        table: (N, P) OKS.
    """
    order = np.argsort(-scores, kind="stable")
    plain = [(poses[i], float(scores[i])) for i in order]
    if not len(labels):
        return dict.fromkeys(ERRORS, plain)
    single: list[ScoredPose] = []
    snapped: list[ScoredPose] = []
    matched: set[int] = set()
    snapped_to: set[int] = set()
    for i in order:
        person = int(table[i].argmax())
        is_match = table[i, person] >= MATCH_OKS
        if not (is_match and person in matched):
            single.append((poses[i], float(scores[i])))
        if is_match:
            matched.add(person)
        near = [p for p in np.argsort(-table[i]) if table[i, p] >= NEAR_OKS and p not in snapped_to]
        pose = poses[i]
        if near:
            snapped_to.add(near[0])
            label = labels[near[0]]
            pose = np.where(label[:, 2:] > 0, label[:, :2], pose)
        snapped.append((pose, float(scores[i])))
    return dict(zip(ERRORS, (plain, single, best_poses(poses, table), snapped), strict=True))


def best_poses(poses: np.ndarray, table: np.ndarray) -> list[ScoredPose]:
    """At most one pose of every person, scored by its OKS; greedy, highest OKS first."""
    ranked, free = [], table.copy()
    for _ in range(min(table.shape)):
        i, p = np.unravel_index(free.argmax(), free.shape)
        if free[i, p] <= 0:
            break
        ranked.append((poses[i], float(free[i, p])))
        free[i], free[:, p] = -1, -1
    return ranked


class Analysis:
    """Collects the people of all images, and the predictions without each kind of error."""

    def __init__(self, own: np.ndarray, coco: np.ndarray, conf: float) -> None:
        self.own, self.coco, self.conf = own, coco, conf
        self.sigmas = torch.from_numpy(COCO17.sigma_array()[coco])
        self.people: list[PersonRow] = []
        self.predictions: dict[str, list[dict[str, Any]]] = {name: [] for name in ERRORS}

    def add(
        self,
        record: dict[str, Any],
        annotations: list[dict[str, Any]],
        image_wh: tuple[int, int],
        layers: dict[str, torch.Tensor],
        scores: torch.Tensor,
    ) -> None:
        """Adds an image with its record and annotations, and what `poses_by_layer` returns."""
        boxes = np.array([a["bbox"] for a in annotations], float).reshape(-1, 4)
        labels, columns = [], []
        for person, overlap in zip(annotations, largest_overlaps(boxes), strict=True):
            label = np.asarray(person["keypoints"], float).reshape(-1, 3)[self.coco]
            if person["iscrowd"] or not label[:, 2].any():
                continue
            target, labelled = torch.from_numpy(label[:, :2]), torch.from_numpy(label[:, 2] > 0)
            area = torch.tensor(person["area"])
            similar = [
                oks(poses[:, self.own], target, labelled, area, self.sigmas)
                for poses in layers.values()
            ]
            x, y, w, h = person["bbox"]
            margin = min(x, y, image_wh[0] - x - w, image_wh[1] - y - h)
            self.people.append(
                PersonRow(
                    size=person["area"] ** 0.5 / max(image_wh),
                    num_keypoints=int(labelled.sum()),
                    overlap=float(overlap),
                    cut=margin < BORDER * max(image_wh),
                    best_oks=[float(values.max()) for values in similar],
                    claimed_oks=float((similar[-1] * (scores >= self.conf)).max()),
                )
            )
            labels.append(label)
            columns.append(similar[-1].numpy())
        end = layers["end"][:, self.own].numpy()
        table = np.stack(columns, axis=1) if columns else np.zeros((len(end), 0))
        targets = np.array(labels).reshape(-1, len(self.own), 3)
        for name, poses in without_errors(end, scores.numpy(), targets, table).items():
            self.predictions[name] += [
                {
                    "image_id": record["id"],
                    "category_id": 1,
                    "score": score,
                    "keypoints": np.column_stack([pose, np.ones(len(pose))]).ravel().tolist(),
                }
                for pose, score in poses
            ]

    def print_people(self, layers: list[str]) -> None:
        """Prints the first table."""
        heads = (
            "proposals within 0.5",
            "within OKS 0.5",
            "within 0.75",
            f"within 0.5 and score >= {self.conf}",
        )
        print("| people | count | " + " | ".join([*heads, *layers]) + " |")
        print("|---" * (2 + len(heads) + len(layers)) + "|")
        people = self.people
        rows = [("all", people)]
        rows += [(f"size {a:.2f} to {b:.2f}", [p for p in people if a <= p.size < b])
                 for a, b in SIZES]  # fmt: skip
        rows += [(f"{a} to {b} keypoints", [p for p in people if a <= p.num_keypoints <= b])
                 for a, b in NUM_KEYPOINTS]  # fmt: skip
        rows += [(f"IoU {a:.1f} to {min(b, 1):.1f}", [p for p in people if a <= p.overlap < b])
                 for a, b in CROWDING]  # fmt: skip
        rows += [(name, [p for p in people if p.cut == cut])
                 for name, cut in (("cut by the border", True), ("not cut", False))]  # fmt: skip
        for name, chosen in rows:
            if not chosen:
                continue
            best = np.array([p.best_oks for p in chosen])  # (P, layers)
            claimed = np.array([p.claimed_oks for p in chosen])
            values = (best[:, 0] > 0.5, best[:, -1] > 0.5, best[:, -1] > 0.75, claimed > 0.5)
            cells = [f"{value.mean():.0%}" for value in values]
            cells += [f"{mean:.2f}" for mean in best.mean(axis=0)]
            print(f"| {name} | {len(chosen)} | {' | '.join(cells)} |")

    def print_errors(self, gt: dict[str, Any]) -> None:
        """Prints the second table."""
        keypoints = [COCO17.keypoints[i] for i in self.coco]
        print("\n| without errors of | AP | AP50 | AP75 |\n|---|---|---|---|")
        for name, people in self.predictions.items():
            pred = {
                "images": [{"id": record["id"]} for record in gt["images"]],
                "annotations": people,
                "categories": [{"id": 1, "name": "person", "keypoints": keypoints}],
            }
            score = coco_oks_ap(gt, pred, "shared")
            print(f"| {name} | {score.ap:.1f} | {score.ap50:.1f} | {score.ap75:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--imgsz", type=int, help="longer side of the input; default: the model's")
    parser.add_argument("--conf", type=float, default=DEFAULT_CONF)
    options = parser.parse_args()
    keep_freed_memory()
    gt = json.loads(options.gt.read_text(encoding="utf-8"))
    model, config, _ = load_weights(options.model)
    analysis = Analysis(*config.skeleton.shared_with(COCO17), options.conf)
    layers: dict[str, torch.Tensor] = {}
    for record in gt["images"]:
        annotations = [a for a in gt["annotations"] if a["image_id"] == record["id"]]
        image = read_image(options.images / record["file_name"])
        layers, scores = poses_by_layer(model, image, options.imgsz or config.input_px)
        analysis.add(record, annotations, image.shape[1::-1], layers, scores)
    analysis.print_people(list(layers))
    analysis.print_errors(gt)


if __name__ == "__main__":
    main()
