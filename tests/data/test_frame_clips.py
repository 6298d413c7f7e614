"""Clips of labelled video: labels lie where the picture shows them, and nothing is invented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from figures.dots import dot_near
from figures.sets import write_coco, write_posetrack18
from vepe.config.augmentation import AugmentationConfig
from vepe.config.data import CocoConfig, PosetrackConfig, VideoClipConfig, VideoConfig
from vepe.config.training import StageConfig
from vepe.data.clip import Clip
from vepe.data.video_clips import VideoClips
from vepe.errors import VepeError, VepeWarning
from vepe.skeleton import COCO17, CROWDPOSE14, POSETRACK15, Skeleton
from vepe.training.sources import build_source, fingerprint, read_images

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


def check_dots(clip: Clip) -> int:
    """Every labelled keypoint well inside lies on its dot; returns how many were looked at."""
    seen = 0
    for t, people in enumerate(clip.people):
        for points, visibility in zip(people.keypoints_px, people.visibility, strict=True):
            inside = ((points > 12) & (points < 244)).all(axis=1) & (visibility > 0)
            for point in points[inside]:
                found = dot_near(clip.images[t], point, 5)
                assert np.abs(found - point).max() < 1.5
                seen += 1
    return seen


@pytest.mark.parametrize("frames", [1, 3])
def test_posetrack_labels_lie_on_what_the_picture_shows(tmp_path: Path, frames: int) -> None:
    write_posetrack18(tmp_path)
    clips = clips_of(PosetrackConfig(), tmp_path, frames=frames, motion=0.5)
    seen = 0
    for i in range(4):
        clip = clips[i]
        assert clip.images.shape == (frames, 256, 256, 3)
        assert clip.key_indices == tuple(range(frames))
        seen += check_dots(clip)
        for people in clip.people:
            assert set(people.track_ids.tolist()) <= {4, 5}
            assert not people.visibility[people.track_ids == 4, 0].any()
    assert seen > 60 * frames


def test_unlabelled_frames_are_context_and_labelled_neighbours_count(tmp_path: Path) -> None:
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


def test_a_skeleton_of_ones_own_in_video_with_ids(tmp_path: Path) -> None:
    write_coco(tmp_path, skeleton=TOOL, images=6, video=True)
    config = VideoConfig(annotations=("labels.json",))
    clips = clips_of(config, tmp_path, TOOL, frames=3, max_gap_s=0.2)
    seen = 0
    for i in range(6):
        clip = clips[i]
        seen += check_dots(clip)
        for people in clip.people:
            assert set(people.track_ids.tolist()) <= {7, 8}
    assert seen > 30


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14], ids=lambda s: s.name)
def test_stills_of_other_skeletons_lie_on_their_dots(tmp_path: Path, skeleton: Skeleton) -> None:
    write_coco(tmp_path, skeleton=skeleton)
    config = CocoConfig(annotations=("labels.json",), mosaic=(1, 0, 0, 0), person_scale=(0.6, 1.0),
                        augmentation=CALM.model_copy(update={"copy_paste": 0.0}))  # fmt: skip
    stage = StageConfig(name="s", steps=1, frames=1, size_px=256, data=(config,))
    clips = build_source(config, stage, tmp_path, POSETRACK15, 0)
    lacking = [k for k, n in enumerate(POSETRACK15.keypoints) if n not in skeleton.keypoints]
    if skeleton is CROWDPOSE14:
        lacking = [POSETRACK15.index("nose")]
    seen = 0
    for i in range(4):
        clip = clips[i]
        seen += check_dots(clip)
        assert not clip.people[0].visibility[:, lacking].any()
        assert "000000000003" not in clip.name  # nobody is in it
    assert seen > 40


def test_missing_and_damaged_pictures(tmp_path: Path) -> None:
    write_posetrack18(tmp_path, frames=8)
    folder = tmp_path / "images/train/000001_bonn_train"
    config = PosetrackConfig()
    stage = StageConfig(name="s", steps=1, frames=1, size_px=96, data=(config,))
    whole = fingerprint(stage, tmp_path, POSETRACK15)
    (folder / "000002.jpg").unlink()
    damaged = folder / "000005.jpg"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    with pytest.warns(VepeWarning, match=r"1 of 8 images are missing .*000002.jpg.* skipped"):
        source = build_source(config, stage, tmp_path, POSETRACK15, 3)
    with pytest.warns(VepeWarning, match=r"000005.jpg' in .* is damaged") as told:
        clips = [source[i] for i in range(40)]
    assert len(told) == 1
    replaced = [i for i, clip in enumerate(clips) if clip.unreadable]
    assert replaced
    assert not any("000005" in c.name or "000002" in c.name for c in clips)
    for i in replaced[:3]:
        after = next(c for c in clips[i + 1 :] if not c.unreadable)
        assert clips[i].name == after.name
        assert np.array_equal(clips[i].images, after.images)
    strict = PosetrackConfig(strict=True)
    with pytest.raises(VepeError, match="1 of 8 images are missing"):
        build_source(strict, stage, tmp_path, POSETRACK15, 3)
    (folder / "000002.jpg").write_bytes((folder / "000001.jpg").read_bytes())
    ends = build_source(strict, stage, tmp_path, POSETRACK15, 3)
    with pytest.raises(VepeError, match="is damaged"):
        [ends[i] for i in range(40)]
    assert fingerprint(stage, tmp_path, POSETRACK15) == whole  # of the labels, not of the pixels


def test_fingerprints_follow_labels_and_settings(tmp_path: Path) -> None:
    write_posetrack18(tmp_path / "a", frames=2)
    write_posetrack18(tmp_path / "b", frames=2)
    write_posetrack18(tmp_path / "c", frames=2, labelled={1})

    def of(root: str, **options) -> str:
        config = PosetrackConfig(**options)
        stage = StageConfig(name="s", steps=1, data=(config,))
        return fingerprint(stage, tmp_path / root, POSETRACK15)

    assert of("a") == of("b")
    assert len({of("a"), of("c"), of("a", max_gap_s=0.3)}) == 3


def test_real_posetrack_and_coco(shared_dir: Path) -> None:
    dev = shared_dir / "data/dev"
    config = PosetrackConfig(root="posetrack18", split="val",
                             annotations=("annotations/val/*.json",))  # fmt: skip
    clips = clips_of(config, dev, frames=1, person_scale=(0.3, 0.5))
    assert max(len(clips[i].people[0]) for i in range(8)) >= 7
    assert any(len(clips[i].people[0].ignore_boxes_xyxy_px) for i in range(8))
    tracks = PosetrackConfig(annotations=("tracks/*.json",))
    pictures = read_images(tracks, dev, POSETRACK15)
    assert int(pictures.people_counts().sum()) == 6340
    assert len(np.unique(pictures.videos())) == 30
    assert not pictures[0].people.visibility[:, 0].any()  # no nose in this set
    coco = read_images(CocoConfig(root="coco", annotations=("*.json",)), dev, POSETRACK15)
    assert len(coco.drop_missing(strict=True, title="coco")) > 20
