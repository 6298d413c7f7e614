"""`vepe benchmark`'s measurement: what is counted, stages, made-up people, ratios."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tiny_models import write_video
from vepe.inference import timing
from vepe.inference.timing import STAGES, Setup, Timing, benchmark, crowd, read_frames
from vepe.tracking.tracker import Tracker
from vepe.types import Frame


def as_frames(images: list[np.ndarray]) -> list[Frame]:
    return [Frame(index, index / 25, image) for index, image in enumerate(images)]


def test_all_setups_run_on_all_frames_but_the_first(tiny_weights: Path, frames) -> None:
    ticks = []
    setups = [
        Setup(str(tiny_weights)),
        Setup(str(tiny_weights), window=1, imgsz=96, people=7, batch=2),
    ]
    timings = benchmark(
        setups, as_frames(frames[:5]), repeats=2, warm_up=4, on_frame=lambda: ticks.append(1)
    )
    assert len(ticks) == 10
    first, second = (timing.to_dict() for timing in timings)
    assert [len(timing.frames_ms) for timing in timings] == [6, 6]
    assert (first["backend"], first["window"], first["people"]) == ("torch", 3, None)
    assert (second["window"], second["people"], second["batch"]) == (1, 7, 2)
    assert first["precision"] == "fp32"
    assert first["input"] == [64, 64]
    assert second["input"] == [96, 64]
    for values in (first, second):
        assert tuple(values["stages_ms"]) == STAGES
        assert 0 < values["stages_ms"]["network"] < values["median_ms"] <= values["p95_ms"]


def test_made_up_people_are_followed(monkeypatch, tiny_weights: Path, frames) -> None:
    seen = []
    step = Tracker.step

    def record(self, state, poses):
        result = step(self, state, poses)
        seen.append(result[1].track_ids.tolist())
        return result

    monkeypatch.setattr(Tracker, "step", record)
    benchmark([Setup(str(tiny_weights), people=9)], as_frames(frames[:6]), warm_up=0)
    assert sorted(seen[-1]) == list(range(min(seen[-1]), min(seen[-1]) + 9))
    assert seen[-1] == seen[-2]


def test_a_crowd_differs_in_place_and_moves() -> None:
    now, later = crowd(50, 0.0), crowd(50, 0.2)
    assert now.keypoints_px.shape == (50, 15, 2)
    assert 0 < np.abs(now.keypoints_px - later.keypoints_px).max() < 10
    assert len(np.unique(now.keypoints_px[:, 0], axis=0)) == 50


@pytest.mark.parametrize(("times", "expected"), [([2.0, 4.0, 9.0], 2.0), ([1.0, 2.0, 3.0], 1.0)])
def test_the_ratio_is_the_median_over_frames(times: list[float], expected: float) -> None:
    base = Timing(Setup("a"), "fp32", (64, 64), [1.0, 2.0, 3.0], {})
    assert Timing(Setup("b"), "fp32", (64, 64), times, {}).ratio(base) == expected


def test_reading_stops_at_the_limit(tmp_path: Path, frames) -> None:
    path = write_video(tmp_path / "clip.mp4", frames)
    frames, spent = read_frames(str(path), 4)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert len(spent) == 4
    assert set(timing.time_output(frames)) == {"draw", "encode"}
