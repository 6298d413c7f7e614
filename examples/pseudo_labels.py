"""Labels images and videos by a model, as a shard that `vepe train` reads (self-training).

    python examples/pseudo_labels.py OUT.tar --model vepe-s --shards people-*.tar --videos DIR

People with a high score are labelled, by their confident joints; those of a middling score become
regions that the losses ignore; what scores lower counts as background where the shard says that
its labels are complete. Labels that a shard has already stay; only people that they lack are added,
and a region to ignore that turns out to be one of them is removed. The flip test makes better
labels than the model's single view, which is what a model can learn from them. Images of COCO
(`--skip`) are left out: some may be those that models are compared by.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tarfile
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from vepe.config.documents import parse_json
from vepe.data.images import ImageIndex
from vepe.data.label_index import LabelIndex
from vepe.data.shards import add_file, index_shard
from vepe.errors import VepeError, VepeWarning, check_name
from vepe.evaluation.track_similarity import box_iou
from vepe.formats.files import check_targets, replacing
from vepe.formats.records import annotation_table, image_table
from vepe.inference.devices import keep_freed_memory
from vepe.inference.predictor import Predictor, load
from vepe.skeleton import Skeleton, keypoint_difference
from vepe.video.reader import VideoSource, open_video

MIN_SCORE, MIN_CONFIDENCE, MIN_JOINTS = 0.5, 0.4, 5
"""A person with so high a score, and so many joints with so high a confidence, is labelled."""
IGNORE_SCORE = 0.08
"""From here on, people that are not labelled are ignored, not background."""
SAME_BOX, SAME_REGION = 0.4, 0.5
"""IoU of boxes of one person; of a labelled person and a region to ignore that is the same."""


@dataclass
class SourceImage:
    """One image, its entry in the labels, and the people it already has there."""

    name: str
    pixels: np.ndarray
    encoded: bytes
    entry: dict[str, Any]
    people: list[dict[str, Any]] = field(default_factory=list)


def names_of(index: LabelIndex) -> list[str]:
    return [index.name(row) for row in range(len(index))]


def in_skeleton(index: LabelIndex, skeleton: Skeleton) -> ImageIndex:
    """The images of a shard. Raises VepeError where its keypoints are not the model's."""
    if index.keypoints != skeleton.keypoints:
        difference = keypoint_difference(index.keypoints, skeleton.keypoints)
        raise VepeError(
            f"Shard '{index.places[0]}' has other keypoints than the model ({difference}); give a "
            "model of its skeleton, or leave it out."
        )
    return ImageIndex([index], skeleton)


def shard_images(
    images: ImageIndex, skip: re.Pattern[str], video_ids: Iterator[int]
) -> Iterator[SourceImage]:
    """Images and labels of a shard, without those whose name matches `skip`."""
    path = Path(images.indices[0].places[0])
    with tarfile.open(path, "r:") as tar:  # `index_shard` has read it without an error
        labels = next(m for m in tar if m.isfile() and m.name.endswith(".json"))
        document = parse_json(tar.extractfile(labels).read(), str(path))  # type: ignore[union-attr]
    entries = image_table(document, path)
    people: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for person, position in zip(*annotation_table(document, path, entries), strict=True):
        if not person.get("bbox"):
            raise VepeError(f"Shard '{path}' has a person without a bbox; add it to the labels.")
        people[position].append(person)
    rows = {name: row for row, name in enumerate(names_of(images.indices[0]))}
    videos: defaultdict[Any, int] = defaultdict(video_ids.__next__)
    for position, entry in enumerate(entries):
        name = str(entry["file_name"])
        if skip.search(name):
            continue
        if entry.get("video_id") is not None:  # every shard counts its own from the start
            entry["video_id"] = videos[entry["video_id"]]
        record = images[rows[name]]
        yield SourceImage(name, record.image(), record.raw(), entry, people[position])


def open_videos(folder: Path, step: int) -> list[VideoSource]:
    """Every `step`-th frame of each video of a folder. Raises VepeError where there is none."""
    if not folder.is_dir():
        raise VepeError(f"There is no folder '{folder}'; check --videos.")
    paths = sorted(path for path in folder.glob("*.mp4") if path.is_file())
    if not paths:
        raise VepeError(f"The folder '{folder}' has no .mp4 file; check --videos.")
    for path in paths:
        check_name(path.name)
    return [open_video(path, stride=step) for path in paths]


def video_images(video: VideoSource) -> Iterator[SourceImage]:
    """The frames of a video as WebP images."""
    stem = Path(video.info.name).stem
    with video:
        for frame in video:
            bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
            encoded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, 90])[1].tobytes()
            height, width = bgr.shape[:2]
            entry = {"width": width, "height": height, "set": stem, "scene": stem}
            entry |= {"complete": False, "square_stretched": False}
            yield SourceImage(f"{stem}_{frame.index:05}.webp", frame.image, encoded, entry)
        if video.warning:
            warnings.warn(video.warning, VepeWarning, stacklevel=2)


def overlaps(box: np.ndarray, others: list[Any], iou: float) -> bool:
    """Whether a box x, y, width, height has a larger IoU than this with one of the others."""
    return bool((box_iou(box[None], np.reshape(others, (-1, 4))) > iou).any())


def labelled(model: Predictor, image: SourceImage) -> list[dict[str, Any]]:
    """The annotations of an image: those it has, and those of the model's people it lacks."""
    known = [p for p in image.people if not p.get("iscrowd")]
    regions = [p for p in image.people if p.get("iscrowd")]
    people, ignored = list[dict[str, Any]](), list[dict[str, Any]]()
    known_boxes, new_boxes = [p["bbox"] for p in known], list[np.ndarray]()
    poses = model.predict(image.pixels)
    height, width = image.pixels.shape[:2]
    for row in np.argsort(-poses.scores):
        keypoints_px, score = poses.keypoints_px[row], float(poses.scores[row])  # (K, 2)
        inside = (keypoints_px >= 0).all(1) & (keypoints_px < (width, height)).all(1)  # (K,)
        confident = (poses.keypoint_scores[row] >= MIN_CONFIDENCE) & inside
        points = keypoints_px[confident] if confident.sum() >= 2 else keypoints_px
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.1 * (high - low).max()
        low, high = np.maximum(low - margin, 0), np.minimum(high + margin, (width, height))
        box = np.concatenate([low, high - low])
        if box[2:].min() <= 1 or overlaps(box, known_boxes + new_boxes, SAME_BOX):
            continue
        good = score >= MIN_SCORE and confident.sum() >= MIN_JOINTS
        keypoints = np.zeros((len(confident), 3))
        if good:
            keypoints[confident, :2], keypoints[confident, 2] = keypoints_px[confident], 2
            new_boxes.append(box)
        annotation = {
            "iscrowd": int(not good),
            "bbox": box.round(1).tolist(),
            "area": round(float(0.53 * box[2] * box[3]), 1),
            "num_keypoints": int(confident.sum()) if good else 0,
            "keypoints": keypoints.round(1).ravel().tolist(),
            "score": round(score, 3),
        }
        (people if good else ignored).append(annotation)
    # The shard's own regions next to its own people are labels that stay; the model's do not.
    remaining = [r for r in regions if not overlaps(np.array(r["bbox"]), new_boxes, SAME_REGION)]
    boxes = known_boxes + new_boxes
    remaining += [r for r in ignored if not overlaps(np.array(r["bbox"]), boxes, SAME_REGION)]
    return known + people + remaining


def write_shard(out: Path, model: Predictor, images: Iterable[SourceImage]) -> str:
    """Labels the images and writes them one by one; returns what the shard has, in words.

    Raises:
        VepeError: if an image cannot be read; nothing is written then.
    """
    entries, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    names: set[str] = set()
    with replacing(out) as partial, tarfile.open(partial, "w") as tar:
        for number, image in enumerate(images):
            same_name = (f"{n:03}/{image.name}" for n in count(1))  # in another shard
            name = next(n for n in chain([image.name], same_name) if n not in names)
            names.add(name)
            add_file(tar, f"images/{name}", image.encoded)
            entries.append(image.entry | {"id": number, "file_name": name})
            for annotation in labelled(model, image):
                place = {"id": len(annotations) + 1, "image_id": number, "category_id": 1}
                annotations.append(annotation | place)
        category = {"id": 1, "name": "person", "keypoints": list(model.skeleton.keypoints)}
        document = {"images": entries, "annotations": annotations, "categories": [category]}
        add_file(tar, f"{out.stem}.json", json.dumps(document).encode())
    people = sum(not a.get("iscrowd") for a in annotations)
    regions = len(annotations) - people
    return f"{len(entries)} images, {people} people, {regions} regions ignored"


def run(options: argparse.Namespace) -> None:
    if options.first is not None and options.first < 1:
        raise VepeError(f"--first is {options.first}; give 1 or more images, or leave it out.")
    try:
        skip = re.compile(options.skip)
    except re.error as error:
        raise VepeError(f"--skip is no regular expression ({error}); correct it.") from None
    check_targets([options.out], options.shards, advice="remove it, or name another file")
    # All sources are opened first, so that a wrong one is reported before the work.
    indices = [index_shard(path) for path in options.shards]
    videos = [] if options.videos is None else open_videos(options.videos, options.step)
    total = sum(not skip.search(name) for index in indices for name in names_of(index))
    if not total and not videos:
        raise VepeError("There are no images to label; check --shards, --videos and --skip.")
    total += sum(video.info.frame_count or 0 for video in videos)
    keep_freed_memory()
    model = load(options.model, conf=IGNORE_SCORE, flip=True)
    shards = [in_skeleton(index, model.skeleton) for index in indices]
    video_ids = count(1)
    sources = chain(
        (shard_images(shard, skip, video_ids) for shard in shards),
        (video_images(video) for video in videos),
    )
    images = islice(chain.from_iterable(sources), options.first)
    total = min(total, options.first or total)
    summary = write_shard(options.out, model, track(images, "Labelling", total=total))
    print(f"{options.out}: {summary}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="vepe-s")
    parser.add_argument("--shards", type=Path, nargs="*", default=[])
    parser.add_argument("--videos", type=Path, help="folder of .mp4 files")
    parser.add_argument("--step", type=int, default=12, help="every n-th frame of a video")
    parser.add_argument("--skip", default=r"0000\d{8}", help="names of images to leave out")
    parser.add_argument("--first", type=int, help="only so many images, for a trial")
    try:
        run(parser.parse_args())
    except VepeError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
