"""Accuracy against time of VEPE and of other models on the same images, in one run.

    python benchmarks/accuracy_time.py --gt coco.json --images DIR --others models
        [--vepe vepe-n:320,448,640 --vepe vepe-s:448,640,800] [--first 150] [--measure cpu]
        [--keep DIR] [--figure docs/images/accuracy_time.png]

Every image goes through all models in turn, so that drifting machine speed affects all alike; the
time is that from a decoded image to poses, the median over images, everything in ONNX Runtime.
`--others` is the folder that `tfjs_to_onnx.py` writes. OKS AP over the keypoints that all of them
share with the ground truth, with its standard error (bootstrap over images).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bootstrap_ap import Matched, first_images, match_images, summary
from other_models import MultiPose, NanoDetThunder

import vepe
from vepe.errors import counted
from vepe.evaluation.coco_tables import paired_tables
from vepe.inference.devices import available_cores, keep_freed_memory
from vepe.skeleton import COCO17, POSETRACK15
from vepe.video.images import read_image

Pipeline = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
SHARED = [k for k in COCO17.keypoints if k in POSETRACK15.keypoints]
WARM_UP = 5


class Vepe:
    """VEPE at a longer side of `px`, on a single image."""

    def __init__(self, model: str, px: int) -> None:
        self.predictor = vepe.load(model, backend="onnxruntime", input_px=px, conf=0.0)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        poses = self.predictor.predict(image)
        points = np.concatenate([poses.keypoints_px, poses.keypoint_scores[..., None]], axis=2)
        return points.astype(float), poses.scores


def pipelines(options: argparse.Namespace) -> dict[tuple[str, str], tuple[Pipeline, list[str]]]:
    """The models by name and size, each with the names of its keypoints."""
    found: dict[tuple[str, str], tuple[Pipeline, list[str]]] = {}
    for text in options.vepe:
        model, sizes = text.split(":")
        for px in sizes.split(","):
            found[model, px] = Vepe(model, int(px)), list(POSETRACK15.keypoints)
    if options.others is not None:
        names = list(COCO17.keypoints)
        for px in (256, 512):
            path = options.others / "movenet-multipose.onnx"
            found["MoveNet MultiPose", str(px)] = MultiPose(path, px), names
        pair = [options.others / f"{name}.onnx" for name in ("nanodet", "movenet-thunder")]
        for conf in (0.3, 0.05):
            size = f"416 / 256, boxes over {conf}"
            found["NanoDet + MoveNet Thunder", size] = NanoDetThunder(*pair, conf), names
    return found


def measure(options: argparse.Namespace, gt: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each model: times, and predictions as COCO annotations."""
    models = pipelines(options)
    now = time.process_time if options.measure == "cpu" else time.perf_counter
    rows = {key: {"model": key[0], "size": key[1], "ms": [], "people": []} for key in models}
    for number, record in enumerate(gt["images"]):
        image = read_image(options.images / record["file_name"])
        for key, (run, names) in models.items():
            if not number:
                for _ in range(WARM_UP):
                    run(image)
            start = now()
            points, scores = run(image)
            rows[key]["ms"].append(1000 * (now() - start))
            columns = [names.index(k) for k in SHARED]
            for pose, score in zip(points[:, columns], scores, strict=True):
                person = {"image_id": record["id"], "category_id": 1, "score": float(score)}
                rows[key]["people"].append({**person, "keypoints": pose.ravel().tolist()})
        if number % 50 == 49:
            print(f"{number + 1} of {len(gt['images'])} images", flush=True)
    return list(rows.values())


def score(row: dict[str, Any], gt: dict[str, Any], draws: int) -> dict[str, Any]:
    """The row with AP, AP50 and AP75, and the standard error of AP, instead of predictions."""
    pred = {
        "images": [{"id": i["id"]} for i in gt["images"]],
        "annotations": row["people"],
        "categories": [{"id": 1, "name": "person", "keypoints": SHARED}],
    }
    matched = Matched(match_images(paired_tables(gt, pred, "shared")))
    count = len(gt["images"])
    rng = np.random.default_rng(0)
    drawn = [
        summary(matched.ap(np.bincount(rng.integers(count, size=count), minlength=count)))[0]
        for _ in range(draws)
    ]
    ap, ap50, ap75 = summary(matched.ap(np.ones(count, int)))
    result = {"model": row["model"], "size": row["size"], "ap": ap, "ap50": ap50, "ap75": ap75}
    return {**result, "error": float(np.std(drawn)), "ms": statistics.median(row["ms"])}


def draw(rows: list[dict[str, Any]], reference: str | None, label: str, path: Path) -> None:
    """The figure: AP against milliseconds per image, a line per model."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.8), dpi=150, layout="constrained")
    for number, name in enumerate(dict.fromkeys(row["model"] for row in rows)):
        points = [row for row in rows if row["model"] == name]
        ms, ap = [r["ms"] for r in points], [r["ap"] for r in points]
        style = "-" if name.startswith("vepe") else "--"
        axes.errorbar(
            ms, ap, [r["error"] for r in points], fmt=f"o{style}", label=name, markersize=4,
            capsize=2, linewidth=1.2, elinewidth=0.7,
        )  # fmt: skip
        # Sizes of one model above its line, those of the next below, where lines run side by side.
        offset, side = ((4, -10), "left") if number % 2 else ((-4, 4), "right")
        for row in points:
            axes.annotate(row["size"].split(", ")[-1], (row["ms"], row["ap"]), offset, ha=side,
                          textcoords="offset points", fontsize=7, color="0.35")  # fmt: skip
    if reference is not None:
        name, value = reference.rsplit(":", 1)
        axes.axhline(float(value), color="0.5", linewidth=0.8, linestyle=":")
        axes.annotate(name, (0.01, float(value)), (0, 3), xycoords=("axes fraction", "data"),
                      textcoords="offset points", fontsize=7, color="0.35")  # fmt: skip
    axes.set(xscale="log", xlabel=label, ylabel="OKS AP, 13 shared keypoints")
    ticks = [t for t in (10, 20, 50, 100, 200, 500, 1000)
             if min(r["ms"] for r in rows) / 2 < t < 2 * max(r["ms"] for r in rows)]  # fmt: skip
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.margins(x=0.22)  # room for the labels of the outermost points
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--vepe", action="append", help="MODEL:SIZE,SIZE...", default=[])
    parser.add_argument("--others", type=Path, help="folder of the other models")
    parser.add_argument("--first", type=int, help="only so many images, evenly spaced")
    parser.add_argument("--measure", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--reference", help="NAME:AP, a line for a model that does not run here")
    options = parser.parse_args()
    options.vepe = options.vepe or ["vepe-n:320,448,640", "vepe-s:448,640,800"]
    keep_freed_memory()
    gt = json.loads(options.gt.read_text(encoding="utf-8"))
    if options.first:
        gt = first_images(gt, options.first)
    rows = [score(row, gt, options.draws) for row in measure(options, gt)]
    cores = counted(available_cores(), "core")
    clock = "CPU" if options.measure == "cpu" else "wall"
    label = f"ms per image ({clock} time, {cores}, ONNX Runtime)"
    print(f"| model | input, px | AP | AP50 | AP75 | {label} |\n|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['model']} | {row['size']} | {row['ap']:.1f} ± {row['error']:.1f} | "
            f"{row['ap50']:.1f} | {row['ap75']:.1f} | {row['ms']:.0f} |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    if options.figure:
        draw(rows, options.reference, label, options.figure)


if __name__ == "__main__":
    main()
