"""Segments of a video, replayed, are the video tracked at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tiny_models import TINY, moving_frames, tiny_predictor, write_video
from vepe.errors import VepeError
from vepe.inference.pipeline import run
from vepe.inference.predictor import Predictor
from vepe.inference.replay import ReplayedPredictor, ReplayedSource
from vepe.inference.segment import Overlap, Segment, infer_segment, split
from vepe.inference.stream import InferredFrame
from vepe.inference.track_job import TrackJob
from vepe.video.reader import open_video


def scenes(counts: list[int]) -> list[np.ndarray]:
    """Shots that follow each other, each of another view and other colours."""
    frames = []
    for seed, count in enumerate(counts):
        tint = np.array([[0.2, 1, 1], [1, 0.2, 1], [1, 1, 0.2]])[seed % 3]
        frames += [(f * tint).astype(np.uint8) for f in moving_frames(count, seed=seed)]
    return frames


def inferred(
    predictor: Predictor, path: Path, segment: Segment, *, stride: int = 1, start_s: float = 0.0
) -> list[InferredFrame]:
    """One segment, read as a worker does."""
    with open_video(path) as video:
        overlap = Overlap.of(predictor, video.info.fps, stride=stride, start_s=start_s)
    begin_s = max(start_s, segment.start_s - overlap.seconds)
    with open_video(path, start_s=begin_s, stride=stride) as video:
        return list(infer_segment(predictor, video, segment, overlap))


def core(frames: list[InferredFrame], segment: Segment) -> list[InferredFrame]:
    end_s = segment.end_s or np.inf
    return [f for f in frames if f.poses.time_s < end_s]


def assert_equal(left: list[InferredFrame], right: list[InferredFrame]) -> None:
    assert [f.poses.frame_index for f in left] == [f.poses.frame_index for f in right]
    assert [f.cut for f in left] == [f.cut for f in right]
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a.poses.keypoints_px, b.poses.keypoints_px)
        np.testing.assert_array_equal(a.poses.embeddings, b.poses.embeddings)


@pytest.mark.parametrize(
    ("duration_s", "segment_s", "span", "lengths"),
    [
        (10, 10, {}, [10]),
        (14, 10, {}, [14]),
        (16, 10, {}, [8, 8]),
        (30, 10, {"start_s": 5, "end_s": 25}, [10, 10]),
        (30, 10, {"start_s": 28}, [2]),
        (100, 10, {"end_s": 20.0}, [10, 10]),
    ],
)
def test_split(duration_s, segment_s, span, lengths) -> None:
    segments = split(duration_s, segment_s, **span)
    assert [s.index for s in segments] == list(range(len(lengths)))
    assert segments[0].start_s == span.get("start_s", 0)
    assert segments[-1].end_s == span.get("end_s")
    ends = [duration_s if s.end_s is None else s.end_s for s in segments]
    assert [e - s.start_s for s, e in zip(segments, ends, strict=True)] == lengths


@pytest.mark.parametrize(
    ("interval_s", "counts", "options"),
    [
        (0.0, [60], {}),
        (0.0, [60], {"stride": 3}),
        (0.0, [25, 20, 25], {}),
        (0.1, [60], {}),  # the network keeps every third frame
        (0.1, [25, 20, 25], {}),
        (0.1, [66], {"stride": 2, "start_s": 0.3}),
    ],
)
def test_segments_are_the_whole(interval_s, counts, options, tmp_path: Path) -> None:
    temporal = TINY.temporal.model_copy(
        update={"window": 5, "lookahead": 2, "memory_interval_s": interval_s}
    )
    predictor = tiny_predictor(TINY.model_copy(update={"temporal": temporal}), conf=0.3)
    frames = scenes(counts)
    path = write_video(tmp_path / "v.mp4", frames)
    start_s = options.get("start_s", 0.0)
    (whole,) = split(len(frames) / 25, 100, start_s=start_s)
    expected = inferred(predictor, path, whole, **options)
    assert sum(f.cut for f in expected) == len(counts) - 1
    segments = split(len(frames) / 25, 0.6, start_s=start_s)
    assert len(segments) >= 4
    parts = [inferred(predictor, path, segment, **options) for segment in segments]
    joined = [f for s, part in zip(segments, parts, strict=True) for f in core(part, s)]
    assert_equal(joined, expected)
    for before, after, segment in zip(parts, parts[1:], segments, strict=False):
        seam = before[len(core(before, segment)) :]
        assert len(seam) == 3
        assert_equal(seam, after[:3])


@pytest.mark.parametrize("smooth", ["off", "causal", "offline"])
@pytest.mark.parametrize("video", [False, True])
def test_replayed_files_are_those_of_the_network(smooth, video, tmp_path: Path) -> None:
    predictor = tiny_predictor(conf=0.3, smooth=smooth)
    path = write_video(tmp_path / "v.mp4", scenes([20, 10]))
    (whole,) = split(2.0, 100)
    frames = inferred(predictor, path, whole)

    def job(name: str) -> TrackJob:
        return TrackJob(tmp_path / name, "v", video, ("posetrack", "csv"))

    with open_video(path) as source:
        run(predictor, source, job("network"), reopen=lambda: open_video(path))
        times = [(f.poses.frame_index, f.poses.time_s) for f in frames]
        blank = ReplayedSource(source.info, times, None)
    with open_video(path) if video else blank as source:
        replayed = ReplayedPredictor(predictor, frames)
        run(replayed, source, job("replayed"), reopen=lambda: open_video(path))
    assert (tmp_path / "replayed" / "v.mp4").exists() == video
    for name in ("v.json", "v.csv"):
        network, replay = (tmp_path / folder / name for folder in ("network", "replayed"))
        assert network.read_bytes() == replay.read_bytes()


def test_other_frames_are_refused(tmp_path: Path) -> None:
    predictor = tiny_predictor(conf=0.3)
    path = write_video(tmp_path / "v.mp4", scenes([6]))
    (whole,) = split(2.0, 100)
    frames = inferred(predictor, path, whole)
    with open_video(path) as source, pytest.raises(VepeError, match=r"Frame 5 is not the one"):
        run(ReplayedPredictor(predictor, frames[:5]), source, TrackJob(tmp_path / "out", "v"))
