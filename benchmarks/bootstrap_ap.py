"""AP with its bootstrap standard error, and the paired difference of several models.

    python benchmarks/bootstrap_ap.py --gt coco.json --images DIR --model vepe-s [--model NEW ...]
        [--imgsz 640] [--first 150] [--flip] [--keep DIR]

Images are drawn with replacement 1,000 times. All models see the same draws, so the standard error
of a difference is that of paired samples. `--keep` stores the predictions in a folder and reads
them from there the next time; the file name holds the model's name, not its content, so empty the
folder after a file of weights has changed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from vepe.evaluation.coco_tables import CocoTables, paired_tables
from vepe.evaluation.run_model import COCO_CONF, predict_coco
from vepe.formats.files import load_json, replacing
from vepe.inference import DEFAULT_CONF
from vepe.inference.devices import keep_freed_memory
from vepe.inference.predictor import load

RECALLS = np.linspace(0, 1, 101)


def match_images(tables: CocoTables) -> list[dict[str, Any] | None]:
    """pycocotools' matches of every image: all areas, at most 20 people."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    people, predictions = (
        [{**a, "keypoints": a["keypoints"].ravel().tolist()} for a in side]
        for side in (tables.people, tables.predictions)
    )
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {
            "images": [{"id": i["id"]} for i in tables.images],
            "annotations": people,
            "categories": [{"id": 1, "name": "person"}],
        }
        gt.createIndex()
        evaluation = COCOeval(gt, gt.loadRes(predictions), "keypoints")
        evaluation.params.kpt_oks_sigmas = tables.sigmas
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.evaluate()
    return list(evaluation.evalImgs)


class Matched:
    """Matches of all images as flat arrays, for many quick accumulations.

    Attributes:
        image: (D,) image of each predicted person, highest score first.
        hit: (10, D) whether it matches a person at each OKS threshold.
        counts: (10, D) False where it matches a person that is ignored.
        people: (I,) number of people that count in each image.
    """

    def __init__(self, images: list[dict[str, Any] | None]) -> None:
        rows = [(i, e) for i, e in enumerate(images) if e is not None]
        score = np.concatenate([e["dtScores"] for _, e in rows])
        order = np.argsort(-score, kind="mergesort")
        self.image = np.concatenate([np.full(len(e["dtScores"]), i) for i, e in rows])[order]
        self.hit = np.concatenate([e["dtMatches"] > 0 for _, e in rows], axis=1)[:, order]
        ignored = np.concatenate([e["dtIgnore"].astype(bool) for _, e in rows], axis=1)
        self.counts = ~ignored[:, order]
        self.people = np.zeros(len(images), int)
        for i, e in rows:
            self.people[i] = int((~e["gtIgnore"].astype(bool)).sum())

    def ap(self, weight: np.ndarray) -> np.ndarray:
        """AP in percent at each OKS threshold, where image i counts `weight[i]` times."""
        num_people = (self.people * weight).sum()
        times = weight[self.image]
        result = np.zeros(len(self.hit))
        for t, (hit, counts) in enumerate(zip(self.hit, self.counts, strict=True)):
            chosen = counts & (times > 0)
            good = np.cumsum(times[chosen] * hit[chosen])
            bad = np.cumsum(times[chosen] * ~hit[chosen])
            if not len(good) or not num_people:
                continue
            precision = good / np.maximum(good + bad, 1)
            precision = np.maximum.accumulate(precision[::-1])[::-1]
            index = np.searchsorted(good / num_people, RECALLS, side="left")
            result[t] = np.append(precision, 0)[np.minimum(index, len(precision))].mean()
        return 100 * result


def summary(ap: np.ndarray) -> np.ndarray:
    """AP, AP50 and AP75."""
    return np.array([ap.mean(), ap[0], ap[5]])


def first_images(gt: dict[str, Any], count: int) -> dict[str, Any]:
    """The ground truth with only so many of its images, evenly spaced."""
    step = max(1, len(gt["images"]) // count)
    images = gt["images"][::step][:count]
    ids = {i["id"] for i in images}
    annotations = [a for a in gt["annotations"] if a["image_id"] in ids]
    return {**gt, "images": images, "annotations": annotations}


def predictions(
    options: argparse.Namespace, gt: dict[str, Any], model: str, *, flip: bool
) -> dict[str, Any]:
    """Predictions of a model, from the folder of stored ones if they are there."""
    name = "-".join(Path(model).parts[-2:]) if "/" in model else Path(model).stem
    name = f"{options.gt.stem}-{name}-{options.imgsz or 'own'}-{options.first or 'all'}"
    name += "-flip.json" if flip else ".json"
    stored = None if options.keep is None else options.keep / name
    if stored is not None and stored.is_file():
        return load_json(stored)
    with tempfile.TemporaryDirectory() as folder:
        gt_file = Path(folder) / options.gt.name
        gt_file.write_text(json.dumps(gt), encoding="utf-8")
        _, pred = predict_coco(
            gt_file,
            options.images,
            lambda: load(model, conf=COCO_CONF, input_px=options.imgsz, flip=flip),
        )
    if stored is not None:
        with replacing(stored) as partial:
            partial.write_text(json.dumps(pred), encoding="utf-8")
    return pred


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--imgsz", type=int, help="longer side of the input; default: the model's")
    parser.add_argument("--first", type=int, help="only so many images, evenly spaced")
    parser.add_argument("--flip", action="store_true", help="also with a flip test")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument(
        "--conf", type=float, default=DEFAULT_CONF, help="for images without people"
    )
    parser.add_argument("--keep", type=Path, help="folder of stored predictions")
    options = parser.parse_args()
    keep_freed_memory()
    gt = json.loads(options.gt.read_text(encoding="utf-8"))
    if options.first:
        gt = first_images(gt, options.first)
    with_people = {a["image_id"] for a in gt["annotations"]}
    empty = [i["id"] for i in gt["images"] if i["id"] not in with_people]
    rng = np.random.default_rng(0)
    count = len(gt["images"])
    draws = [np.bincount(rng.integers(count, size=count), minlength=count)
             for _ in range(options.draws)]  # fmt: skip
    baseline = None
    print("| model | AP | AP50 | AP75 | difference of AP | images without people stay empty |")
    print("|---|---|---|---|---|---|")
    for model, flip in product(options.model, (False, True) if options.flip else (False,)):
        pred = predictions(options, gt, model, flip=flip)
        matched = Matched(match_images(paired_tables(gt, pred, "shared")))
        whole = summary(matched.ap(np.ones(count, int)))
        drawn = np.array([summary(matched.ap(weight)) for weight in draws])
        error = drawn.std(axis=0)
        cells = [f"{a:.1f} ± {e:.1f}" for a, e in zip(whole, error, strict=True)]
        difference = ""
        if baseline is not None:
            spread = (drawn[:, 0] - baseline[1][:, 0]).std()
            difference = f"{whole[0] - baseline[0][0]:+.1f} ± {spread:.1f}"
        baseline = baseline or (whole, drawn)
        claimed = {a["image_id"] for a in pred["annotations"] if a["score"] >= options.conf}
        quiet = sum(i not in claimed for i in empty)
        name = f"{model}, flip" if flip else model
        print(
            f"| {name} | {' | '.join(cells)} | {difference} | {quiet} of {len(empty)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
