"""Offline smoothing of a stream equals that of the whole video, wherever the chunks end."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.config.tracking import SmoothingSettings
from vepe.tracking.smoothing_offline import OfflineSmoother, smooth_offline
from vepe.types import FramePoses


def walkers(seconds: float, fps: float, rng: np.random.Generator) -> list[FramePoses]:
    """People that come and go, with gaps short and long, jumps and noise."""
    frames = []
    for t in range(int(seconds * fps)):
        time_s = t / fps
        people = [
            i
            for i in range(5)
            if rng.random() > 0.15 and (time_s + 1.7 * i) % 5 > 0.3 * i and time_s > 0.9 * i
        ]
        place = np.array([[100 * i + 8 * time_s + 300 * (time_s > 7), 60 + 5 * i] for i in people])
        shape = np.linspace(0, 80, 15)[:, None] * [0.3, 1.0]
        noise = rng.normal(0, 3, (len(people), 15, 2))
        points = place.reshape(-1, 1, 2) + shape + noise
        scores = np.sort(rng.random(len(people)))[::-1]
        frames.append(
            FramePoses(
                frame_index=t,
                time_s=time_s,
                keypoints_px=points.astype(np.float32),
                keypoint_scores=rng.random((len(people), 15)).astype(np.float32),
                scores=scores.astype(np.float32),
                track_ids=np.array(people, np.int64) + 1,
            )
        )
    return frames


@pytest.mark.parametrize("fps", [7.0, 25.0])
@pytest.mark.parametrize("chunk_s", [0.3, 1.0, 4.0, 100.0])
def test_streamed_smoothing_equals_the_whole(fps: float, chunk_s: float, rng) -> None:
    settings = SmoothingSettings()
    frames = walkers(14, fps, rng)
    whole = smooth_offline(frames, settings)
    assert sum(len(f) for f in whole) > sum(len(f) for f in frames)  # gaps were filled
    smoother = OfflineSmoother(settings, chunk_s)
    streamed = [poses for frame in frames for poses in smoother.push(frame)]
    buffered = len(frames) - len(streamed)
    streamed += smoother.finish()
    assert [p.frame_index for p in streamed] == list(range(len(frames)))
    assert buffered <= (chunk_s + smoother.margin_s) * fps + 2
    for a, b in zip(streamed, whole, strict=True):
        np.testing.assert_array_equal(a.track_ids, b.track_ids)
        np.testing.assert_allclose(a.keypoints_px, b.keypoints_px, atol=1e-4)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)


def test_no_frames_and_one_frame(rng) -> None:
    assert OfflineSmoother().finish() == []
    smoother = OfflineSmoother()
    (frame,) = walkers(0.05, 25, rng)
    assert smoother.push(frame) == []
    assert len(smoother.finish()) == 1
