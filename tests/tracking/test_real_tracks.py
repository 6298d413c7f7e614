"""The tracker on real annotated motion: ground-truth poses with seeded noise in, ids out.

`pytest -s` prints the table that the defaults of `TrackerSettings` were chosen by. Only people with
an id count as predictions, so misses and false positives are scored together with the switches. The
noise has another seed than in the sweeps; the bars lie a little below what was measured. With
correct ids for every reported person, MOTA would be 100 (clean), 92 (noisy) and 79 (harsh).
"""

from __future__ import annotations

import motmetrics
import numpy as np
import pytest
from noisy_people import CLEAN, EMBEDDINGS, HARSH, NOISY, observed, oks_distances, read_video

from vepe.tracking.tracker import Tracker

METRICS = ["mota", "idf1", "num_switches", "num_misses", "num_false_positives", "num_objects"]
NOISES = {"clean": CLEAN, "noisy": NOISY, "harsh": HARSH}


@pytest.fixture(scope="module")
def videos(shared_dir):
    paths = sorted((shared_dir / "data" / "dev" / "tracks").glob("*.json"))
    assert len(paths) == 30
    return [read_video(path) for path in paths]


def score(videos, noise, embeddings, stride):
    """CLEAR MOT and IDF1 over all videos; ratios in percent."""
    tracker, accumulators = Tracker(), []
    for number, video in enumerate(videos):
        frames = video[::stride]
        accumulator = motmetrics.MOTAccumulator(auto_id=True)
        state = tracker.start()
        for frame, poses in zip(
            frames,
            observed(frames, NOISES[noise], EMBEDDINGS[embeddings], 1000 + number),
            strict=True,
        ):
            state, out = tracker.step(state, poses)
            tracked = out.select(out.track_ids >= 0)
            distances = oks_distances(frame, tracked)
            accumulator.update(frame.person_ids, tracked.track_ids, distances)
        accumulators.append(accumulator)
    table = motmetrics.metrics.create().compute_many(
        accumulators, metrics=METRICS, generate_overall=True
    )
    row = table.loc["OVERALL"].to_dict()
    return {**row, "mota": 100 * row["mota"], "idf1": 100 * row["idf1"]}


@pytest.mark.parametrize(
    ("noise", "embeddings", "stride", "mota", "idf1", "switches"),
    [
        ("clean", "none", 1, 98.5, 93, 30),
        ("clean", "strong", 1, 99, 98.5, 8),
        ("clean", "none", 3, 97, 94, 30),
        ("noisy", "none", 1, 85.5, 84.5, 100),
        ("noisy", "weak", 1, 86.5, 91, 70),
        ("noisy", "strong", 1, 87.5, 92.5, 15),
        ("noisy", "none", 3, 84, 83, 70),
        ("noisy", "strong", 3, 87.5, 92, 8),
        ("harsh", "none", 1, 57, 65, 290),
        ("harsh", "strong", 1, 62, 77, 70),
    ],
)
def test_mota_on_real_motion(videos, noise, embeddings, stride, mota, idf1, switches):
    result = score(videos, noise, embeddings, stride)
    print(
        f"\n{noise:6}{25 / stride:5.1f} fps, embeddings {embeddings:7}"
        f"MOTA {result['mota']:5.1f}  IDF1 {result['idf1']:5.1f}"
        f"  switches {result['num_switches']:3.0f}"
        f"  misses {result['num_misses']:4.0f}  false {result['num_false_positives']:4.0f}"
        f"  of {result['num_objects']:.0f} poses",
        end="",
    )
    assert result["mota"] > mota
    assert result["idf1"] > idf1
    assert result["num_switches"] < switches


def test_the_metrics_detect_wrong_ids(videos):
    """The same table for a tracker that gives new ids in every frame: it must fail the bars."""
    frames = videos[0]
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for index, (frame, poses) in enumerate(
        zip(frames, observed(frames, CLEAN, None, 0), strict=True)
    ):
        ids = 100 * index + np.arange(len(poses))
        accumulator.update(frame.person_ids, ids, oks_distances(frame, poses))
    row = motmetrics.metrics.create().compute(accumulator, metrics=METRICS).iloc[0]
    assert row["num_switches"] == row["num_objects"] - 2
    assert row["mota"] < 0.1
