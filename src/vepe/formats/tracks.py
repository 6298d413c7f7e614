"""Writing the poses of a video (`PoseTracks`) in any result format of `vepe track`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, FormatName, Person
from vepe.formats.coco_writer import results_document
from vepe.formats.files import dump_json
from vepe.formats.geometry import COORDINATE_DECIMALS, SCORE_DECIMALS, person_box, rounded
from vepe.formats.mot import write_mot
from vepe.formats.openpose import write_openpose
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.formats.table import write_csv, write_parquet
from vepe.skeleton import POSETRACK15
from vepe.types import NO_TRACK, FramePoses, PoseTracks


def write_tracks(format: str, path: Path, tracks: PoseTracks) -> Path:
    """Writes the poses of a video and returns the path written; it is replaced at the end.

    Args:
        format: one of `WRITERS`.
        path: output path without suffix, such as `out/clip`; the format's suffix is added
            (`.json`, `.coco.json`, `.csv`, `.mot.txt`, `.parquet`, folder `_openpose`).
        tracks: the poses.

    Raises:
        VepeError: if the format is unknown or the path cannot be written.
    """
    if format not in WRITERS:
        raise VepeError(f"Format '{format}' is unknown; choose one of {', '.join(WRITERS)}.")
    suffix, write = WRITERS[format]
    target = path if path.name.endswith(suffix) else path.with_name(path.name + suffix)
    return write(target, tracks)


def sequence_from_tracks(tracks: PoseTracks) -> AnnotatedSequence:
    """The poses as a sequence: every keypoint present, boxes the extents of the keypoints.

    Coordinates are rounded to 0.001 px, scores to 6 decimals, times to a microsecond. A frame
    without a name is called '<video>/<frame number in 6 digits>.jpg'.
    """
    stem = Path(tracks.video.name).stem or "video"
    names = tracks.file_names or tuple(f"{stem}/{f.frame_index:06d}.jpg" for f in tracks.frames)
    width, height = tracks.video.width or None, tracks.video.height or None
    kind: FormatName = "coco"
    if set(POSETRACK15.keypoints) <= set(tracks.skeleton.keypoints):
        kind = "posetrack18"
    frames = tuple(
        AnnotatedFrame(
            index=poses.frame_index,
            file_name=name,
            image_id=None,
            is_labeled=True,
            has_annotations=len(poses) > 0,
            people=_people(poses, visibility=2.0 if kind == "coco" else 1.0),
            width=width,
            height=height,
            time_s=round(float(poses.time_s), 6),
        )
        for name, poses in zip(names, tracks.frames, strict=True)
    )
    source = tracks.video.path or Path(tracks.video.name)
    return AnnotatedSequence(stem, frames, tracks.skeleton, source, kind)


def _people(poses: FramePoses, visibility: float) -> tuple[Person, ...]:
    num_keypoints = poses.keypoint_scores.shape[1]
    xy = rounded(poses.keypoints_px, COORDINATE_DECIMALS)
    keypoint_scores = rounded(poses.keypoint_scores, SCORE_DECIMALS)
    people = []
    for i in range(len(poses)):
        person = Person(
            keypoints_px=xy[i],
            present=np.ones(num_keypoints, bool),
            visibility=np.full(num_keypoints, visibility),
            keypoint_scores=keypoint_scores[i],
            score=round(float(poses.scores[i]), SCORE_DECIMALS),
            track_id=None if poses.track_ids[i] == NO_TRACK else int(poses.track_ids[i]),
        )
        box = person_box(person)
        box = None if box is None else rounded(box, COORDINATE_DECIMALS)
        people.append(replace(person, box_xywh_px=box))
    return tuple(people)


def _write_coco(path: Path, tracks: PoseTracks) -> Path:
    """COCO results (x, y, confidence) with `track_id` and `time_s`."""
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
    "coco": (".coco.json", _write_coco),
    "csv": (".csv", lambda path, t: write_csv(path, sequence_from_tracks(t))),
    "mot": (".mot.txt", lambda path, t: write_mot(path, sequence_from_tracks(t))),
    "parquet": (".parquet", lambda path, t: write_parquet(path, sequence_from_tracks(t))),
    "openpose": ("_openpose", lambda path, t: write_openpose(path, sequence_from_tracks(t))),
}
"""Each format's file suffix and writer, by name."""
