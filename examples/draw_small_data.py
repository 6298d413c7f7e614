"""Small data sets in the layouts of the large ones, to try every training command with.

    python examples/draw_small_data.py DATA

writes DATA/coco (COCO 2017 keypoints), DATA/posetrack18 (PoseTrack18: sparse labels, head boxes,
track ids), DATA/train (tar shards) and DATA/weights (the backbone of the bundled weights, for the
recipe vepe-n). People are the moving figures of the tests; a model trained on them is of no use.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vepe.data.clip import Clip
from vepe.data.images import ImageIndex
from vepe.data.read_labels import read_label_files
from vepe.data.shards import write_shards
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.coco_writer import category_of
from vepe.formats.geometry import xyxy_to_xywh
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.skeleton import COCO17, POSETRACK15

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from figures.moving import figure_clips
from figures.sets import coco_people, write_figures

WIDTH, HEIGHT = 320, 240
FIGURES: dict[str, Any] = {"size_wh": (WIDTH, HEIGHT), "people": (1, 4), "fps": 25.0}


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Writes an RGB image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])


def draw_coco(
    folder: Path, train: int = 24, val: int = 8, *, width: int = WIDTH, height: int = HEIGHT
) -> Path:
    """COCO 2017: {train,val}2017/*.jpg and annotations/person_keypoints_{train,val}2017.json."""
    for number, (split, count) in enumerate((("train2017", train), ("val2017", val))):
        images: list[dict[str, Any]] = []
        people: list[dict[str, Any]] = []
        options = FIGURES | {"size_wh": (width, height), "skeleton": COCO17}
        for clip in figure_clips(count, 100 + number, frames=1, **options):
            image_id = len(images) + 1
            name = f"{image_id:012d}.jpg"
            write_jpeg(folder / split / name, clip.images[0])
            images.append({"id": image_id, "file_name": name, "width": width, "height": height})
            people += coco_people(clip.people[0], image_id, len(people) + 1)
        data = {"images": images, "annotations": people, "categories": [category_of(COCO17)]}
        path = folder / "annotations" / f"person_keypoints_{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data))
    return folder


def draw_posetrack(folder: Path, train: int = 4, val: int = 2, frames: int = 16) -> Path:
    """PoseTrack18: images/{split}/{video}/*.jpg and annotations/{split}/{video}.json.

    Training videos are labelled in the middle half, validation videos also in every fourth frame
    outside it.
    """
    for number, (split, count) in enumerate((("train", train), ("val", val))):
        clips = figure_clips(count, 200 + number, frames=frames, **FIGURES)
        for video, clip in enumerate(clips, start=1):
            name = f"{1000 * (number + 1) + video:06d}_mpii_{split}"
            for t, image in enumerate(clip.images):
                write_jpeg(folder / f"images/{split}/{name}/{t:06d}.jpg", image)
            file = folder / "annotations" / split / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_posetrack18(file, _sequence(clip, split, file))
    return folder


def _sequence(clip: Clip, split: str, file: Path) -> AnnotatedSequence:
    count = len(clip)
    frames = []
    for t in range(count):
        middle = count // 4 <= t < count - count // 4
        labelled = middle or (split == "val" and t % 4 == 0)
        people = _people(clip, t) if labelled else ()
        frames.append(
            AnnotatedFrame(
                index=t,
                file_name=f"images/{split}/{file.stem}/{t:06d}.jpg",
                image_id=None,
                is_labeled=labelled,
                has_annotations=bool(people),
                people=people,
                width=WIDTH,
                height=HEIGHT,
            )
        )
    return AnnotatedSequence(file.stem, tuple(frames), POSETRACK15, file, "posetrack18")


def _people(clip: Clip, frame: int) -> tuple[Person, ...]:
    people = clip.people[frame]
    assert people.head_boxes_xyxy_px is not None
    return tuple(
        Person(
            keypoints_px=people.keypoints_px[n].astype(float),
            present=people.visibility[n] > 0,
            visibility=(people.visibility[n] > 0).astype(float),
            keypoint_scores=np.full(len(POSETRACK15), np.nan),
            track_id=int(people.track_ids[n]),
            head_box_xyxy_px=people.head_boxes_xyxy_px[n].astype(float),
            box_xywh_px=xyxy_to_xywh(people.boxes_xyxy_px[n].astype(float)),
        )
        for n in range(len(people))
    )


def draw_shards(folder: Path, images: int = 12, videos: int = 3, frames: int = 10) -> Path:
    """Tar shards as the recipe vepe-n reads them: people, lspet, clips and coco."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = (
        ("people", images, 1),
        ("lspet", images, 1),
        ("clips", videos, frames),
        ("coco", images, 1),
    )
    for number, (name, count, length) in enumerate(kinds):
        clips = figure_clips(count, 300 + number, frames=length, **FIGURES)
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary)
            labels = write_figures(root, clips)
            index = read_label_files([labels], root, single=length == 1, cache=root / "cache")
            for path in write_shards(root / name, ImageIndex([index], POSETRACK15)):
                shutil.move(path, folder / path.name)
    return folder


def write_trunk(folder: Path) -> Path:
    """The backbone of the bundled weights in a file of its own, as the recipe vepe-n expects it."""
    from safetensors.torch import load_file, save_file

    from vepe.inference.model_files import find_weights

    prefix = "backbone.net."
    weights = load_file(find_weights("vepe-n"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mobilenetv2_175_movenet.safetensors"
    tensors = {k: v.float() for k, v in weights.items() if k.startswith(prefix)}
    save_file({k.removeprefix(prefix): v for k, v in tensors.items()}, path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    draw_coco(folder / "coco")
    draw_posetrack(folder / "posetrack18")
    draw_shards(folder / "train")
    write_trunk(folder / "weights")
    print(f"Drawn into {folder}")


if __name__ == "__main__":
    main()
