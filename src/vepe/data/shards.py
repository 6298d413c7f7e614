"""COCO-style tar shards: pictures and one JSON of labels in a tar file, read without unpacking.

A shard `NAME.tar` holds `NAME.json` (COCO keypoints; `iscrowd` 1 marks people whose pose is
unsure) and `images/FILE`. Where the pictures lie in the tar is found once, with the labels;
pictures are read and decoded when they are asked for.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from vepe.data.label_cache import cached_index
from vepe.data.label_index import LabelIndex, Located, build_index
from vepe.data.pictures import Pictures, Reading
from vepe.errors import VepeError
from vepe.formats.coco import parse_coco
from vepe.skeleton import Skeleton


def read_shard(
    path: Path, skeleton: Skeleton, *, complete: float = 1.0, incomplete: float = 0.0
) -> Pictures:
    """The pictures of one shard with their labels.

    Args:
        path: the tar file.
        skeleton: keypoints are put into its order by name; those the shard lacks stay unlabelled.
        complete, incomplete: background weight of pictures that say that everybody in view is
            labelled (`complete` true), and of those that do not.

    Raises:
        VepeError: where the shard is missing, no tar, or holds no labels.
    """
    reading = Reading(complete=complete, incomplete=incomplete, unsaid=incomplete)
    return Pictures([index_shard(path)], skeleton, reading)


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
