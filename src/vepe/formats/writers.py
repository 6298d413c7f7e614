"""The formats that `vepe track` writes, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vepe.errors import VepeError
from vepe.formats.coco_writer import results_document
from vepe.formats.files import dump_json
from vepe.formats.mot import write_mot
from vepe.formats.openpose import write_openpose
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.formats.table import write_csv, write_parquet
from vepe.formats.tracks import sequence_from_tracks
from vepe.types import PoseTracks


def write_coco_tracks(path: Path, tracks: PoseTracks) -> Path:
    """Writes a video's poses as COCO results (x, y, confidence) with `track_id` and `time_s`."""
    sequence = sequence_from_tracks(tracks)
    fields = (
        {
            "frame_id": frame.index,
            "file_name": frame.file_name,
            "width": frame.width,
            "height": frame.height,
            "time_s": frame.time_s,
        }
        for frame in sequence.frames
    )
    entries = zip(fields, tracks.frames, strict=True)
    return dump_json(path, results_document(tracks.skeleton, entries))


WRITERS: dict[str, tuple[str, Callable[[Path, PoseTracks], Path]]] = {
    "posetrack": (".json", lambda path, t: write_posetrack18(path, sequence_from_tracks(t))),
    "coco": (".coco.json", write_coco_tracks),
    "csv": (".csv", lambda path, t: write_csv(path, sequence_from_tracks(t))),
    "mot": (".mot.txt", lambda path, t: write_mot(path, sequence_from_tracks(t))),
    "parquet": (".parquet", lambda path, t: write_parquet(path, sequence_from_tracks(t))),
    "openpose": ("_openpose", lambda path, t: write_openpose(path, sequence_from_tracks(t))),
}
"""Name of a format to its file ending and its writer."""


def write_tracks(format: str, path: Path, tracks: PoseTracks) -> Path:
    """Writes the poses of a video and returns the path written, beside and renamed.

    Args:
        format: one of `WRITERS`.
        path: output path without ending, such as `out/clip`; the format's ending is added
            (`.json`, `.coco.json`, `.csv`, `.mot.txt`, `.parquet`, folder `_openpose`).
        tracks: the poses.

    Raises:
        VepeError: on an unknown format, or where the path cannot be written.
    """
    if format not in WRITERS:
        raise VepeError(f"Format '{format}' is unknown; choose one of {', '.join(WRITERS)}.")
    ending, write = WRITERS[format]
    target = path if path.name.endswith(ending) else path.with_name(path.name + ending)
    return write(target, tracks)
