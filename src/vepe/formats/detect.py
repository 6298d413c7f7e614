"""Reading any format, which is detected from the content of the file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vepe.errors import VepeError, VepeWarning
from vepe.formats.annotations import AnnotatedSequence
from vepe.formats.coco import parse_coco, read_coco
from vepe.formats.files import load_json
from vepe.formats.hdf5 import read_hdf5
from vepe.formats.label_studio import is_label_studio, parse_label_studio, read_label_studio
from vepe.formats.mot import read_mot
from vepe.formats.openpose import read_openpose
from vepe.formats.posetrack import parse_sequences, read_files, read_sequences
from vepe.formats.posetrack17 import read_posetrack17
from vepe.formats.posetrack18 import read_posetrack18
from vepe.formats.sleap import read_slp
from vepe.formats.table import read_csv, read_parquet
from vepe.skeleton import POSETRACK15

READERS: dict[str, Callable[[Path], tuple[AnnotatedSequence, ...]]] = {
    "posetrack17": lambda path: (read_posetrack17(path),),
    "posetrack18": read_posetrack18,
    "posetrack21": read_posetrack18,
    "coco": read_coco,
    "csv": lambda path: (read_csv(path),),
    "parquet": lambda path: (read_parquet(path),),
    "mot": lambda path: (read_mot(path),),
    "openpose": lambda path: (read_openpose(path),),
    "hdf5": lambda path: (read_hdf5(path),),
    "label-studio": read_label_studio,
    "slp": read_slp,
}
"""Formats that can be read, by name; each reads one file (openpose: one folder)."""

_BY_SUFFIX = {
    ".mat": "posetrack17", ".csv": "csv", ".parquet": "parquet", ".txt": "mot", ".h5": "hdf5",
    ".hdf5": "hdf5", ".slp": "slp",
}  # fmt: skip
_RICHEST = (".json", ".mat", ".parquet", ".csv", ".h5", ".hdf5", ".slp", ".txt")
"""Of files that differ only in their ending, as `vepe track` writes them, the first one is read."""
_POSETRACK_IMAGE_KEYS = ("vid_id", "is_labeled", "frame_id", "has_labeled_person", "nframes")


def read_any(path: Path, format: str | None = None) -> tuple[AnnotatedSequence, ...]:
    """All sequences of a file, or of the files in a folder, sorted by name.

    Files of a folder that hold no poses are left out with a warning.

    Args:
        path: file or folder.
        format: one of `READERS`, or None to detect it.

    Raises:
        VepeError: if nothing can be read; names the file and what is wrong.
    """
    if format is not None and format not in READERS:
        raise VepeError(f"Format '{format}' is unknown; choose one of {', '.join(READERS)}.")
    if not path.exists():
        raise VepeError(f"{path} does not exist; check the path.")
    if path.is_file():
        if format == "openpose":
            raise VepeError(f"{path} is a file; name the folder with OpenPose's JSON files.")
        return READERS[format](path) if format else _read_file(path)
    if not path.is_dir():
        raise VepeError(f"{path} is no regular file; name a file or a folder of files.")
    if format == "openpose" or (format is None and _is_openpose_folder(path)):
        return READERS["openpose"](path)
    files = _pose_files(path, everything=format is not None)
    if format is None and not files:
        folders = sorted(f for f in path.iterdir() if f.is_dir() and _is_openpose_folder(f))
        if folders:
            return tuple(read_openpose(folder) for folder in folders)
    if not files:
        below = [
            d for d in sorted(path.iterdir()) if d.is_dir() and _pose_files(d, everything=True)
        ]
        if below:
            raise VepeError(
                f"{path} holds no file of poses itself, but its folders do; name one, such as "
                f"{below[-1]}."
            )
        raise VepeError(
            f"{path} holds no .json, .mat, .csv, .parquet, .h5, .slp or .txt file; check the path."
        )
    return tuple(read_files(files, READERS[format] if format else _read_file))


def _pose_files(folder: Path, *, everything: bool) -> list[Path]:
    """The files of a folder by name; of those of one video in several formats, one with a note."""
    files = [f for f in folder.iterdir() if f.suffix.lower() in _RICHEST and f.is_file()]
    files = sorted(f for f in files if not f.name.startswith("."))
    if everything:
        return files
    best: dict[str, Path] = {}
    for file in sorted(files, key=_richness):
        best.setdefault(_video_name(file), file)
    chosen = [file for file in files if best[_video_name(file)] == file]
    others = [file.name for file in files if file not in chosen]
    if others:
        rest = f" and {len(others) - 3} more" if len(others) > 3 else ""
        warnings.warn(
            f"{folder}: left out, since another file has the same video: {', '.join(others[:3])}"
            f"{rest}; name a file, or choose a format.",
            VepeWarning,
            stacklevel=3,
        )
    return chosen


def _video_name(file: Path) -> str:
    """The name of the video in that of a result of `vepe track`."""
    return file.stem.removesuffix(".coco").removesuffix(".mot")


def _richness(file: Path) -> tuple[int, int, str]:
    return _RICHEST.index(file.suffix.lower()), file.stem.endswith(".coco"), file.name


def _is_openpose_folder(path: Path) -> bool:
    return next(path.glob("*_keypoints.json"), None) is not None


def _read_file(path: Path) -> tuple[AnnotatedSequence, ...]:
    by_suffix = _BY_SUFFIX.get(path.suffix.lower())
    if by_suffix == "posetrack17":
        return read_sequences(path)
    if by_suffix is not None:
        return READERS[by_suffix](path)
    data = load_json(path)
    if is_label_studio(data):
        return parse_label_studio(data, path)
    return parse_coco(data, path) if is_coco(data) else parse_sequences(data, path)


def is_coco(data: Any) -> bool:
    """Whether a document is COCO rather than PoseTrack.

    PoseTrack has its 15 joints among the category's names and a field such as `frame_id`, and no
    `videos`; everything else with `images` counts as COCO.
    """
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        return False
    if "videos" in data:
        return True
    categories = data.get("categories")
    names = {
        str(name)
        for category in (categories if isinstance(categories, list) else [])
        if isinstance(category, dict) and isinstance(category.get("keypoints"), list)
        for name in category["keypoints"]
    }
    if names and not set(POSETRACK15.keypoints) <= names:
        return True
    images = [i for i in data["images"] if isinstance(i, dict)]
    marked = any(key in image for image in images for key in _POSETRACK_IMAGE_KEYS)
    annotations = data.get("annotations")
    confidences = any(
        isinstance(a, dict) and "score" in a and "scores" not in a
        for a in (annotations if isinstance(annotations, list) else [])
    )
    return not marked or confidences
