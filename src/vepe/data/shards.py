"""COCO-style tar shards: pictures and one JSON of labels in a tar file, read without unpacking.

A shard `NAME.tar` holds `NAME.json` (COCO keypoints; `iscrowd` 1 marks people whose pose is
unsure) and `images/FILE`. Opening one reads the labels and where each picture lies in the tar;
pictures are read and decoded when they are asked for.
"""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from vepe.data.clip import People
from vepe.errors import VepeError
from vepe.skeleton import Skeleton


@dataclass(frozen=True)
class Still:
    """One labelled picture of a shard.

    Attributes:
        shard, offset, size: where its bytes are.
        name: its file name.
        people: its labels, in the wanted skeleton; `track_ids` as in the file, else -1.
        background_weight: see `Clip`.
        square_stretched: the picture was squeezed to a square, its aspect is not to be trusted.
        video: identity of the video it is a frame of, or None for a picture on its own.
        time_s: its time in that video.
    """

    shard: Path
    offset: int
    size: int
    name: str
    people: People
    background_weight: float
    square_stretched: bool
    video: str | None
    time_s: float

    def image(self) -> UInt8[np.ndarray, "H W 3"]:
        """The decoded picture, RGB. Raises VepeError where it cannot be decoded."""
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            data = np.frombuffer(file.read(self.size), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if image is None:
            raise VepeError(f"Picture '{self.name}' in '{self.shard}' cannot be decoded.")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_shard(
    path: Path, skeleton: Skeleton, *, complete: float = 1.0, incomplete: float = 0.0
) -> list[Still]:
    """The pictures of one shard with their labels.

    Args:
        path: the tar file.
        skeleton: keypoints are put into its order by name; those the shard lacks stay unlabelled.
        complete, incomplete: background weight of pictures that say that everybody in view is
            labelled (`complete` true), and of those that do not.

    Raises:
        VepeError: where the shard is missing, no tar, or holds no labels.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            members = {m.name: m for m in tar if m.isfile()}
            labels = [m for name, m in members.items() if name.endswith(".json")]
            stream = tar.extractfile(labels[0]) if labels else None
            if stream is None:
                raise VepeError(f"Shard '{path}' holds no JSON of labels.")
            data = json.load(io.TextIOWrapper(stream, "utf-8"))
    except FileNotFoundError:
        raise VepeError(f"There is no shard '{path}'; check the path to the data.") from None
    except (tarfile.TarError, json.JSONDecodeError) as error:
        raise VepeError(f"Shard '{path}' cannot be read ({error}); copy it again.") from error
    names = data["categories"][0]["keypoints"]
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    stills = []
    for record in data["images"]:
        member = members.get(f"images/{record['file_name']}")
        if member is None:
            raise VepeError(f"Shard '{path}' lacks the picture 'images/{record['file_name']}'.")
        video = record.get("video_id")
        stills.append(
            Still(
                shard=path,
                offset=member.offset_data,
                size=member.size,
                name=record["file_name"],
                people=read_people(by_image.get(record["id"], []), names, skeleton),
                background_weight=complete if record.get("complete") else incomplete,
                square_stretched=bool(record.get("square_stretched", False)),
                video=None if video is None else f"{path.name}/{video}",
                time_s=float(record.get("time_s", 0.0)),
            )
        )
    return stills


def read_people(annotations: list[dict[str, Any]], names: list[str], skeleton: Skeleton) -> People:
    """COCO annotations of one picture as `People`; those without keypoints become ignore boxes."""
    known = [(names.index(n), k) for k, n in enumerate(skeleton.keypoints) if n in names]
    source, target = np.array(known, np.int64).reshape(-1, 2).T
    posed = [a for a in annotations if not a.get("iscrowd") and a.get("num_keypoints", 1)]
    unsure = [a for a in annotations if a.get("iscrowd") or not a.get("num_keypoints", 1)]
    points = np.zeros((len(posed), len(skeleton), 3), np.float32)
    for i, annotation in enumerate(posed):
        triples = np.asarray(annotation["keypoints"], np.float32).reshape(-1, 3)
        points[i, target] = triples[source]
    return People(
        keypoints_px=points[..., :2],
        visibility=points[..., 2].astype(np.int64),
        boxes_xyxy_px=_boxes(posed),
        areas_px=np.array([a["area"] for a in posed], np.float32),
        track_ids=np.array([a.get("track_id", -1) for a in posed], np.int64),
        ignore_boxes_xyxy_px=_boxes(unsure),
    )


def _boxes(annotations: list[dict[str, Any]]) -> np.ndarray:
    boxes = np.array([a["bbox"] for a in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes
