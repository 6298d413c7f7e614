"""COCO-style tar shards: pictures and one JSON of labels in a tar file, read without unpacking.

A shard `NAME.tar` holds `NAME.json` (COCO keypoints; `iscrowd` 1 marks people whose pose is
unsure) and `images/FILE`. Where the pictures lie in the tar is found once, with the labels;
pictures are read and decoded when they are asked for.

Any labelled set as tar shards: few big files that a network disk or a web server gives fast.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vepe.data.images import ImageIndex, LabelPolicy
from vepe.data.index_cache import cached_index
from vepe.data.label_index import UNKNOWN, LabelIndex, Located, build_index
from vepe.errors import VepeError
from vepe.formats.coco import parse_coco
from vepe.formats.data_paths import is_relative_name
from vepe.formats.files import replacing
from vepe.skeleton import Skeleton


def read_shard(
    path: Path, skeleton: Skeleton, *, complete: float = 1.0, incomplete: float = 0.0
) -> ImageIndex:
    """The pictures of one shard with their labels.

    Args:
        path: the tar file.
        skeleton: keypoints are put into its order by name; those the shard lacks stay unlabelled.
        complete, incomplete: background weight of pictures that say that everybody in view is
            labelled (`complete` true), and of those that do not.

    Raises:
        VepeError: where the shard is missing, no tar, or holds no labels.
    """
    reading = LabelPolicy(complete=complete, incomplete=incomplete, unsaid=incomplete)
    return ImageIndex([index_shard(path)], skeleton, reading)


def index_shard(path: Path, *, cache: Path | None = None) -> LabelIndex:
    """The labels of a shard and where its pictures lie; from the cache where it holds them.

    Raises:
        VepeError: as `read_shard`.
    """
    if not path.is_file():
        raise VepeError(f"There is no shard '{path}'; check the path to the data.")
    path = path.absolute()  # the index is kept, for whatever folder the next run starts in
    return cached_index([path], lambda: _build(path), options="shard", folder=cache)


def _build(path: Path) -> LabelIndex:
    data, members = _open(path)
    located = []
    for sequence in parse_coco(data, path):
        for frame in sequence.frames:
            if frame.file_name not in members:
                raise VepeError(f"Shard '{path}' lacks the picture 'images/{frame.file_name}'.")
        single = bool(sequence.frames) and "video_id" not in sequence.frames[0].extra
        located.append(Located(sequence, str(path), single, members))
    return build_index(located)


def _open(path: Path) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The labels, and where each picture's bytes lie (offset, size)."""
    try:
        with tarfile.open(path, "r:") as tar:
            members = {m.name: m for m in tar if m.isfile()}
            labels = [m for name, m in members.items() if name.endswith(".json")]
            stream = tar.extractfile(labels[0]) if labels else None
            if stream is None:
                raise VepeError(f"Shard '{path}' holds no JSON of labels.")
            data = json.load(io.TextIOWrapper(stream, "utf-8"))
    except (tarfile.TarError, ValueError, RecursionError, OSError) as error:
        raise VepeError(f"Shard '{path}' cannot be read ({error}); copy it again.") from error
    pictures = {
        name.removeprefix("images/"): (member.offset_data, member.size)
        for name, member in members.items()
        if name.startswith("images/")
    }
    return data, pictures


Row = int


def write_shards(
    folder: Path,
    pictures: ImageIndex,
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


def _groups(pictures: ImageIndex) -> list[list[Row]]:
    """Rows of a video, or of one picture, in the set's order."""
    groups: dict[Any, list[Row]] = {}
    for row, video in enumerate(pictures.videos().tolist()):
        groups.setdefault(video if video >= 0 else ("single", row), []).append(row)
    return list(groups.values())


def _write(
    folder: Path, number: int, pictures: ImageIndex, rows: list[Row], *, complete: bool
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


def _names(pictures: ImageIndex, rows: list[Row]) -> list[str]:
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
    pictures: ImageIndex, rows: list[Row], names: list[str], *, complete: bool
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
