"""Batches are padded and time-first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from figures.shards import make_shard, read_shard
from vepe.config.data import ImageClipConfig
from vepe.data.batch import collate
from vepe.data.image_clips import ImageClips
from vepe.skeleton import POSETRACK15


def test_batches_are_time_first(tmp_path: Path) -> None:
    images = read_shard(make_shard(tmp_path / "a.tar"), POSETRACK15)
    clips = ImageClips(images, POSETRACK15, ImageClipConfig(), frames=2, size_px=96, seed=4)
    chosen = [clips[1], clips[2], clips[5]]
    batch = collate(chosen)
    assert batch.images.shape == (6, 96, 96, 3)
    for t in range(2):
        for b, clip in enumerate(chosen):
            row = batch.rows(t).start + b
            assert np.array_equal(batch.images[row].numpy(), clip.images[t])
            n = len(clip.people[t])
            assert batch.targets.valid[row].sum() == n
            keypoints = batch.targets.keypoints_px[row, :n].numpy()
            assert np.array_equal(keypoints, clip.people[t].keypoints_px)
    known = batch.targets.track_ids[batch.rows(0)]
    owners = [set(row[row >= 0].tolist()) for row in known]
    assert not owners[0] & owners[1]
    pixels = batch.pixels(torch.device("cpu"))
    assert pixels.shape == (6, 3, 96, 96)
    assert pixels.max() <= 1
