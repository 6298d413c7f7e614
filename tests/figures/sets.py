"""Small labelled data sets on disk, in the exact formats.

`write_posetrack18` and `write_coco` draw a bright dot at every keypoint, so that a test can see
whether labels lie where the image shows them. `write_figures` writes clips, and `training_set` is
such a set for recipes. Dimension letters: F frames, N people, K keypoints.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from figures.dots import dotted
from figures.moving import figure_clips
from vepe.data.clip import Clip, People
from vepe.formats.coco_writer import category_of
from vepe.formats.geometry import xyxy_to_xywh
from vepe.formats.posetrack18_writer import CATEGORY_2018
from vepe.skeleton import COCO17, POSETRACK15, Skeleton

SIZE_WH = (170, 130)


@cache
def training_set() -> Path:
    """The folder of a small set of moving figures, written once per test run.

    `labels.json` holds 6 videos of 6 frames, 64 px wide and high, with one or two figures each.
    Processes that a test starts use their parent's folder.
    """
    folder = os.environ.get("VEPE_TEST_FIGURES")
    if folder is None:
        folder = tempfile.mkdtemp(prefix="vepe-figures-")
        owner = os.getpid()
        atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
        write_figures(Path(folder), figure_clips(6, frames=6))
        os.environ["VEPE_TEST_FIGURES"] = folder
    return Path(folder)


def figures_source(**options: Any) -> dict[str, Any]:
    """A recipe's source of clips from `training_set`, with options of kind `video`."""
    source = {"kind": "video", "root": str(training_set()), "annotations": ["labels.json"]}
    return source | {"person_scale": [0.5, 0.9]} | options


def write_figures(
    root: Path, clips: Sequence[Clip], *, skeleton: Skeleton = POSETRACK15, name: str = "labels"
) -> Path:
    """Writes clips as videos in COCO's format: `NAME.json` and PNG files below `images/NAME`."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (root / "images" / name).mkdir(parents=True, exist_ok=True)
    for number, clip in enumerate(clips):
        for t, image in enumerate(clip.images):
            file_name = f"images/{name}/{number:03d}_{t:03d}.png"
            cv2.imwrite(str(root / file_name), image[..., ::-1])
            height, width = image.shape[:2]
            record = {"id": len(images) + 1, "file_name": file_name, "video_id": number}
            record |= {"time_s": float(clip.time_s[t]), "frame_index": t}
            images.append(record | {"width": width, "height": height, "is_labeled": True})
            annotations += coco_people(clip.people[t], len(images), len(annotations) + 1)
    document = {"images": images, "annotations": annotations}
    path = root / f"{name}.json"
    path.write_text(json.dumps(document | {"categories": [category_of(skeleton)]}))
    return path


def coco_people(people: People, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """The people of one image as COCO annotations, with track ids and head boxes."""
    records = []
    for n in range(len(people)):
        triples = np.column_stack([people.keypoints_px[n], people.visibility[n]])
        record = {"id": first_id + n, "image_id": image_id, "category_id": 1, "iscrowd": 0}
        record |= {"keypoints": triples.astype(float).ravel().tolist()}
        record |= {"num_keypoints": int((people.visibility[n] > 0).sum())}
        record |= {"bbox": _xywh(people.boxes_xyxy_px[n]), "area": float(people.areas_px[n])}
        if people.head_boxes_xyxy_px is not None:
            record["bbox_head"] = _xywh(people.head_boxes_xyxy_px[n])
        records.append(record | {"track_id": int(people.track_ids[n])})
    return records


def _xywh(box_xyxy: np.ndarray) -> list[float]:
    return xyxy_to_xywh(box_xyxy.astype(float)).tolist()


def dotted_poses(frames: int, people: int, keypoints: int, seed: int = 0) -> np.ndarray:
    """(F, N, K, 2) keypoints that move to the right; those of each person form a grid."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(keypoints**0.5))
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    grid = cells[:keypoints] * (14.0, 24.0) + rng.uniform(-2, 2, (people, keypoints, 2))
    start = grid + np.stack([(8 + 75 * n, 14) for n in range(people)])[:, None]
    return start[None] + np.arange(frames)[:, None, None, None] * (1.5, 0)


def _write_image(path: Path, points: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), dotted(points, *SIZE_WH), [cv2.IMWRITE_JPEG_QUALITY, 95])


def write_posetrack18(
    root: Path,
    name: str = "000001_bonn_train",
    *,
    frames: int = 9,
    people: int = 2,
    labelled: set[int] | None = None,
    region: list[tuple[int, int]] | None = None,
    split: str = "train",
    images: bool = True,
    seed: int = 0,
) -> np.ndarray:
    """A dotted sequence as PoseTrack18 has it; returns its (F, N, 15, 2) keypoints.

    Person 0 has no nose in any frame, and the left ankle of person 1 is hidden.
    """
    points = dotted_poses(frames, people, 15, seed)
    records, annotations = [], []
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
        records.append(record)
        if images:
            _write_image(root / file_name, points[f])
        for n in range(people if has_labels else 0):
            triples = np.zeros((17, 3))
            triples[[0, 1, 2, *range(5, 17)], :2] = points[f, n]
            triples[[0, 1, 2, *range(5, 17)], 2] = 1
            if n == 0:
                triples[0] = 0
            if n == 1:
                triples[15, 2] = 0
            box = [*(points[f, n].min(axis=0) - 5), *(np.ptp(points[f, n], axis=0) + 10)]
            head = [*(points[f, n, 2] - 4), 8, 8]
            annotations.append({
                "id": image_id * 100 + n, "image_id": image_id, "track_id": 4 + n,
                "category_id": 1, "keypoints": triples.ravel().tolist(), "scores": [],
                "bbox": box, "bbox_head": head,
            })  # fmt: skip
    document = {"images": records, "annotations": annotations, "categories": [CATEGORY_2018]}
    path = root / f"posetrack_data/annotations/{split}/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return points


def write_coco(
    root: Path,
    *,
    skeleton: Skeleton = COCO17,
    images: int = 4,
    video: bool = False,
    name: str = "labels.json",
) -> np.ndarray:
    """Dotted images, or one video, in COCO's format; returns its (F, 2, K, 2) keypoints.

    Image 0 also has a crowd; the last one has no people.
    """
    points = dotted_poses(images, 2, len(skeleton))
    records, annotations = [], []
    for f in range(images):
        record = {"id": f + 1, "file_name": f"{f:012d}.jpg"}
        record |= {"width": SIZE_WH[0], "height": SIZE_WH[1]}
        if video:
            record |= {"video_id": 3, "frame_index": f, "time_s": f * 0.1}
        records.append(record)
        _write_image(root / "images" / str(record["file_name"]), points[f])
        for n in range(2 if f < images - 1 else 0):
            visible = np.full((len(skeleton), 1), 2)
            visible[1] = 1
            triples = np.concatenate([points[f, n], visible], axis=1)
            triples[0] = 0
            low, size = points[f, n].min(axis=0) - 5, np.ptp(points[f, n], axis=0) + 10
            annotations.append({
                "id": 10 * f + n + 1, "image_id": f + 1, "category_id": 1, "iscrowd": 0,
                "keypoints": triples.ravel().tolist(), "num_keypoints": len(skeleton) - 1,
                "bbox": [*low, *size], "area": 1234.0 + n, "track_id": 7 + n,
            })  # fmt: skip
    annotations.append({
        "id": 999, "image_id": 1, "category_id": 1, "iscrowd": 1, "num_keypoints": 0,
        "keypoints": [0] * 3 * len(skeleton), "bbox": [100, 90, 60, 30], "area": 900.0,
    })  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}
    document = {"images": records, "annotations": annotations, "categories": [category]}
    if video:
        document["videos"] = [{"id": 3, "name": "mine"}]
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(document))
    return points
