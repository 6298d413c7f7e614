"""Clips of video: frames within the gaps, labels where the images show them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from figures.dots import max_error_px
from figures.sets import write_coco, write_posetrack18
from figures.shards import make_shard, read_shard
from vepe.config.augmentation import AugmentationConfig
from vepe.config.data import (
    CocoConfig,
    PosetrackConfig,
    VideoClipConfig,
    VideoConfig,
)
from vepe.data.clip import Clip
from vepe.data.video_clips import ClipFrames, ClipSampler, VideoClips
from vepe.errors import VepeError
from vepe.skeleton import POSETRACK15, Skeleton
from vepe.training.sources import read_images


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


def test_key_frame_is_at_any_position_and_all_labels_are_used() -> None:
    clips = draw(sampler(3, gaps(0.04, 0.04)), 600)
    positions = Counter(int(np.flatnonzero(c.rows % 4 == 0)[0]) for c in clips)
    assert set(positions) == {0, 1, 2}
    assert min(positions.values()) > 120
    keys = {int(r) for c in clips for r in c.rows if r % 4 == 0}
    assert keys == set(range(0, 80, 4))


def test_single_frames_are_labelled_frames() -> None:
    clips = draw(sampler(1, gaps()))
    assert all(len(c.rows) == 1 and c.rows[0] % 4 == 0 for c in clips)


def test_frames_may_be_repeated_and_dropped() -> None:
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


def test_single_images_make_no_clips() -> None:
    alone = np.full(5, -1)
    with pytest.raises(VepeError, match="No labelled frame"):
        ClipSampler(alone, np.zeros(5), np.ones(5, bool), gaps(), 2)
    one = ClipSampler(alone, np.zeros(5), np.ones(5, bool), gaps(), 1)
    assert {int(c.rows[0]) for c in draw(one, 60)} == set(range(5))


def test_same_generator_gives_the_same_clip() -> None:
    sampled = sampler(5, gaps(frame_drop_prob=0.2, frame_repeat_prob=0.2))
    a, b = (sampled.draw(np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(a.rows, b.rows)
    assert np.array_equal(a.times_s, b.times_s)


CALM = AugmentationConfig(colour=0, flicker=0, grey=0, blur=0, noise=0, occluders=0)


TOOL = Skeleton(
    "tool", ("tip", "hinge", "left_grip", "right_grip"), ((0, 1),), ((2, 3),), (0.05,) * 4
)


def clips_of(
    config, root: Path, skeleton: Skeleton = POSETRACK15, *, frames: int = 3, **options
) -> VideoClips:
    settings = VideoClipConfig(augmentation=CALM, **{"person_scale": (0.6, 1.0), **options})
    images = read_images(config, root, skeleton)
    return VideoClips(images, skeleton, settings, frames=frames, size_px=256)


def compare_with_dots(clip: Clip) -> int:
    """Checks that labelled keypoints are where their dots are; returns how many were compared."""
    error, count = max_error_px(clip, margin=12)
    assert error < 1.5
    return count


@pytest.mark.parametrize("frames", [1, 3])
def test_posetrack_labels_match_the_images(tmp_path: Path, frames: int) -> None:
    write_posetrack18(tmp_path)
    clips = clips_of(PosetrackConfig(), tmp_path, frames=frames, motion=0.5)
    count = 0
    for i in range(4):
        clip = clips[i]
        assert clip.images.shape == (frames, 256, 256, 3)
        assert clip.key_indices == tuple(range(frames))
        count += compare_with_dots(clip)
        for people in clip.people:
            assert set(people.track_ids.tolist()) <= {4, 5}
            assert not people.visibility[people.track_ids == 4, 0].any()
    assert count > 60 * frames


def test_unlabelled_frames_are_context_and_labelled_neighbours_are_keys(tmp_path: Path) -> None:
    write_posetrack18(tmp_path, labelled={0, 3, 4, 8})
    clips = clips_of(PosetrackConfig(), tmp_path, frames=3, max_gap_s=0.04)
    kinds = set()
    for i in range(30):
        clip = clips[i]
        first = int(clip.name[-10:-4]) - clip.key_indices[0]
        labelled = {first + t for t in range(3)} & {0, 3, 4, 8}
        assert {first + t for t in clip.key_indices} == labelled
        for t, people in enumerate(clip.people):
            assert t in clip.key_indices or not len(people)
        kinds.add(clip.key_indices)
    assert {(0,), (1, 2), (0, 1), (2,)} <= kinds
    assert any(len(clip.people[clip.key_indices[0]]) == 2 for clip in (clips[i] for i in range(5)))


def test_video_with_track_ids_and_another_skeleton(tmp_path: Path) -> None:
    write_coco(tmp_path, skeleton=TOOL, images=6, video=True)
    config = VideoConfig(annotations=("labels.json",))
    clips = clips_of(config, tmp_path, TOOL, frames=3, max_gap_s=0.2)
    count = 0
    for i in range(6):
        clip = clips[i]
        count += compare_with_dots(clip)
        for people in clip.people:
            assert set(people.track_ids.tolist()) <= {7, 8}
    assert count > 30


def test_real_posetrack_and_coco(shared_dir: Path) -> None:
    dev = shared_dir / "data/dev"
    config = PosetrackConfig(root="posetrack18", split="val",
                             annotations=("annotations/val/*.json",))  # fmt: skip
    clips = clips_of(config, dev, frames=1, person_scale=(0.3, 0.5))
    assert max(len(clips[i].people[0]) for i in range(8)) >= 7
    assert any(len(clips[i].people[0].ignore_boxes_xyxy_px) for i in range(8))
    tracks = PosetrackConfig(annotations=("tracks/*.json",))
    images = read_images(tracks, dev, POSETRACK15)
    assert int(images.people_counts().sum()) == 6340
    assert len(np.unique(images.videos())) == 30
    assert not images[0].people.visibility[:, 0].any()  # no nose in this set
    coco = read_images(CocoConfig(root="coco", annotations=("*.json",)), dev, POSETRACK15)
    assert len(coco.drop_missing(strict=True, title="coco")) > 20


def test_video_clips_keep_times_and_track_ids(tmp_path: Path) -> None:
    images = read_shard(make_shard(tmp_path / "a.tar", count=8, video=True), POSETRACK15)
    clips = VideoClips(
        images, POSETRACK15, VideoClipConfig(max_gap_s=0.2), frames=3, size_px=96, seed=1
    )
    for i in range(5):
        clip = clips[i]
        gaps = np.diff(clip.time_s)
        assert clip.time_s[0] == 0
        assert ((gaps > 0.07) & (gaps < 0.21)).all()
        assert {int(t) for p in clip.people for t in p.track_ids} <= {3}
    with pytest.raises(VepeError, match="9 frames"):
        VideoClips(images, POSETRACK15, VideoClipConfig(), frames=9, size_px=96)
