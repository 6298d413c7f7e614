"""Pseudo-clips of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from figures.shards import make_shard, read_shard
from vepe.config.data import ImageClipConfig
from vepe.data.image_clips import ImageClips
from vepe.skeleton import POSETRACK15


@pytest.mark.parametrize("mosaic", [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)])
def test_pseudo_clips(tmp_path: Path, mosaic: tuple[float, float, float, float]) -> None:
    images = read_shard(make_shard(tmp_path / "a.tar"), POSETRACK15)
    settings = ImageClipConfig(mosaic=mosaic)
    clips = ImageClips(images, POSETRACK15, settings, frames=3, size_px=96, seed=4)
    clip, again = clips[3], clips[3]
    assert np.array_equal(clip.images, again.images)
    assert not np.array_equal(clip.images, clips[4].images)
    assert clip.images.shape == (3, 96, 96, 3)
    assert (np.diff(clip.time_s) > 0).all()
    for people in clip.people:
        labelled = people.visibility > 0
        assert not labelled[:, 0].any()  # the nose has no label anywhere
        assert (people.keypoints_px[labelled] >= 0).all()
        assert (people.keypoints_px[labelled] < 96).all()
        assert len(set(people.track_ids)) == len(people)
