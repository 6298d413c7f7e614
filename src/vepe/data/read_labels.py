"""Annotation files (PoseTrack17, 18, 21 and COCO-like JSON) -> one index per data set.

A new format needs a reader in `formats`, and a case in `_sequences`.
"""

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
from vepe.formats.posetrack import parse_sequences, read_files, read_sequences

POSETRACK_LAYOUTS = (
    "posetrack_data/annotations/{split}",
    "posetrack_data/{split}",
    "annotations/{split}",
    "{split}",
)
"""Where releases have the annotations of a split: 2018, 2021, 2017, and a flat folder."""


def posetrack_files(root: Path, split: str) -> list[Path]:
    """The annotation files of a split in any of the releases' layouts, by name.

    Without such a folder, the merged file of the split as mmpose has it.

    Raises:
        VepeError: if none of the layouts exists.
    """
    for layout in POSETRACK_LAYOUTS:
        folder = root / layout.format(split=split)
        files = {file.stem: file for file in sorted(folder.glob("*.mat"))}
        files |= {file.stem: file for file in sorted(folder.glob("*.json"))}
        if files:
            return [files[name] for name in sorted(files)]
    merged = sorted((root / "annotations").glob(f"posetrack[12]?_{split}.json"))
    if merged:
        return merged
    folders = ", ".join(f"'{layout.format(split=split)}'" for layout in POSETRACK_LAYOUTS)
    raise VepeError(
        f"'{root}' has no annotation files of the split '{split}' (looked in {folders}); check "
        "`root` and `split`, or give `annotations`."
    )


def matching_files(root: Path, patterns: Iterable[str], what: str) -> list[Path]:
    """The files below a folder that match glob patterns (absolute ones too), sorted by name.

    Raises:
        VepeError: if a pattern matches nothing; `what` names the option in the message.
    """
    files: list[Path] = []
    for pattern in patterns:
        path = Path(pattern).expanduser()
        base = Path(path.anchor) if path.is_absolute() else root
        relative = str(path.relative_to(base)) if path.is_absolute() else pattern
        paths = sorted(base.glob(relative))
        if not paths:
            raise VepeError(
                f"No files match '{base / relative}'; check `{what}`, `root` and --data-root."
            )
        files += paths
    return files


def annotation_files(paths: Iterable[Path]) -> list[Path]:
    """The files themselves, and all .json and .mat files of folders, sorted by name.

    Raises:
        VepeError: if one does not exist, or there is none at all.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += [f for f in sorted(path.iterdir()) if f.suffix.lower() in (".json", ".mat")]
        elif path.is_file():
            files.append(path)
        else:
            raise VepeError(f"There is no file or folder '{path}'; check the path.")
    if not files:
        raise VepeError("There is no .json or .mat file in these folders; check the path.")
    return files


def read_label_files(
    files: list[Path], images: Path, *, single: bool, cache: Path | None = None
) -> LabelIndex:
    """The index of annotation files, from the cache if it is there.

    Args:
        files: JSON or .mat files, all with the same keypoints.
        images: folder that image names are relative to, or one above it.
        single: True for single images, False for videos (in COCO-like files every `video_id` is
            one; without any, the whole file is).
        cache: cache folder, the user's by default.

    Raises:
        VepeError: if a file is missing or wrong, or keypoints differ between files.
    """
    # The cached index must not depend on the working directory.
    files, images = [file.absolute() for file in files], images.absolute()

    def build() -> LabelIndex:
        return build_index(_located(files, single=single))

    index = cached_index(files, build, options=f"single={single}", folder=cache)
    return _with_places(index, images)


def _located(files: list[Path], *, single: bool) -> Iterator[Located]:
    """All sequences. Their place is the annotation file, because images may be moved later."""
    for sequence in read_files(files, _sequences):
        yield Located(sequence, str(sequence.source), single)


def _sequences(file: Path) -> tuple[AnnotatedSequence, ...]:
    if file.suffix.lower() == ".mat":
        return read_sequences(file)
    data = load_json(file)
    return parse_coco(data, file) if is_coco(data) else parse_sequences(data, file)


def _with_places(index: LabelIndex, images: Path) -> LabelIndex:
    """The index with image folders as places instead of annotation files."""
    finder = ImageFinder(images)
    _, firsts = np.unique(index.place, return_index=True)
    places = list(index.places)
    for first in firsts.tolist():
        number = int(index.place[first])
        last = int(np.flatnonzero(index.place == number)[-1])
        names = [index.name(first), index.name((first + last) // 2), index.name(last)]
        places[number] = str(finder.base_for(Path(index.places[number]), names) or images)
    return replace(index, places=tuple(places))
