"""The tracker on real annotated motion: ground-truth poses with seeded noise in, ids out.

`pytest -s` prints the table that the defaults of `TrackerSettings` were chosen by. Only what has an
id counts as reported, so missed and invented people are scored with the switches. The noise is
another draw than the one of the sweeps; the bars lie a little under what was measured. With right
ids for every person reported at all, MOTA would be 100 (clean), 92 (noisy) and 79 (harsh).
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
    """CLEAR MOT and IDF1 over all videos, percent where a share."""
    tracker, books = Tracker(), []
    for number, video in enumerate(videos):
        frames = video[::stride]
        book = motmetrics.MOTAccumulator(auto_id=True)
        state = tracker.start()
        for frame, poses in zip(
            frames,
            observed(frames, NOISES[noise], EMBEDDINGS[embeddings], 1000 + number),
            strict=True,
        ):
            state, out = tracker.step(state, poses)
            tracked = out.select(out.track_ids >= 0)
            book.update(frame.person_ids, tracked.track_ids, oks_distances(frame, tracked))
        books.append(book)
    table = motmetrics.metrics.create().compute_many(books, metrics=METRICS, generate_overall=True)
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
    got = score(videos, noise, embeddings, stride)
    print(
        f"\n{noise:6}{25 / stride:5.1f} fps, embeddings {embeddings:7}"
        f"MOTA {got['mota']:5.1f}  IDF1 {got['idf1']:5.1f}  switches {got['num_switches']:3.0f}"
        f"  misses {got['num_misses']:4.0f}  false {got['num_false_positives']:4.0f}"
        f"  of {got['num_objects']:.0f} poses",
        end="",
    )
    assert got["mota"] > mota
    assert got["idf1"] > idf1
    assert got["num_switches"] < switches


def test_the_measure_sees_wrong_ids(videos):
    """The same table for a tracker that gives new ids in every frame: the bars must fail it."""
    frames = videos[0]
    book = motmetrics.MOTAccumulator(auto_id=True)
    for index, (frame, poses) in enumerate(
        zip(frames, observed(frames, CLEAN, None, 0), strict=True)
    ):
        ids = 100 * index + np.arange(len(poses))
        book.update(frame.person_ids, ids, oks_distances(frame, poses))
    row = motmetrics.metrics.create().compute(book, metrics=METRICS).iloc[0]
    assert row["num_switches"] == row["num_objects"] - 2
    assert row["mota"] < 0.1
