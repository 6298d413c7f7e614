"""Times the PoseTrack evaluation on a set of the size of PoseTrack18's validation set.

    python benchmarks/bench_evaluation.py [--keep DIR] [--profile]

Makes 170 sequences with 9,000 labelled frames and 60,000 people (about 20,000 frames in all, with
predictions in every one), writes them as PoseTrack18 files, and evaluates AP, MOTA and HOTA from
these files in a separate process on one core. Prints seconds and peak memory; with `--profile`,
also the slowest functions.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SEQUENCES, FRAMES, LABELLED = 170, 119, 53
PEOPLE = 60_000 // LABELLED
NAMES = ["nose", "head_bottom", "head_top", "left_ear", "right_ear"] + [
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]
CATEGORIES = [{"id": 1, "name": "person", "keypoints": NAMES}]
BODY = np.array(
    [[0, -78], [0, -66], [0, -98], [0, 0], [0, 0], [11, -58], [-11, -58], [18, -42], [-18, -42],
     [22, -26], [-22, -26], [7, -25], [-7, -25], [8, 0], [-8, 0], [8, 25], [-8, 25]], float,
)  # fmt: skip


def make_sequence(index: int, count: int, rng: np.random.Generator) -> tuple[dict, dict]:
    """Ground truth and prediction of one sequence, in which people cross each other."""
    height = rng.uniform(1.2, 3.5, count)
    start = rng.uniform([50, 200], [1230, 600], (count, 2))
    speed = rng.normal(0, 4, (count, 2)) * [1, 0.2]
    labelled = {i * FRAMES // LABELLED for i in range(LABELLED)}
    gt_images, gt, pred_images, pred = [], [], [], []
    ids = np.arange(count)
    for t in range(FRAMES):
        image_id = (1 << 34) + index * 10_000 + t
        name = f"images/val/{index:06d}_mpii_test/{t:06d}.jpg"
        image = {"id": image_id, "frame_id": image_id, "file_name": name}
        gt_images.append({**image, "is_labeled": t in labelled, "nframes": FRAMES})
        pred_images.append(image)
        swing = rng.normal(0, 2, (count, 17, 2))
        poses = start[:, None] + t * speed[:, None] + (BODY + swing) * height[:, None, None]
        if rng.random() < 0.1 and count > 1:
            ids = rng.permutation(count)
        for k, pose in enumerate(poses):
            if t in labelled:
                gt.append(_annotation(image_id, k, pose, 20 * height[k], rng))
            noise = rng.normal(0, 4 * height[k], (17, 2))
            if rng.random() < 0.9:
                pred.append(_prediction(image_id, int(ids[k]), pose + noise, rng))
            if rng.random() < 0.1:
                pred.append(_prediction(image_id, 500 + k, pose + noise + 8, rng))
    return (
        {"images": gt_images, "annotations": gt, "categories": CATEGORIES},
        {"images": pred_images, "annotations": pred, "categories": CATEGORIES},
    )


def _annotation(
    image_id: int, k: int, pose: np.ndarray, head: float, rng: np.random.Generator
) -> dict:
    visible = rng.random(17) < 0.85
    visible[3:5] = False
    points = np.column_stack([pose.round(1), np.ones(17)]) * visible[:, None]
    box = [*(pose[2] - [head / 2, 0]).round(1).tolist(), round(head, 1), round(head * 1.2, 1)]
    return {
        "id": image_id * 100 + k, "image_id": image_id, "category_id": 1, "track_id": k,
        "bbox_head": box, "keypoints": points.ravel().tolist(), "scores": [],
    }  # fmt: skip


def _prediction(image_id: int, track: int, pose: np.ndarray, rng: np.random.Generator) -> dict:
    points = np.column_stack([pose.round(3), np.ones(17)])
    points[3:5] = 0
    return {
        "image_id": image_id, "category_id": 1, "track_id": track,
        "keypoints": points.ravel().tolist(), "scores": rng.random(17).round(6).tolist(),
    }  # fmt: skip


def make_set(folder: Path) -> None:
    """Writes the folders `gt` and `pred`."""
    rng = np.random.default_rng(18)
    for side in ("gt", "pred"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    counts = 1 + rng.multinomial(PEOPLE - SEQUENCES, np.full(SEQUENCES, 1 / SEQUENCES))
    for index, count in enumerate(counts):
        for side, data in zip(("gt", "pred"), make_sequence(index, count, rng), strict=True):
            path = folder / side / f"{index:06d}_mpii_test.json"
            path.write_text(json.dumps(data))


def evaluate(folder: Path, profile: bool) -> None:
    """Evaluates the set in this process and prints time, memory and the main values."""
    import cProfile
    import pstats
    import resource
    import time

    from vepe.evaluation import evaluate_posetrack

    profiler = cProfile.Profile()
    start, start_cpu = time.perf_counter(), time.process_time()
    if profile:
        profiler.enable()
    result = evaluate_posetrack(folder / "gt", folder / "pred")
    profiler.disable()
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert result.mota is not None
    assert result.hota is not None
    print(result.counts)
    print(f"AP {result.ap.total:.3f}  MOTA {result.mota.total:.3f}  HOTA {result.hota['HOTA']:.3f}")
    print(
        f"{seconds:.1f} s ({cpu:.1f} s of one core), at most {peak:.0f} MiB"
        f"{' (profiled)' if profile else ''}"
    )
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(18)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", type=Path, help="keep the set here and use it again")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--evaluate", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.evaluate:
        evaluate(options.evaluate, options.profile)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        if not (folder / "gt").is_dir():
            make_set(folder)
        command = [sys.executable, __file__, "--evaluate", str(folder)]
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        extra = ["--profile"] if options.profile else []
        subprocess.run([*command, *extra], check=True, env={**os.environ, **threads})


if __name__ == "__main__":
    main()
