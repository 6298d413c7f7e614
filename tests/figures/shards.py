"""Small tar shards of random images."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np

from vepe.data.images import ImageIndex, LabelPolicy
from vepe.data.shards import add_file, index_shard
from vepe.skeleton import POSETRACK15, Skeleton


def make_shard(path: Path, count: int = 4, video: bool = False) -> Path:
    """A shard of images with one labelled person (nose unlabelled) and one ignore region."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    with tarfile.open(path, "w") as tar:
        for i in range(count):
            image = rng.integers(0, 255, (120, 100, 3)).astype(np.uint8)
            add_file(tar, f"images/{i}.png", cv2.imencode(".png", image)[1].tobytes())
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
            ignored = {"id": 2 * i + 1, "image_id": i + 1, "iscrowd": 1, "num_keypoints": 0}
            ignored |= {"keypoints": [0] * 45, "bbox": [80, 90, 15, 20], "area": 300.0}
            annotations += [person, ignored]
        category = {"id": 1, "name": "person", "keypoints": list(POSETRACK15.keypoints)}
        labels = {"images": images, "annotations": annotations, "categories": [category]}
        add_file(tar, "labels.json", json.dumps(labels).encode())
    return path


def read_shard(path: Path, skeleton: Skeleton, policy: LabelPolicy | None = None) -> ImageIndex:
    return ImageIndex([index_shard(path)], skeleton, policy)
