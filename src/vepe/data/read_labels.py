"""Reading labelled sets of any format we know (PoseTrack17/18/21, COCO-like JSON) into an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vepe.data.index_cache import cached_index
from vepe.data.label_index import LabelIndex, Located, build_index
from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedSequence
from vepe.formats.coco import parse_coco
from vepe.formats.detect import is_coco
from vepe.formats.files import load_json
from vepe.formats.image_files import ImageFinder
from vepe.formats.posetrack import parse_sequence, read_sequence

POSETRACK_LAYOUTS = (
    "posetrack_data/annotations/{split}",
    "posetrack_data/{split}",
    "annotations/{split}",
    "{split}",
)
"""Where the releases keep the annotations of a split: 2018, 2021, 2017, and files put flat."""


def posetrack_files(root: Path, split: str) -> list[Path]:
    """The annotation files of a split in any of the releases' layouts, by name.

    Raises:
        VepeError: where none of the layouts is there.
    """
    for layout in POSETRACK_LAYOUTS:
        folder = root / layout.format(split=split)
        found = {file.stem: file for file in sorted(folder.glob("*.mat"))}
        found |= {file.stem: file for file in sorted(folder.glob("*.json"))}
        if found:
            return [found[name] for name in sorted(found)]
    places = ", ".join(f"'{layout.format(split=split)}'" for layout in POSETRACK_LAYOUTS)
    raise VepeError(
        f"'{root}' has no annotation files of the split '{split}' (looked in {places}); check "
        "`root` and `split`, or give `annotations`."
    )


def matching_files(root: Path, patterns: Iterable[str], what: str) -> list[Path]:
    """The files below a folder that match glob patterns (or are named by a full path), by name.

    Raises:
        VepeError: where a pattern matches nothing; `what` names the option in the message.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern).expanduser()
        base = Path(path.anchor) if path.is_absolute() else root
        relative = str(path.relative_to(base)) if path.is_absolute() else pattern
        paths = sorted(base.glob(relative))
        if not paths:
            raise VepeError(
                f"No files match '{base / relative}'; check `{what}`, `root` and --data-root."
            )
        found += paths
    return found


def annotation_files(paths: Iterable[Path]) -> list[Path]:
    """Files as they are, and of folders all .json and .mat files in them, by name.

    Raises:
        VepeError: where one is not there, or there is none at all.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += [f for f in sorted(path.iterdir()) if f.suffix.lower() in (".json", ".mat")]
        elif path.is_file():
            found.append(path)
        else:
            raise VepeError(f"There is no file or folder '{path}'; check the path.")
    if not found:
        raise VepeError("There is no .json or .mat file in these folders; check the path.")
    return found


def read_label_files(
    files: list[Path], images: Path, *, single: bool, cache: Path | None = None
) -> LabelIndex:
    """The index of annotation files, from the cache where it holds them.

    Args:
        files: JSON or .mat files, all with the same keypoints.
        images: folder that the names of pictures are relative to, or one above it.
        single: True takes every picture on its own, False takes files as videos (in COCO-like
            files every `video_id` is one; without any the whole file is).
        cache: folder of the cache, the user's unless given.

    Raises:
        VepeError: names what is missing or wrong.
    """
    # The index is kept, for whatever folder the next run starts in.
    files, images = [file.absolute() for file in files], images.absolute()

    def build() -> LabelIndex:
        return build_index(_located(files, single=single))

    index = cached_index(files, build, options=f"single={single}", folder=cache)
    return _with_places(index, images)


def _located(files: list[Path], *, single: bool) -> Iterator[Located]:
    """All sequences; their place is the annotation file, for pictures may move in the meantime."""
    for file in files:
        for sequence in _sequences(file):
            yield Located(sequence, str(file), single)


def _sequences(file: Path) -> tuple[AnnotatedSequence, ...]:
    if file.suffix.lower() == ".mat":
        return (read_sequence(file),)
    data = load_json(file)
    return parse_coco(data, file) if is_coco(data) else (parse_sequence(data, file),)


def _with_places(index: LabelIndex, images: Path) -> LabelIndex:
    """The index with the folders of the pictures in place of the annotation files."""
    finder = ImageFinder(images)
    _, firsts = np.unique(index.place, return_index=True)
    places = list(index.places)
    for first in firsts.tolist():
        number = int(index.place[first])
        last = int(np.flatnonzero(index.place == number)[-1])
        some = [index.name(first), index.name((first + last) // 2), index.name(last)]
        places[number] = str(finder.base_for(Path(index.places[number]), some) or images)
    return replace(index, places=tuple(places))
