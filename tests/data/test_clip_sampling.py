"""Clips around labelled frames: gaps keep their bounds, key frames stand anywhere."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vepe.config.data import VideoClipConfig
from vepe.data.video_clips import ClipFrames, ClipSampler
from vepe.errors import VepeError


def gaps(low: float = 0.0, high: float = 0.4, **options: float) -> VideoClipConfig:
    return VideoClipConfig(min_gap_s=low, max_gap_s=high, **options)


def sampler(
    num_frames: int, settings: VideoClipConfig, *, videos: int = 2, frames: int = 40,
    every: int = 4, fps: float = 25.0,
) -> ClipSampler:  # fmt: skip
    """Videos of which every fourth frame is labelled; frame f of video v is row v * frames + f."""
    ids = np.repeat(np.arange(videos), frames)
    times = np.tile(np.arange(frames) / fps, videos)
    return ClipSampler(ids, times, np.tile(np.arange(frames) % every == 0, videos), settings,
                       num_frames)  # fmt: skip


def draw(sampled: ClipSampler, count: int = 300) -> list[ClipFrames]:
    rng = np.random.default_rng(0)
    return [sampled.draw(rng) for _ in range(count)]


@pytest.mark.parametrize(
    ("num_frames", "settings"),
    [
        (3, gaps(0.0, 0.4)),
        (5, gaps(0.08, 0.2, frame_drop_prob=0.3)),
        (2, gaps(0.12, 0.12)),
        (4, gaps(0.0, 0.05)),
    ],
)
def test_gaps_are_within_bounds_and_videos_do_not_mix(
    num_frames: int, settings: VideoClipConfig
) -> None:
    drawn = []
    for clip in draw(sampler(num_frames, settings)):
        assert len(set(clip.rows // 40)) == 1
        assert (clip.rows % 4 == 0).any()  # a labelled frame is in it
        assert clip.times_s[0] == 0
        assert np.allclose(clip.times_s, (clip.rows - clip.rows[0]) / 25)
        drawn += np.diff(clip.times_s).tolist()
    assert min(drawn) >= max(settings.min_gap_s, 0.04) - 1e-6
    assert max(drawn) <= settings.max_gap_s + 1e-6
    if settings.max_gap_s > settings.min_gap_s + 0.05:
        assert len({round(g, 2) for g in drawn}) > 2  # slow and fast clips


def test_the_key_frame_stands_anywhere_and_every_label_is_used() -> None:
    clips = draw(sampler(3, gaps(0.04, 0.04)), 600)
    places = Counter(int(np.flatnonzero(c.rows % 4 == 0)[0]) for c in clips)
    assert set(places) == {0, 1, 2}
    assert min(places.values()) > 120
    keys = {int(r) for c in clips for r in c.rows if r % 4 == 0}
    assert keys == set(range(0, 80, 4))


def test_single_frames_are_labelled_frames() -> None:
    clips = draw(sampler(1, gaps()))
    assert all(len(c.rows) == 1 and c.rows[0] % 4 == 0 for c in clips)


def test_a_camera_may_repeat_and_lose_pictures() -> None:
    often = draw(sampler(4, gaps(0.04, 0.3, frame_repeat_prob=0.5)))
    shown = [np.diff(c.rows) for c in often]
    assert any((step == 0).any() for step in shown)
    assert all((c.rows % 4 == 0).any() for c in often)  # a labelled frame is never lost
    assert all((np.diff(c.times_s) > 0).all() for c in often)  # time goes on all the same
    plain, lossy = (
        np.array([np.diff(c.times_s) for c in draw(sampler(4, gaps(frame_drop_prob=p)))])
        for p in (0.0, 0.5)
    )
    assert lossy.std(axis=1).mean() > 2 * plain.std(axis=1).mean()


def test_clips_fit_between_holes_of_a_video() -> None:
    times = np.array([0.0, 0.04, 0.08, 5.0, 5.04, 9.0])
    labelled = np.ones(6, bool)
    sampled = ClipSampler(np.zeros(6, int), times, labelled, gaps(0.0, 0.1), 3)
    assert {tuple(c.rows) for c in draw(sampled, 50)} == {(0, 1, 2)}
    pairs = ClipSampler(np.zeros(6, int), times, labelled, gaps(0.0, 0.1), 2)
    assert {tuple(c.rows) for c in draw(pairs, 99)} == {(0, 1), (1, 2), (0, 2), (3, 4)}
    with pytest.raises(VepeError, match=r"a clip of 4 frames at gaps of 0 to 0\.1 s"):
        ClipSampler(np.zeros(6, int), times, labelled, gaps(0.0, 0.1), 4)


def test_pictures_on_their_own_make_no_clips() -> None:
    alone = np.full(5, -1)
    with pytest.raises(VepeError, match="No labelled frame"):
        ClipSampler(alone, np.zeros(5), np.ones(5, bool), gaps(), 2)
    one = ClipSampler(alone, np.zeros(5), np.ones(5, bool), gaps(), 1)
    assert {int(c.rows[0]) for c in draw(one, 60)} == set(range(5))


def test_the_same_generator_gives_the_same_clip() -> None:
    sampled = sampler(5, gaps(frame_drop_prob=0.2, frame_repeat_prob=0.2))
    a, b = (sampled.draw(np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(a.rows, b.rows)
    assert np.array_equal(a.times_s, b.times_s)
