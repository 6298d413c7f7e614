"""COCO-style tar shards: images and one JSON of labels in a tar file, read without unpacking.

A shard `NAME.tar` contains `NAME.json` (COCO keypoints; `iscrowd` 1 marks regions with unlabelled
people) and `images/FILE`. A few large files are read faster from network disks and web servers
than many small ones. The positions of the images in the tar are found once and cached with the
labels. The layout is WebDataset's, but images are read by position, so that any clip can be made
at any time.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vepe.config.documents import check_document_size, parse_json
from vepe.data.images import ImageIndex
from vepe.data.index_cache import cached_index
from vepe.data.label_index import UNKNOWN, LabelIndex, Located, build_index
from vepe.errors import VepeError
from vepe.formats.coco import parse_coco
from vepe.formats.data_paths import is_relative_name
from vepe.formats.files import replacing
from vepe.formats.folder_lock import locked_folder
from vepe.formats.geometry import xyxy_to_xywh


def index_shard(path: Path, *, cache: Path | None = None) -> LabelIndex:
    """The labels of a shard and the positions of its images, from the cache if they are there.

    Raises:
        VepeError: if the shard is missing, no tar, or has no labels.
    """
    if not path.is_file():
        raise VepeError(f"There is no shard '{path}'; check the path to the data.")
    path = path.absolute()  # the cached index must not depend on the working directory
    return cached_index([path], lambda: _build(path), options="shard", folder=cache)


def _build(path: Path) -> LabelIndex:
    data, members = _open(path)
    located = []
    for sequence in parse_coco(data, path):
        for frame in sequence.frames:
            if frame.file_name not in members:
                raise VepeError(f"Shard '{path}' lacks the image 'images/{frame.file_name}'.")
        single = bool(sequence.frames) and "video_id" not in sequence.frames[0].extra
        located.append(Located(sequence, str(path), single, members))
    return build_index(located)


def _open(path: Path) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The labels, and offset and size of each image."""
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            members = {m.name: m for m in tar if m.isfile()}
            for member in members.values():
                # A sparse file may be larger than the tar; reading it would fill the memory.
                if member.issparse() or member.offset_data + member.size > size:
                    raise tarfile.ReadError(f"'{member.name}' is larger than the shard")
            labels = [m for name, m in members.items() if name.endswith(".json")]
            stream = tar.extractfile(labels[0]) if labels else None
            if stream is None:
                raise VepeError(f"Shard '{path}' has no JSON of labels.")
            check_document_size(labels[0].size, f"{labels[0].name} of shard '{path}'")
            data = parse_json(stream.read(), f"{labels[0].name} of shard '{path}'")
    except (tarfile.TarError, ValueError, RecursionError, OSError) as error:
        raise VepeError(f"Shard '{path}' cannot be read ({error}); copy it again.") from error
    except (MemoryError, OverflowError):
        raise VepeError(
            f"Shard '{path}' states a size that is not possible; copy it again."
        ) from None
    images = {
        name.removeprefix("images/"): (member.offset_data, member.size)
        for name, member in members.items()
        if name.startswith("images/")
    }
    return data, images


def write_shards(
    folder: Path,
    images: ImageIndex,
    *,
    megabytes: float = 1000,
    complete: bool = True,
    overwrite: bool = False,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[Path]:
    """Writes images and labels as `NAME-000.tar`, `NAME-001.tar`..., where NAME is the folder's.

    Times that the data set lacks are computed from the index's frame rate.

    Args:
        folder: where the shards go.
        images: of one index, in the data set's own skeleton. Frames of a video stay together.
        megabytes: size at which the next shard begins.
        complete: whether everybody in view is labelled, for images that do not say.
        overwrite: whether shards with that name may be replaced.
        progress: wraps the numbers of the shards, for a progress bar.

    Returns:
        The shards, in order.

    Raises:
        VepeError: if shards exist already, another run writes some there, an image is missing, or
            the disk is full.
    """
    plan = ShardPlan.of(folder, images, megabytes=megabytes, complete=complete)
    with locked_folder(folder):
        for number in progress(plan.todo(overwrite=overwrite)):
            plan.write(number)
        return plan.finish()


@dataclass(frozen=True)
class ShardPlan:
    """Which images go into which shard. It can be pickled, and each shard written anywhere.

    Attributes:
        folder, complete: as `write_shards`.
        images: of one index.
        rows: of the images of each shard.
    """

    folder: Path
    images: ImageIndex
    rows: tuple[tuple[int, ...], ...]
    complete: bool = True

    @staticmethod
    def of(
        folder: Path, images: ImageIndex, *, megabytes: float = 1000, complete: bool = True
    ) -> ShardPlan:
        """Divides the images; arguments as `write_shards`. Frames of a video stay together."""
        shards: list[tuple[int, ...]] = []
        pending: list[int] = []
        size = 0
        for group in _groups(images):
            pending += group
            size += sum(images[row].num_bytes() for row in group)
            if size > megabytes * 1e6:
                shards.append(tuple(pending))
                pending, size = [], 0
        if pending:
            shards.append(tuple(pending))
        return ShardPlan(folder, images, tuple(shards), complete)

    def path(self, number: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"{self.folder.name}-{number:03d}.tar"

    def todo(self, *, overwrite: bool = False, resume: bool = False) -> list[int]:
        """Numbers of the shards to write.

        Args:
            overwrite: whether other shards of that name may be replaced.
            resume: leave those out that were written already from the same labels and images.

        Raises:
            VepeError: if there are shards that are not left out and may not be replaced.
        """
        existing = set(self._existing())
        done = [n for n in range(len(self.rows)) if resume and self._is_written(n)]
        others = sorted(existing - {self.path(number) for number in done})
        if others and not overwrite:
            problem = "already exists; add --overwrite to replace it, --resume to go on after an "
            problem += "interruption"
            if resume:
                problem = "is of other labels, images or options; add --overwrite to replace it"
            raise VepeError(f"'{others[0]}' {problem}, or use another folder.")
        return [number for number in range(len(self.rows)) if number not in done]

    def write(self, number: int) -> Path:
        """Writes a shard; returns its path. Raises VepeError where an image or space is missing."""
        path, rows = self.path(number), self.rows[number]
        names = _names(self.images, rows)
        with replacing(path) as temporary, tarfile.open(temporary, "w") as tar:
            # The labels come first, so that a reader that streams the shard has them at once.
            add_file(tar, f"{path.stem}.json", self._labels(number, names))
            for row, name in zip(rows, names, strict=True):
                add_file(tar, f"images/{name}", self.images[row].raw())
        return path

    def open_writer(self) -> Callable[[int, Callable[[], bool]], int | None]:
        """A function that writes a shard, for a worker, and returns its number of images.

        It takes the shard's number, and a function that says whether to stop; it returns None, with
        nothing written, where that is so at the beginning.
        """

        def write(number: int, stopped: Callable[[], bool]) -> int | None:
            if stopped():
                return None
            self.write(number)
            return len(self.rows[number])

        return write

    def finish(self) -> list[Path]:
        """Removes shards of an earlier, larger division; returns the paths of all shards."""
        paths = [self.path(number) for number in range(len(self.rows))]
        for old in set(self._existing()) - set(paths):
            old.unlink()
        return paths

    def _existing(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.folder.name}-*.tar"))

    def _labels(self, number: int, names: list[str]) -> bytes:
        document = _document(self.images, self.rows[number], names, complete=self.complete)
        return json.dumps(document).encode()

    def _is_written(self, number: int) -> bool:
        """Whether a shard holds these labels, and images of these sizes that did not change since.

        It has its name only if it is whole.
        """
        path, rows = self.path(number), self.rows[number]
        if not path.is_file():
            return False
        names = _names(self.images, rows)
        try:
            data, members = _open(path)
        except VepeError:
            return False
        sizes = {name: self.images[row].num_bytes() for row, name in zip(rows, names, strict=True)}
        written_s = path.stat().st_mtime
        return (
            {name: size for name, (_, size) in members.items()} == sizes
            and data == json.loads(self._labels(number, names))
            and all(self.images[row].changed_s() <= written_s for row in rows)
        )


def _groups(images: ImageIndex) -> list[list[int]]:
    """Rows of each video, or of each single image, in the data set's order."""
    groups: dict[Any, list[int]] = {}
    for row, video in enumerate(images.videos().tolist()):
        groups.setdefault(video if video >= 0 else ("single", row), []).append(row)
    return list(groups.values())


def add_file(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Appends a file of this content."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _names(images: ImageIndex, rows: Sequence[int]) -> list[str]:
    """Names of the images in the shard; duplicates get their folder's number in front."""
    names = [images[row].name.removeprefix("images/") for row in rows]
    for name in names:
        if not is_relative_name(name):
            raise VepeError(f"The image name {name!r} is not safe in a shard; correct it.")
    if len(set(names)) == len(names):
        return names
    places: dict[Path, int] = {}
    return [
        f"{places.setdefault(images[row].place, len(places)):03d}/{name}"
        for row, name in zip(rows, names, strict=True)
    ]


def _document(
    images: ImageIndex, rows: Sequence[int], names: list[str], *, complete: bool
) -> dict[str, Any]:
    """The labels in COCO's format."""
    index = images.indices[0]
    times, videos = images.times_s(), images.videos()
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (row, name) in enumerate(zip(rows, names, strict=True), start=1):
        frame = int(images.rows[row])
        record: dict[str, Any] = {"id": number, "file_name": name}
        width, height = index.size_wh_px[frame].tolist()
        if width and height:
            record |= {"width": width, "height": height}
        record["is_labeled"] = bool(index.labelled[frame])
        marked = int(index.complete[frame])
        if record["is_labeled"]:
            record["complete"] = complete if marked == UNKNOWN else bool(marked)
        if index.stretched[frame]:
            record["square_stretched"] = True
        if videos[row] >= 0:
            record |= {"video_id": int(videos[row]), "time_s": float(times[row])}
            record["frame_index"] = int(index.frame_index[frame])
        records.append(record)
        for annotation in _annotations(index, frame):
            annotations.append({"id": len(annotations) + 1, "image_id": number} | annotation)
    category = {"id": 1, "name": "person", "keypoints": list(index.keypoints)}
    return {"images": records, "annotations": annotations, "categories": [category]}


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
    return xyxy_to_xywh(box_xyxy.astype(np.float64)).tolist()
