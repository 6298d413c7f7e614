"""The poses of a video (`PoseTracks`): written in any result format of `vepe track`, and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vepe.errors import VepeError, missing_extra
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, FormatName, Person
from vepe.formats.coco_writer import results_document
from vepe.formats.detect import read_any
from vepe.formats.files import dump_json, encoding
from vepe.formats.geometry import COORDINATE_DECIMALS, SCORE_DECIMALS, person_box, rounded
from vepe.formats.hdf5 import write_hdf5
from vepe.formats.mot import write_mot
from vepe.formats.openpose import write_openpose
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.formats.rerun import write_rerun
from vepe.formats.sleap import write_nwb, write_slp
from vepe.formats.table import write_csv, write_parquet
from vepe.skeleton import POSETRACK15
from vepe.types import NO_TRACK, FramePoses, PoseTracks, VideoInfo

DEFAULT_FPS = 25.0
"""Frames per second of poses in a file without times, unless the caller gives another rate."""


def write_tracks(format: str, path: Path, tracks: PoseTracks) -> Path:
    """Writes the poses of a video and returns the path written; it is replaced at the end.

    Args:
        format: one of `WRITERS`.
        path: output path without suffix, such as `out/clip`; the format's suffix is added
            (`.json`, `.coco.json`, `.csv`, `.mot.txt`, `.parquet`, `.h5`, `.rrd`, `.slp`, `.nwb`,
            folder `_openpose`).
        tracks: the poses.

    Raises:
        VepeError: if the format is unknown or the path cannot be written.
    """
    if format not in WRITERS:
        raise VepeError(f"Format '{format}' is unknown; choose one of {', '.join(WRITERS)}.")
    suffix, write = WRITERS[format]
    has_suffix = path.name.lower().endswith(suffix)
    target = path if has_suffix else path.with_name(path.name + suffix)
    with encoding(target):
        return write(target, tracks)


def format_of(path: Path) -> str:
    """The name of the format in `WRITERS` that a path's ending stands for.

    Raises:
        VepeError: where no format has this ending; lists those that exist.
    """
    matches = [
        (len(suffix), name)
        for name, (suffix, _) in WRITERS.items()
        if path.name.lower().endswith(suffix)
    ]
    if not matches:
        known = ", ".join(f"{suffix} ({name})" for name, (suffix, _) in WRITERS.items())
        raise VepeError(f"The ending of '{path}' names no format; known are {known}.")
    return max(matches)[1]  # `.coco.json` is no `.json`


def check_package(format: str) -> None:
    """Raises VepeError where the package that a format needs is missing."""
    package, extra = EXTRAS.get(format, ("", ""))
    if package and find_spec(package) is None:
        raise missing_extra(f"The format {format}", package, extra)


def read_tracks(path: Path, *, fps: float | None = None) -> tuple[PoseTracks, ...]:
    """The poses of every video in a file (or a folder of files) of any format that holds poses.

    Args:
        path: what `vepe.formats.detect.read_any` reads.
        fps: frames per second, for files without times; 25 if None.

    Raises:
        VepeError: if it cannot be read, or has no keypoints.
    """
    return tuple(tracks_from_sequence(sequence, fps=fps) for sequence in read_any(path))


def tracks_from_sequence(sequence: AnnotatedSequence, *, fps: float | None = None) -> PoseTracks:
    """The inverse of `sequence_from_tracks`; labels become poses too.

    People come out highest score first. A person without a score has the mean of its keypoints'
    scores, or 1 without any; an absent keypoint is NaN with the score 0, a present one without a
    score has 1. Frames without a time get one from their number and `fps`.

    Raises:
        VepeError: where people have boxes but no keypoints, as in MOT's format.
    """
    people = [person for frame in sequence.frames for person in frame.people]
    if people and not any(person.has_points for person in people):
        raise VepeError(f"{sequence.source} holds boxes, but no keypoints; give a file of poses.")
    info = sequence.extra.get("info")
    rate = fps or _frame_rate(sequence)
    frames = []
    for frame in sequence.frames:
        time_s = frame.index / rate if frame.time_s is None else frame.time_s
        frames.append(_frame_poses(frame, time_s, len(sequence.skeleton)))
    sizes = [(f.width, f.height) for f in sequence.frames if f.width and f.height]
    video = VideoInfo(sequence.name, *(sizes[0] if sizes else (0, 0)), rate, len(frames))
    names = tuple(frame.file_name for frame in sequence.frames)
    return PoseTracks(
        video,
        sequence.skeleton,
        tuple(frames),
        names if all(names) else (),
        info if isinstance(info, dict) else {},
    )


def _frame_rate(sequence: AnnotatedSequence) -> float:
    """Frames per second by the times in the file, or 25."""
    timed = [(f.index, f.time_s) for f in sequence.frames if f.time_s is not None]
    if len(timed) > 1:
        (first, start_s), (last, end_s) = timed[0], timed[-1]
        if last > first and end_s > start_s:
            return round((last - first) / (end_s - start_s), 3)  # times have six decimals
    return DEFAULT_FPS


def _frame_poses(frame: AnnotatedFrame, time_s: float, num_keypoints: int) -> FramePoses:
    poses = FramePoses.empty(frame.index, time_s, num_keypoints)
    if not frame.people:
        return poses
    points = np.stack([p.keypoints_px for p in frame.people])
    stated = np.stack([p.keypoint_scores for p in frame.people])
    present = np.stack([p.present for p in frame.people])  # (P, K)
    present &= (points != 0).any(axis=2) | (stated != 0)  # COCO results have 0, 0, 0
    keypoint_scores = np.where(present, np.where(np.isnan(stated), 1.0, stated), 0.0)
    means = keypoint_scores.sum(1) / np.maximum(present.sum(1), 1)
    scores = [p.score for p in frame.people]
    people = replace(
        poses,
        keypoints_px=np.where(present[..., None], points, np.nan).astype(np.float32),
        keypoint_scores=keypoint_scores.astype(np.float32),
        scores=np.array(
            [m if s is None else s for s, m in zip(scores, means, strict=True)], np.float32
        ),
        track_ids=np.array(
            [NO_TRACK if p.track_id is None else p.track_id for p in frame.people], np.int64
        ),
    )
    return people.select(np.argsort(-people.scores, kind="stable"))


def sequence_from_tracks(tracks: PoseTracks) -> AnnotatedSequence:
    """The poses as a sequence: boxes are the extents of the keypoints, NaN is an absent keypoint.

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
    extra = {"info": tracks.info} if tracks.info else {}
    return AnnotatedSequence(stem, frames, tracks.skeleton, source, kind, extra)


def _people(poses: FramePoses, visibility: float) -> tuple[Person, ...]:
    present = np.isfinite(poses.keypoints_px).all(axis=2)  # (P, K)
    xy = rounded(np.where(present[..., None], poses.keypoints_px, 0.0), COORDINATE_DECIMALS)
    keypoint_scores = rounded(poses.keypoint_scores, SCORE_DECIMALS)
    people = []
    for i in range(len(poses)):
        person = Person(
            keypoints_px=xy[i],
            present=present[i],
            visibility=np.where(present[i], visibility, 0.0),
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
    "hdf5": (".h5", lambda path, t: write_hdf5(path, sequence_from_tracks(t))),
    "rerun": (".rrd", write_rerun),
    "slp": (".slp", lambda path, t: write_slp(path, sequence_from_tracks(t))),
    "nwb": (".nwb", lambda path, t: write_nwb(path, sequence_from_tracks(t))),
}
"""Each format's file suffix and writer, by name."""

EXTRAS = {
    "parquet": ("pyarrow", "parquet"),
    "hdf5": ("h5py", "hdf5"),
    "rerun": ("rerun", "rerun"),
    "slp": ("sleap_io", "sleap"),
    "nwb": ("sleap_io", "sleap"),
}
"""Formats that need a package: the module, and the extra that installs it."""
