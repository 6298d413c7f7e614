"""Shards, pseudo-clips, real clips, mixtures and batches, on shards made here."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vepe.config.data import ImageClipConfig, VideoClipConfig
from vepe.data.batch import collate
from vepe.data.image_clips import ImageClips
from vepe.data.images import ImageIndex, LabelPolicy
from vepe.data.sampling import ResumableBatchSampler, WeightedMixture
from vepe.data.shards import index_shard
from vepe.data.video_clips import VideoClips
from vepe.errors import VepeError
from vepe.skeleton import COCO17, POSETRACK15, Skeleton


def make_shard(path: Path, pictures: int = 4, video: bool = False) -> Path:
    """Pictures with one labelled person (nose unlabelled) and one unsure one."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    with tarfile.open(path, "w") as tar:

        def add(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        for i in range(pictures):
            picture = rng.integers(0, 255, (120, 100, 3)).astype(np.uint8)
            add(f"images/{i}.png", cv2.imencode(".png", picture)[1].tobytes())
            record = {"id": i + 1, "file_name": f"{i}.png", "width": 100, "height": 120}
            record |= {"complete": i % 2 == 0}
            if video:
                record |= {"video_id": 7, "time_s": i * 0.08}
            images.append(record)
            points = np.concatenate([rng.uniform(20, 80, (15, 2)), np.full((15, 1), 2)], axis=1)
            points[0] = 0
            person = {"id": 2 * i, "image_id": i + 1, "iscrowd": 0, "num_keypoints": 14}
            person |= {"keypoints": points.ravel().tolist(), "bbox": [15, 15, 70, 70]}
            person |= {"area": 2500.0, "track_id": 3}
            unsure = {"id": 2 * i + 1, "image_id": i + 1, "iscrowd": 1, "num_keypoints": 0}
            unsure |= {"keypoints": [0] * 45, "bbox": [80, 90, 15, 20], "area": 300.0}
            annotations += [person, unsure]
        category = {"id": 1, "name": "person", "keypoints": list(POSETRACK15.keypoints)}
        labels = {"images": images, "annotations": annotations, "categories": [category]}
        add("labels.json", json.dumps(labels).encode())
    return path


def read_shard(path: Path, skeleton: Skeleton, policy: LabelPolicy | None = None) -> ImageIndex:
    return ImageIndex([index_shard(path)], skeleton, policy)


def test_labels_arrive_in_the_wanted_skeleton(tmp_path: Path) -> None:
    path = make_shard(tmp_path / "a.tar")
    own = read_shard(path, POSETRACK15, LabelPolicy(incomplete=0.25))
    other = read_shard(path, COCO17)
    assert [s.background_weight for s in own] == [1.0, 0.25, 1.0, 0.25]
    assert own[0].image().shape == (120, 100, 3)
    people = own[0].people
    assert people.visibility[0, 0] == 0
    assert len(people.ignore_boxes_xyxy_px) == 1
    wrist = "left_wrist"
    a = people.keypoints_px[0, POSETRACK15.index(wrist)]
    b = other[0].people.keypoints_px[0, COCO17.index(wrist)]
    assert np.array_equal(a, b)
    assert other[0].people.visibility[0, COCO17.index("left_ear")] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no shard"), (b"", "cannot be read"), (b"not a tar at all" * 100, "cannot be read")],
)
def test_broken_shards_are_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VepeError, match=message):
        read_shard(path, POSETRACK15)


@pytest.mark.parametrize("mosaic", [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)])
def test_pseudo_clips(tmp_path: Path, mosaic: tuple[float, float, float, float]) -> None:
    stills = read_shard(make_shard(tmp_path / "a.tar"), POSETRACK15)
    settings = ImageClipConfig(mosaic=mosaic)
    clips = ImageClips(stills, POSETRACK15, settings, frames=3, size_px=96, seed=4)
    clip, again = clips[3], clips[3]
    assert np.array_equal(clip.images, again.images)
    assert not np.array_equal(clip.images, clips[4].images)
    assert clip.images.shape == (3, 96, 96, 3)
    assert (np.diff(clip.time_s) > 0).all()
    for people in clip.people:
        seen = people.visibility > 0
        assert not seen[:, 0].any()  # the nose has no label anywhere
        assert (people.keypoints_px[seen] >= 0).all()
        assert (people.keypoints_px[seen] < 96).all()
        assert len(set(people.track_ids)) == len(people)


def test_real_clips_keep_times_and_identities(tmp_path: Path) -> None:
    stills = read_shard(make_shard(tmp_path / "a.tar", pictures=8, video=True), POSETRACK15)
    clips = VideoClips(
        stills, POSETRACK15, VideoClipConfig(max_gap_s=0.2), frames=3, size_px=96, seed=1
    )
    for i in range(5):
        clip = clips[i]
        gaps = np.diff(clip.time_s)
        assert clip.time_s[0] == 0
        assert ((gaps > 0.07) & (gaps < 0.21)).all()
        assert {int(t) for p in clip.people for t in p.track_ids} <= {3}
    with pytest.raises(VepeError, match="9 frames"):
        VideoClips(stills, POSETRACK15, VideoClipConfig(), frames=9, size_px=96)


def test_mixtures_keep_their_shares_and_repeat() -> None:
    class Source:
        def __init__(self, name: int) -> None:
            self.name = name

        def __getitem__(self, index: int) -> int:
            return self.name

    mixture = WeightedMixture([Source(0), Source(1)], [3, 1], seed=2)  # type: ignore[list-item]
    drawn = [mixture[i] for i in range(2000)]
    assert drawn == [mixture[i] for i in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.03)


def test_orders_of_processes_share_the_samples_of_one() -> None:
    one = list(ResumableBatchSampler(batch=4, start_step=0, steps=6))
    two = [
        list(ResumableBatchSampler(batch=2, start_step=0, steps=6, rank=r, processes=2))
        for r in (0, 1)
    ]
    assert [sorted(a + b) for a, b in zip(*two, strict=True)] == one
    assert list(ResumableBatchSampler(batch=4, start_step=4, steps=6)) == one[4:]


def test_batches_stand_time_first(tmp_path: Path) -> None:
    stills = read_shard(make_shard(tmp_path / "a.tar"), POSETRACK15)
    clips = ImageClips(stills, POSETRACK15, ImageClipConfig(), frames=2, size_px=96, seed=4)
    chosen = [clips[1], clips[2], clips[5]]
    batch = collate(chosen)
    assert batch.images.shape == (6, 96, 96, 3)
    for t in range(2):
        for b, clip in enumerate(chosen):
            row = batch.rows(t).start + b
            assert np.array_equal(batch.images[row].numpy(), clip.images[t])
            n = len(clip.people[t])
            assert batch.targets.valid[row].sum() == n
            found = batch.targets.keypoints_px[row, :n].numpy()
            assert np.array_equal(found, clip.people[t].keypoints_px)
    known = batch.targets.track_ids[batch.rows(0)]
    owners = [set(row[row >= 0].tolist()) for row in known]
    assert not owners[0] & owners[1]
    pixels = batch.pixels(torch.device("cpu"))
    assert pixels.shape == (6, 3, 96, 96)
    assert pixels.max() <= 1
