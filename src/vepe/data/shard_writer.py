"""Any labelled set as tar shards: few big files that a network disk or a web server gives fast."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vepe.data.label_index import UNKNOWN, LabelIndex
from vepe.data.pictures import Pictures
from vepe.errors import VepeError
from vepe.formats.files import is_relative_name, replacing

Row = int


def write_shards(
    folder: Path,
    pictures: Pictures,
    *,
    megabytes: float = 1000,
    complete: bool = True,
    overwrite: bool = False,
    progress: Callable[[Iterable[list[Row]]], Iterable[list[Row]]] = iter,
) -> list[Path]:
    """Writes pictures and labels as `NAME-000.tar` and on, where NAME is the folder's.

    Args:
        folder: where the shards go.
        pictures: of one index, in the set's own skeleton; frames of a video stay together.
        megabytes: size at which the next shard begins.
        complete: whether everybody in view is labelled, where the set does not say.
        overwrite: whether shards of that name may be replaced.
        progress: wraps the list of groups of pictures (a video, or one picture).

    Returns:
        the shards, in order. Times that the set lacks are reckoned by its frame rate.

    Raises:
        VepeError: where shards are there already, a picture is missing or the disk is full.
    """
    there = sorted(folder.glob(f"{folder.name}-*.tar"))
    if there and not overwrite:
        raise VepeError(
            f"'{there[0]}' is already there; add --overwrite to replace it, or name another folder."
        )
    groups = _groups(pictures)
    written: list[Path] = []
    pending: list[Row] = []
    size = 0
    for group in progress(groups):
        pending += group
        size += sum(pictures[row].bytes_there() for row in group)
        if size > megabytes * 1e6:
            written.append(_write(folder, len(written), pictures, pending, complete=complete))
            pending, size = [], 0
    if pending:
        written.append(_write(folder, len(written), pictures, pending, complete=complete))
    for old in set(there) - set(written):
        old.unlink()
    return written


def _groups(pictures: Pictures) -> list[list[Row]]:
    """Rows of a video, or of one picture, in the set's order."""
    groups: dict[Any, list[Row]] = {}
    for row, video in enumerate(pictures.videos().tolist()):
        groups.setdefault(video if video >= 0 else ("single", row), []).append(row)
    return list(groups.values())


def _write(
    folder: Path, number: int, pictures: Pictures, rows: list[Row], *, complete: bool
) -> Path:
    path = folder / f"{folder.name}-{number:03d}.tar"
    names = _names(pictures, rows)
    document = _document(pictures, rows, names, complete=complete)
    with replacing(path) as beside, tarfile.open(beside, "w") as tar:
        # The labels come first, so that whoever streams the shard has them before the pictures.
        _add(tar, f"{path.stem}.json", json.dumps(document).encode())
        for row, name in zip(rows, names, strict=True):
            _add(tar, f"images/{name}", pictures[row].raw())
    return path


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _names(pictures: Pictures, rows: list[Row]) -> list[str]:
    """Names of the pictures in the shard; two of the same name get their folder's number."""
    names = [pictures[row].name.removeprefix("images/") for row in rows]
    for name in names:
        if not is_relative_name(name):
            raise VepeError(f"The image name {name!r} is no safe name in a shard; correct it.")
    if len(set(names)) == len(names):
        return names
    places: dict[Path, int] = {}
    return [
        f"{places.setdefault(pictures[row].place, len(places)):03d}/{name}"
        for row, name in zip(rows, names, strict=True)
    ]


def _document(
    pictures: Pictures, rows: list[Row], names: list[str], *, complete: bool
) -> dict[str, Any]:
    """The labels as COCO has them."""
    index = pictures.indices[0]
    times, videos = pictures.times_s(), pictures.videos()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (row, name) in enumerate(zip(rows, names, strict=True), start=1):
        frame = int(pictures.rows[row])
        record: dict[str, Any] = {"id": number, "file_name": name}
        width, height = index.size_wh_px[frame].tolist()
        if width and height:
            record |= {"width": width, "height": height}
        record["is_labeled"] = bool(index.labelled[frame])
        said = int(index.complete[frame])
        if record["is_labeled"]:
            record["complete"] = complete if said == UNKNOWN else bool(said)
        if index.stretched[frame]:
            record["square_stretched"] = True
        if videos[row] >= 0:
            record |= {"video_id": int(videos[row]), "time_s": float(times[row])}
            record["frame_index"] = int(index.frame_index[frame])
        images.append(record)
        for annotation in _annotations(index, frame):
            annotations.append({"id": len(annotations) + 1, "image_id": number} | annotation)
    category = {"id": 1, "name": "person", "keypoints": list(index.keypoints)}
    return {"images": images, "annotations": annotations, "categories": [category]}


def _annotations(index: LabelIndex, frame: int) -> Iterator[dict[str, Any]]:
    people = index.people(frame)
    heads = people.head_boxes_xyxy_px
    for p in range(len(people)):
        triples = np.concatenate(
            [people.keypoints_px[p].astype(np.float64), people.visibility[p][:, None]], axis=1
        )
        record = {
            "category_id": 1,
            "iscrowd": 0,
            "keypoints": triples.ravel().tolist(),
            "num_keypoints": int((people.visibility[p] > 0).sum()),
            "bbox": _xywh(people.boxes_xyxy_px[p]),
            "area": float(people.areas_px[p]),
            "track_id": int(people.track_ids[p]),
        }
        if heads is not None and np.isfinite(heads[p]).all():
            record["bbox_head"] = _xywh(heads[p])
        yield record
    for box in people.ignore_boxes_xyxy_px:
        yield {
            "category_id": 1,
            "iscrowd": 1,
            "keypoints": [0] * 3 * len(index.keypoints),
            "num_keypoints": 0,
            "bbox": _xywh(box),
            "area": float(np.prod(box[2:] - box[:2])),
        }


def _xywh(box_xyxy: np.ndarray) -> list[float]:
    box = box_xyxy.astype(np.float64)
    return [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
