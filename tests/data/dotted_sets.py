"""Tiny labelled videos in the exact formats: every keypoint is a bright dot in its picture.

Dimension letters: F frames, P people, K keypoints.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from vepe.formats.posetrack18_writer import CATEGORY_2018
from vepe.skeleton import COCO17, POSETRACK15, Skeleton

SIZE_WH = (170, 130)


def poses(frames: int, people: int, keypoints: int, seed: int = 0) -> np.ndarray:
    """(F, P, K, 2) points that walk to the right, a grid for every person."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(keypoints**0.5))
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    grid = cells[:keypoints] * (14.0, 24.0) + rng.uniform(-2, 2, (people, keypoints, 2))
    start = grid + np.stack([(8 + 75 * p, 14) for p in range(people)])[:, None]
    return start[None] + np.arange(frames)[:, None, None, None] * (1.5, 0)


def dotted(points: np.ndarray, size_wh: tuple[int, int] = SIZE_WH) -> np.ndarray:
    """A black picture with a soft white dot at every point."""
    y, x = np.mgrid[: size_wh[1], : size_wh[0]] + 0.5
    image = np.zeros(size_wh[::-1])
    for px, py in points.reshape(-1, 2):
        image = np.maximum(image, np.exp(-((x - px) ** 2 + (y - py) ** 2) / 6))
    return (image * 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def write_picture(path: Path, points: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), dotted(points), [cv2.IMWRITE_JPEG_QUALITY, 95])


def write_posetrack18(
    root: Path,
    name: str = "000001_bonn_train",
    *,
    frames: int = 9,
    people: int = 2,
    labelled: set[int] | None = None,
    region: list[tuple[int, int]] | None = None,
    split: str = "train",
    pictures: bool = True,
    seed: int = 0,
) -> np.ndarray:
    """A sequence as PoseTrack18 has it; returns its (F, P, 15, 2) points.

    Person 0 lacks its nose everywhere, and the left ankle of person 1 is hidden.
    """
    points = poses(frames, people, 15, seed)
    images, annotations = [], []
    for f in range(frames):
        file_name = f"images/{split}/{name}/{f:06d}.jpg"
        has_labels = labelled is None or f in labelled
        image_id = 20_000_010_000 + f
        record = {"id": image_id, "frame_id": image_id, "file_name": file_name}
        record |= {"vid_id": "000001", "nframes": frames, "is_labeled": has_labels}
        record |= {"width": SIZE_WH[0], "height": SIZE_WH[1]}
        xs, ys = zip(*region, strict=True) if region else ((), ())
        record |= {"ignore_regions_x": [list(xs)] if region else []}
        record |= {"ignore_regions_y": [list(ys)] if region else []}
        images.append(record)
        if pictures:
            write_picture(root / file_name, points[f])
        for p in range(people if has_labels else 0):
            triples = np.zeros((17, 3))
            triples[[0, 1, 2, *range(5, 17)], :2] = points[f, p]
            triples[[0, 1, 2, *range(5, 17)], 2] = 1
            if p == 0:
                triples[0] = 0
            if p == 1:
                triples[15, 2] = 0
            box = [*(points[f, p].min(axis=0) - 5), *(np.ptp(points[f, p], axis=0) + 10)]
            head = [*(points[f, p, 2] - 4), 8, 8]
            annotations.append({
                "id": image_id * 100 + p, "image_id": image_id, "track_id": 4 + p,
                "category_id": 1, "keypoints": triples.ravel().tolist(), "scores": [],
                "bbox": box, "bbox_head": head,
            })  # fmt: skip
    document = {"images": images, "annotations": annotations, "categories": [CATEGORY_2018]}
    path = root / f"posetrack_data/annotations/{split}/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return points


def write_coco(
    root: Path,
    *,
    skeleton: Skeleton = COCO17,
    pictures: int = 4,
    video: bool = False,
    name: str = "labels.json",
) -> np.ndarray:
    """A file in COCO's format, of pictures or of one video; returns its (F, 2, K, 2) points.

    Picture 0 holds a crowd, too; the last holds nobody.
    """
    points = poses(pictures, 2, len(skeleton))
    images, annotations = [], []
    for f in range(pictures):
        record = {"id": f + 1, "file_name": f"{f:012d}.jpg"}
        record |= {"width": SIZE_WH[0], "height": SIZE_WH[1]}
        if video:
            record |= {"video_id": 3, "frame_index": f, "time_s": f * 0.1}
        images.append(record)
        write_picture(root / "pictures" / str(record["file_name"]), points[f])
        for p in range(2 if f < pictures - 1 else 0):
            visible = np.full((len(skeleton), 1), 2)
            visible[1] = 1
            triples = np.concatenate([points[f, p], visible], axis=1)
            triples[0] = 0
            low, size = points[f, p].min(axis=0) - 5, np.ptp(points[f, p], axis=0) + 10
            annotations.append({
                "id": 10 * f + p + 1, "image_id": f + 1, "category_id": 1, "iscrowd": 0,
                "keypoints": triples.ravel().tolist(), "num_keypoints": len(skeleton) - 1,
                "bbox": [*low, *size], "area": 1234.0 + p, "track_id": 7 + p,
            })  # fmt: skip
    annotations.append({
        "id": 999, "image_id": 1, "category_id": 1, "iscrowd": 1, "num_keypoints": 0,
        "keypoints": [0] * 3 * len(skeleton), "bbox": [100, 90, 60, 30], "area": 900.0,
    })  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}
    document = {"images": images, "annotations": annotations, "categories": [category]}
    if video:
        document["videos"] = [{"id": 3, "name": "mine"}]
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(document))
    return points


def dot_near(image: np.ndarray, point: np.ndarray, reach: int) -> np.ndarray:
    """Centre of mass of what is bright around a point."""
    x0, y0 = np.maximum(np.floor(point).astype(int) - reach, 0)
    patch = image[y0 : y0 + 2 * reach + 1, x0 : x0 + 2 * reach + 1].mean(axis=2)
    patch = np.clip(patch - 0.35 * patch.max(), 0, None)
    y, x = np.mgrid[: patch.shape[0], : patch.shape[1]] + 0.5
    return np.array([(x * patch).sum(), (y * patch).sum()]) / patch.sum() + (x0, y0)


assert len(POSETRACK15) == 15
