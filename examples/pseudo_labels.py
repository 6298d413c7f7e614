"""Labels images and videos by a model, as a shard that `vepe train` reads (self-training).

    python examples/pseudo_labels.py OUT.tar --model vepe-s --shards people-*.tar --videos DIR

People with a high score are labelled, by their confident joints; those of a middling score become
regions that the losses ignore; what scores lower counts as background where the shard says that
its labels are complete. Labels that a shard has already stay; only people that they lack are added.
The flip test makes better labels than the model's single view, which is what a model can learn
from them. Images of COCO (`--skip`) are left out: some may be those that models are compared by.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from vepe.formats.files import check_targets, replacing
from vepe.inference.devices import keep_freed_memory
from vepe.inference.predictor import Predictor, load

MIN_SCORE, MIN_CONFIDENCE, MIN_JOINTS = 0.5, 0.4, 5
"""A person with so high a score, and so many joints with so high a confidence, is labelled."""
IGNORE_SCORE = 0.08
"""From here on, people that are not labelled are ignored, not background."""
SAME_BOX = 0.4
"""IoU of boxes of one person."""


@dataclass
class Picture:
    """One image, its entry in the labels, and the people it already has there."""

    name: str
    pixels: np.ndarray
    encoded: bytes
    entry: dict[str, Any]
    people: list[dict[str, Any]] = field(default_factory=list)


def shard_pictures(path: Path, skip: str) -> Iterator[Picture]:
    """Images and labels of a shard, without those whose name matches `skip`."""
    with tarfile.open(path) as tar:
        labels = json.load(tar.extractfile(f"{path.stem}.json"))  # type: ignore[arg-type]
        people: dict[int, list[dict[str, Any]]] = {}
        for person in labels["annotations"]:
            people.setdefault(person["image_id"], []).append(person)
        for entry in labels["images"]:
            name = entry["file_name"]
            if re.search(skip, name):
                continue
            encoded = tar.extractfile(f"images/{name}").read()  # type: ignore[union-attr]
            bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
            pixels = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            yield Picture(name, pixels, encoded, entry, people.get(entry["id"], []))


def video_pictures(folder: Path, step: int) -> Iterator[Picture]:
    """Every `step`-th frame of the videos of a folder."""
    for path in sorted(folder.glob("*.mp4")):
        video, index = cv2.VideoCapture(str(path)), 0
        while True:
            found, bgr = video.read()
            if not found:
                break
            if index % step == 0:
                encoded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, 90])[1].tobytes()
                height, width = bgr.shape[:2]
                entry = {"width": width, "height": height, "set": path.stem, "scene": path.stem}
                entry |= {"complete": False, "square_stretched": False}
                pixels = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                yield Picture(f"{path.stem}_{index:05}.webp", pixels, encoded, entry)
            index += 1


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes x, y, width, height."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / max(float(a[2] * a[3] + b[2] * b[3]) - shared, 1e-6)


def labelled(model: Predictor, picture: Picture) -> list[dict[str, Any]]:
    """The annotations of an image: those it has, and those of the model's people it lacks."""
    known = [p for p in picture.people if not p["iscrowd"]]
    result, boxes = list(known), [np.array(p["bbox"], float) for p in known]
    ignored = [p for p in picture.people if p["iscrowd"]]
    poses = model.predict(picture.pixels)
    height, width = picture.pixels.shape[:2]
    for row in np.argsort(-poses.scores):
        keypoints_px, score = poses.keypoints_px[row], float(poses.scores[row])  # (K, 2)
        inside = (keypoints_px >= 0).all(1) & (keypoints_px < (width, height)).all(1)  # (K,)
        sure = (poses.keypoint_scores[row] >= MIN_CONFIDENCE) & inside
        points = keypoints_px[sure] if sure.sum() >= 2 else keypoints_px
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.1 * (high - low).max()
        low, high = np.maximum(low - margin, 0), np.minimum(high + margin, (width, height))
        box = np.concatenate([low, high - low])
        if box[2:].min() <= 1 or any(box_iou(box, other) > SAME_BOX for other in boxes):
            continue
        good = score >= MIN_SCORE and sure.sum() >= MIN_JOINTS
        keypoints = np.zeros((len(sure), 3))
        if good:
            keypoints[sure, :2], keypoints[sure, 2] = keypoints_px[sure], 2
            boxes.append(box)
        annotation = {
            "category_id": 1,
            "iscrowd": int(not good),
            "bbox": box.round(1).tolist(),
            "area": round(float(0.53 * box[2] * box[3]), 1),
            "num_keypoints": int(sure.sum()) if good else 0,
            "keypoints": keypoints.round(1).ravel().tolist(),
            "score": round(score, 3),
        }
        (result if good else ignored).append(annotation)
    # A region that turned out to be a labelled person is no longer ignored.
    return result + [
        p for p in ignored if all(box_iou(np.array(p["bbox"], float), b) < 0.5 for b in boxes)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="vepe-s")
    parser.add_argument("--shards", type=Path, nargs="*", default=[])
    parser.add_argument("--videos", type=Path, help="folder of .mp4 files")
    parser.add_argument("--step", type=int, default=12, help="every n-th frame of a video")
    parser.add_argument("--skip", default=r"0000\d{8}", help="names of images to leave out")
    parser.add_argument("--first", type=int, help="only so many images, for a trial")
    options = parser.parse_args()
    check_targets([options.out], options.shards)
    keep_freed_memory()
    model = load(options.model, conf=IGNORE_SCORE, flip=True)
    pictures = [p for path in options.shards for p in shard_pictures(path, options.skip)]
    if options.videos is not None:
        pictures += video_pictures(options.videos, options.step)
    pictures = pictures[: options.first]
    category = {"id": 1, "name": "person", "keypoints": list(model.skeleton.keypoints)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(track(pictures, "Labelling")):
        images.append(picture.entry | {"id": number, "file_name": picture.name})
        for annotation in labelled(model, picture):
            place = {"id": len(annotations) + 1, "image_id": number}
            annotations.append({**annotation, **place})
    document = {"images": images, "annotations": annotations, "categories": [category]}
    files = {f"{options.out.stem}.json": json.dumps(document).encode()}
    files |= {f"images/{p.name}": p.encoded for p in pictures}
    with replacing(options.out) as partial, tarfile.open(partial, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    people = sum(not a["iscrowd"] for a in annotations)
    regions = len(annotations) - people
    print(f"{options.out}: {len(images)} images, {people} people, {regions} regions ignored")


if __name__ == "__main__":
    main()
