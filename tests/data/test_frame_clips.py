"""Clips of labelled video: labels lie where the picture shows them, and nothing is invented."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dotted_sets import dot_near, write_posetrack18

from vepe.config.augmentation import AugmentationConfig
from vepe.config.data import PosetrackConfig
from vepe.data.clip import Clip
from vepe.data.frame_clips import FrameClips, FrameClipSettings
from vepe.skeleton import POSETRACK15, Skeleton
from vepe.training.sources import read_pictures

CALM = AugmentationConfig(colour=0, flicker=0, grey=0, blur=0, noise=0, occluders=0)
TOOL = Skeleton(
    "tool", ("tip", "hinge", "left_grip", "right_grip"), ((0, 1),), ((2, 3),), (0.05,) * 4
)


def clips_of(config, root: Path, skeleton: Skeleton = POSETRACK15, **options) -> FrameClips:
    settings = FrameClipSettings(
        **{"size_px": 256, "augmentation": CALM, "sizes": (0.6, 1.0), **options}
    )
    return FrameClips(read_pictures(config, root, skeleton), skeleton, settings, length=100)


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
