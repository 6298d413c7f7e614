"""Box tracks and TrackEval's scores of them; writes the fixture that the tests read.

`golden/trackeval/scenes.json` holds random scenes (whole numbers, own data) and the values of
TrackEval's `HOTA`, `CLEAR` and `Identity` on the overlaps of their boxes. To write it again, in an
environment with the package: `python tests/evaluation/trackeval_golden.py`. The package is no
dependency of the tests, since it needs opencv-python, which excludes opencv-python-headless.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "golden" / "trackeval" / "scenes.json"
Box = list[int]
"""Frame from 0, track id, x, y, width, height."""
Scene = dict[str, list[Box]]


def random_scene(rng: np.random.Generator, frames: int, people: int, noise: float) -> Scene:
    """People who walk, pause and cross; predictions that miss, repeat, swap and jump."""
    gt: list[Box] = []
    pred: list[Box] = []
    start, speed = rng.uniform(0, 300, (people, 2)), rng.normal(0, 9, (people, 2))
    size = rng.uniform(30, 90, (people, 2)) * [1, 2]
    ids = rng.permutation(people) + 10
    fresh = 100
    for t in range(frames):
        empty_gt, empty_pred = rng.random() < 0.06, rng.random() < 0.06
        if rng.random() < 0.12:
            a, b = rng.choice(people, 2, replace=False)
            ids[[a, b]] = ids[[b, a]]
        if rng.random() < 0.08:
            ids[rng.integers(people)], fresh = fresh, fresh + 1
        for k in range(people):
            corner = start[k] + t * speed[k]
            if not empty_gt and rng.random() < 0.9:
                gt.append([t, k, *np.r_[corner, size[k]].round().astype(int).tolist()])
            if not empty_pred and rng.random() < 0.85:
                box = np.r_[corner + rng.normal(0, noise, 2), size[k] * rng.uniform(0.8, 1.2, 2)]
                pred.append([t, int(ids[k]), *box.round().astype(int).tolist()])
            if not empty_pred and rng.random() < 0.1:
                box = np.r_[corner + rng.normal(0, 2 * noise, 2), size[k]]
                pred.append([t, 1000 + k, *box.round().astype(int).tolist()])
    return {"gt": gt, "pred": pred}


def scenes() -> dict[str, Scene]:
    rng = np.random.default_rng(12)
    result = {f"noise_{noise}": random_scene(rng, 30, 5, float(noise)) for noise in (0, 6, 14, 30)}
    result["crowd"] = random_scene(rng, 12, 14, 8.0)
    result["no_predictions"] = {**random_scene(rng, 8, 3, 5.0), "pred": []}
    result["no_people"] = {**random_scene(rng, 8, 3, 5.0), "gt": []}
    return result


def by_frame(scene: Scene, num_frames: int) -> dict[str, Any]:
    """The data of a sequence as TrackEval's metrics take it."""
    from trackeval.datasets._base_dataset import _BaseDataset

    sides: dict[str, tuple[list[Any], list[Any], int]] = {}
    for side in ("gt", "pred"):
        dense = {i: n for n, i in enumerate(sorted({row[1] for row in scene[side]}))}
        rows = [[r for r in scene[side] if r[0] == t] for t in range(num_frames)]
        ids = [np.array([dense[r[1]] for r in frame], int) for frame in rows]
        boxes = [np.array([r[2:] for r in frame], float).reshape(-1, 4) for frame in rows]
        sides[side] = ids, boxes, len(dense)
    (gt_ids, gt_boxes, num_gt), (ids, boxes, num) = sides["gt"], sides["pred"]
    overlaps = [
        _BaseDataset._calculate_box_ious(g, p, box_format="xywh")
        for g, p in zip(gt_boxes, boxes, strict=True)
    ]
    return {
        "num_timesteps": num_frames,
        "gt_ids": gt_ids,
        "tracker_ids": ids,
        "num_gt_ids": num_gt,
        "num_tracker_ids": num,
        "num_gt_dets": sum(map(len, gt_ids)),
        "num_tracker_dets": sum(map(len, ids)),
        "similarity_scores": overlaps,
    }


def trackeval_scores(data: dict[str, Scene]) -> dict[str, dict[str, float]]:
    """TrackEval's values by scene, and of all together under 'all'."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    quiet = {"PRINT_CONFIG": False}
    metrics = {"HOTA": HOTA(), "CLEAR": CLEAR(quiet), "Identity": Identity(quiet)}
    results: dict[str, dict[str, float]] = {}
    for name, metric in metrics.items():
        raw = {
            scene: metric.eval_sequence(by_frame(boxes, num_frames(boxes)))
            for scene, boxes in data.items()
        }
        raw["all"] = metric.combine_sequences(raw)
        for scene, values in raw.items():
            fields = {k: float(np.mean(v)) for k, v in values.items() if not k.startswith("HOTA(")}
            results.setdefault(scene, {}).update({f"{name} {k}": v for k, v in fields.items()})
    return results


def num_frames(scene: Scene) -> int:
    return 1 + max(row[0] for row in scene["gt"] + scene["pred"])


if __name__ == "__main__":
    from importlib.metadata import version

    made = scenes()
    FILE.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "source": f"trackeval {version('trackeval')} (MIT), numpy {np.__version__}",
        "scenes": made,
        "scores": trackeval_scores(made),
    }
    FILE.write_text(json.dumps(document, separators=(",", ":")) + "\n")
