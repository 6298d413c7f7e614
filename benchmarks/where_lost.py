"""Where people and keypoints are lost on COCO-style pictures: by size, by what is seen, by layer.

    python benchmarks/where_lost.py --gt coco.json --images DIR [--model vepe-n] [--input-px 384]

For every labelled person the best OKS that any pose of the network reaches, whatever its score:
after the proposals, after each decoder layer, and at the end. What is low at the end cannot be
fixed by ranking; what does not rise from layer to layer cannot be fixed by more layers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from vepe.inference.prepost import letterbox
from vepe.inference.weights import load_weights
from vepe.losses.oks import oks
from vepe.skeleton import COCO17
from vepe.video.images import read_image

SIZES = ((0.0, 0.08), (0.08, 0.16), (0.16, 0.3), (0.3, 9.0))
"""Root of a person's area in units of the picture's longer side."""
SEEN = ((1, 4), (5, 9), (10, 17))
"""Labelled keypoints."""


@torch.inference_mode()
def poses_by_layer(model, image: np.ndarray, input_px: int) -> dict[str, torch.Tensor]:
    """(N, K, 2) in pixels of the picture for the proposals and each layer, in order."""
    pixels, padding, fit = letterbox(image, input_px, model.stride)
    frame, spatial = model.encode_frame(pixels, padding)
    found = {"proposals": spatial.proposals.keypoints_px}
    found |= {f"layer {i + 1}": layer.keypoints_px for i, layer in enumerate(spatial.layers)}
    found["end"] = frame.poses.keypoints_px
    return {
        name: torch.from_numpy(fit.to_source(points[0].numpy())) for name, points in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("--input-px", type=int)
    options = parser.parse_args()
    truth = json.loads(options.gt.read_text(encoding="utf-8"))
    model, config, _ = load_weights(options.model)
    own, coco = config.skeleton.shared_with(COCO17)
    sigmas = torch.from_numpy(COCO17.sigma_array()[coco])
    size, seen, reached = [], [], []
    for picture in truth["images"]:
        people = [a for a in truth["annotations"] if a["image_id"] == picture["id"]]
        labels = [np.asarray(a["keypoints"], float).reshape(-1, 3)[coco] for a in people]
        posed = [
            (person, label)
            for person, label in zip(people, labels, strict=True)
            if label[:, 2].any() and not person["iscrowd"]
        ]
        if not posed:
            continue
        image = read_image(options.images / picture["file_name"])
        layers = poses_by_layer(model, image, options.input_px or config.input_px)
        for person, label in posed:
            size.append(person["area"] ** 0.5 / max(image.shape[:2]))
            place, labelled = torch.from_numpy(label[:, :2]), torch.from_numpy(label[:, 2] > 0)
            seen.append(int(labelled.sum()))
            area = torch.tensor(person["area"])
            found = (oks(p[:, own], place, labelled, area, sigmas) for p in layers.values())
            reached.append([float(values.max()) for values in found])
    table, size_of, seen_of = np.array(reached), np.array(size), np.array(seen)
    print("| people | count | within OKS 0.5 | within 0.75 | " + " | ".join(layers) + " |")
    print("|---" * (4 + len(layers)) + "|")
    rows = [("all", np.ones(len(table), bool))]
    rows += [(f"size {a:.2f} to {b:.2f}", (size_of >= a) & (size_of < b)) for a, b in SIZES]
    rows += [(f"{a} to {b} keypoints", (seen_of >= a) & (seen_of <= b)) for a, b in SEEN]
    for name, chosen in rows:
        some = table[chosen]
        if len(some):
            shares = " | ".join(f"{(some[:, -1] > least).mean():.0%}" for least in (0.5, 0.75))
            means = " | ".join(f"{mean:.2f}" for mean in some.mean(axis=0))
            print(f"| {name} | {len(some)} | {shares} | {means} |")


if __name__ == "__main__":
    main()
