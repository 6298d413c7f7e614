"""Sources of a stage: keypoints of other data sets, damaged images, fingerprints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from figures.dots import max_error_px
from figures.sets import write_coco, write_posetrack18
from vepe.config.augmentation import AugmentationConfig
from vepe.config.data import CocoConfig, PosetrackConfig, StillsConfig
from vepe.config.training import StageConfig
from vepe.data.clip import Clip
from vepe.errors import VepeError, VepeWarning
from vepe.skeleton import COCO17, CROWDPOSE14, POSETRACK15, Skeleton
from vepe.training.sources import build_source, fingerprint

CALM = AugmentationConfig(colour=0, flicker=0, grey=0, blur=0, noise=0, occluders=0)


def compare_with_dots(clip: Clip) -> int:
    """Checks that labelled keypoints are where their dots are; returns how many were compared."""
    error, count = max_error_px(clip, margin=12)
    assert error < 1.5
    return count


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14], ids=lambda s: s.name)
def test_labels_of_other_skeletons_match_the_images(tmp_path: Path, skeleton: Skeleton) -> None:
    write_coco(tmp_path, skeleton=skeleton)
    config = CocoConfig(annotations=("labels.json",), mosaic=(1, 0, 0, 0), person_scale=(0.6, 1.0),
                        augmentation=CALM.model_copy(update={"copy_paste": 0.0}))  # fmt: skip
    stage = StageConfig(name="s", steps=1, frames=1, size_px=256, data=(config,))
    clips = build_source(config, stage, tmp_path, POSETRACK15, 0)
    lacking = [k for k, n in enumerate(POSETRACK15.keypoints) if n not in skeleton.keypoints]
    if skeleton is CROWDPOSE14:
        lacking = [POSETRACK15.index("nose")]
    count = 0
    for i in range(4):
        clip = clips[i]
        count += compare_with_dots(clip)
        assert not clip.people[0].visibility[:, lacking].any()
        assert "000000000003" not in clip.name  # it has no people
    assert count > 40


def test_missing_and_damaged_images(tmp_path: Path) -> None:
    write_posetrack18(tmp_path, frames=8)
    folder = tmp_path / "images/train/000001_bonn_train"
    config = PosetrackConfig()
    stage = StageConfig(name="s", steps=1, frames=1, size_px=96, data=(config,))
    original = fingerprint(stage, tmp_path, POSETRACK15)
    (folder / "000002.jpg").unlink()
    damaged = folder / "000005.jpg"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    with pytest.warns(VepeWarning, match=r"1 of 8 images are missing .*000002.jpg.* skipped"):
        source = build_source(config, stage, tmp_path, POSETRACK15, 3)
    with pytest.warns(VepeWarning, match=r"000005.jpg' in .* is damaged") as warned:
        clips = [source[i] for i in range(40)]
    assert len(warned) == 1
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
    assert fingerprint(stage, tmp_path, POSETRACK15) == original  # pixels do not matter


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


@pytest.mark.parametrize("frames", [1, 3])
def test_skeleton_without_edges_gives_clips(tmp_path: Path, frames: int) -> None:
    bare = replace(COCO17, name="bare", edges=())
    write_coco(tmp_path, skeleton=bare)
    every = AugmentationConfig(copy_paste=1, occluders=1)
    config = CocoConfig(annotations=("labels.json",), augmentation=every)
    stage = StageConfig(name="s", steps=1, frames=frames, size_px=96, data=(config,))
    clips = build_source(config, stage, tmp_path, bare, 0)
    assert any(len(clips[i].people[0]) for i in range(8))


def test_old_names_of_options_are_accepted_with_a_warning() -> None:
    source = {"kind": "stills", "shards": ["a.tar"], "share": 2, "layouts": [1, 0, 0, 0]}
    source |= {"sizes": [0.2, 0.3], "augmentation": {"moving": 0.5, "body_motion": 1, "flip": 0}}
    with pytest.warns(VepeWarning, match="'share' is now called 'weight'"):
        config = StillsConfig.model_validate(source)
    assert config.weight == 2
    assert config.mosaic == (1, 0, 0, 0)
    assert config.person_scale == (0.2, 0.3)
    assert config.augmentation == AugmentationConfig(flip=0)
    old = {"kind": "posetrack", "dropped": 0.1, "repeated": 0.2, "sizes": [0.1, 1]}
    with pytest.warns(VepeWarning, match="'dropped' is now called 'frame_drop_prob'"):
        video = PosetrackConfig.model_validate(old)
    assert (video.frame_drop_prob, video.frame_repeat_prob) == (0.1, 0.2)
