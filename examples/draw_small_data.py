"""Small data sets in the layouts of the large ones, to try every training command with.

    python examples/draw_small_data.py DATA

writes DATA/coco (COCO 2017 keypoints), DATA/posetrack18 (PoseTrack18: sparse labels, head boxes,
track ids), DATA/train (tar shards) and DATA/weights (the trunk of the bundled weights, for the
recipe vepe-n). People are drawn figures; nothing that is learnt from so few is of use.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vepe.data.clip import People
from vepe.data.synthetic import SyntheticClip, SyntheticClips
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.coco_writer import category_of
from vepe.formats.geometry import xyxy_to_xywh
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.skeleton import COCO17, POSETRACK15, Skeleton

WIDTH, HEIGHT, FPS = 320, 240, 25.0


def drawn_clips(
    count: int, frames: int, seed: int, skeleton: Skeleton, *, width: int, height: int
) -> SyntheticClips:
    """Clips of one to four drawn people."""
    return SyntheticClips(
        count, frames, height, width, people=(1, 4), fps=FPS, seed=seed, skeleton=skeleton
    )


def coco_people(people: People, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """The people of one picture as COCO has them."""
    records = []
    for n in range(len(people)):
        rows = np.column_stack([people.keypoints_px[n], people.visibility[n]]).astype(float)
        records.append(
            {
                "id": first_id + n,
                "image_id": image_id,
                "category_id": 1,
                "keypoints": rows.round(1).ravel().tolist(),
                "num_keypoints": int((people.visibility[n] > 0).sum()),
                "bbox": xyxy_to_xywh(people.boxes_xyxy_px[n].astype(float)).round(1).tolist(),
                "area": round(float(people.areas_px[n]), 1),
                "iscrowd": 0,
                "track_id": int(people.track_ids[n]),
            }
        )
    return records


def encoded(image: np.ndarray) -> bytes:
    """The picture as JPEG."""
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def draw_coco(
    folder: Path, train: int = 24, val: int = 8, *, width: int = WIDTH, height: int = HEIGHT
) -> Path:
    """COCO 2017: {train,val}2017/*.jpg and annotations/person_keypoints_{train,val}2017.json."""
    for number, (split, count) in enumerate((("train2017", train), ("val2017", val))):
        images: list[dict[str, Any]] = []
        people: list[dict[str, Any]] = []
        (folder / split).mkdir(parents=True, exist_ok=True)
        for clip in drawn_clips(count, 1, 100 + number, COCO17, width=width, height=height):
            image_id = len(images) + 1
            name = f"{image_id:012d}.jpg"
            (folder / split / name).write_bytes(encoded(clip.images[0]))
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
    around it.
    """
    for number, (split, count) in enumerate((("train", train), ("val", val))):
        clips = drawn_clips(count, frames, 200 + number, POSETRACK15, width=WIDTH, height=HEIGHT)
        for video, clip in enumerate(clips, start=1):
            name = f"{1000 * (number + 1) + video:06d}_mpii_{split}"
            pictures = f"images/{split}/{name}"
            (folder / pictures).mkdir(parents=True, exist_ok=True)
            for t, image in enumerate(clip.images):
                (folder / pictures / f"{t:06d}.jpg").write_bytes(encoded(image))
            file = folder / "annotations" / split / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_posetrack18(file, _sequence(clip, name, pictures, file, sparse=split == "train"))
    return folder


def _sequence(
    clip: SyntheticClip, name: str, pictures: str, file: Path, *, sparse: bool
) -> AnnotatedSequence:
    count = len(clip)
    frames = []
    for t in range(count):
        middle = count // 4 <= t < count - count // 4
        labelled = middle or (not sparse and t % 4 == 0)
        people = _people(clip, t) if labelled else ()
        frames.append(
            AnnotatedFrame(
                index=t,
                file_name=f"{pictures}/{t:06d}.jpg",
                image_id=None,
                is_labeled=labelled,
                has_annotations=bool(people),
                people=people,
                width=WIDTH,
                height=HEIGHT,
            )
        )
    return AnnotatedSequence(name, tuple(frames), POSETRACK15, file, "posetrack18")


def _people(clip: SyntheticClip, frame: int) -> tuple[Person, ...]:
    people, heads = clip.people[frame], clip.head_boxes_xyxy_px[frame]
    return tuple(
        Person(
            keypoints_px=people.keypoints_px[n].astype(float),
            present=people.visibility[n] > 0,
            visibility=(people.visibility[n] > 0).astype(float),
            keypoint_scores=np.full(len(POSETRACK15), np.nan),
            track_id=int(people.track_ids[n]),
            head_box_xyxy_px=heads[n].astype(float),
            box_xywh_px=xyxy_to_xywh(people.boxes_xyxy_px[n].astype(float)),
        )
        for n in range(len(people))
    )


def draw_shards(folder: Path, pictures: int = 12, videos: int = 3, frames: int = 10) -> Path:
    """Tar shards as the recipe vepe-n reads them: people, lspet and clips."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, count, length) in enumerate(
        (("people-000", pictures, 1), ("lspet-000", pictures, 1), ("clips-000", videos, frames))
    ):
        clips = drawn_clips(count, length, 300 + number, POSETRACK15, width=WIDTH, height=HEIGHT)
        _write_shard(folder / f"{name}.tar", list(clips), video=length > 1)
    return folder


def _write_shard(path: Path, clips: list[SyntheticClip], *, video: bool) -> None:
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for number, clip in enumerate(clips):
        for t, image in enumerate(clip.images):
            image_id = len(images) + 1
            name = f"{number:04d}_{t:06d}.jpg"
            files[f"images/{name}"] = encoded(image)
            record: dict[str, Any] = {"id": image_id, "file_name": name, "complete": True}
            if video:
                record |= {"video_id": number, "time_s": float(clip.time_s[t])}
            images.append(record)
            people += coco_people(clip.people[t], image_id, len(people) + 1)
    labels = {
        "images": images,
        "annotations": people,
        "categories": [category_of(POSETRACK15)],
    }
    files = {f"{path.stem}.json": json.dumps(labels).encode(), **files}
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def write_trunk(folder: Path) -> Path:
    """The backbone of the bundled weights on its own, under the name that the recipe vepe-n has."""
    from safetensors.torch import load_file, save_file

    from vepe.inference.weights import find_weights

    start = "backbone.net."
    weights = load_file(find_weights("vepe-n"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mobilenetv2_175_movenet.safetensors"
    trunk = {k.removeprefix(start): v.float() for k, v in weights.items() if k.startswith(start)}
    save_file(trunk, path)
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
