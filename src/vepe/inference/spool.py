"""Poses on their way to disk: kept in a nameless file while they come, written as files at the end.

A long video must not cost more memory than a short one, and an interrupted one must leave a valid
file of what was done. So every frame is appended to a temporary file that the system removes by
itself, and PoseTrack's JSON is put together from it, frame by frame.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np

from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.formats.posetrack18 import coded_frame_id
from vepe.formats.posetrack18_writer import posetrack18_document
from vepe.formats.tracks import sequence_from_tracks
from vepe.formats.writers import WRITERS, write_tracks
from vepe.skeleton import Skeleton
from vepe.types import FramePoses, PoseTracks, VideoInfo

_TRUTH_ONLY = ("ignore_regions_x", "ignore_regions_y", "vid_id", "nframes")


class PoseSpool:
    """Frames that were done, in order, on disk; a context manager, empty once it is closed.

    Args:
        folder: where the temporary file lies; made if missing.
        video, skeleton: what the poses are of.

    Attributes:
        frames: how many frames were added.
        people: how many people in all of them.

    Raises:
        VepeError: where the folder cannot be written to.
    """

    def __init__(self, folder: Path, video: VideoInfo, skeleton: Skeleton) -> None:
        self.video, self.skeleton = video, skeleton
        self.frames = self.people = 0
        self._ids: set[int] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = tempfile.TemporaryFile("w+", encoding="utf-8", dir=folder)  # noqa: SIM115
        except OSError as error:
            raise _unwritable(folder, error) from None
        self._folder = folder

    @property
    def track_ids(self) -> int:
        """How many identities there are so far."""
        return len(self._ids)

    def append(self, poses: FramePoses, file_name: str) -> None:
        """Adds the next frame. Raises VepeError where the disk is full."""
        record = {
            "name": file_name,
            "frame_index": poses.frame_index,
            "time_s": poses.time_s,
            "keypoints_px": poses.keypoints_px.tolist(),
            "keypoint_scores": poses.keypoint_scores.tolist(),
            "scores": poses.scores.tolist(),
            "track_ids": poses.track_ids.tolist(),
        }
        try:
            self._file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        self.frames += 1
        self.people += len(poses)
        self._ids.update(poses.track_ids.tolist())

    def read(self) -> Iterator[tuple[FramePoses, str]]:
        """All frames with their names, from the first; one iteration at a time."""
        try:
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        self._file.seek(0)
        count = len(self.skeleton)
        for line in self._file:
            record = json.loads(line)
            points = np.asarray(record["keypoints_px"], np.float32).reshape(-1, count, 2)
            poses = FramePoses(
                frame_index=record["frame_index"],
                time_s=record["time_s"],
                keypoints_px=points,
                keypoint_scores=np.asarray(record["keypoint_scores"]).reshape(-1, count),
                scores=np.asarray(record["scores"]),
                track_ids=np.asarray(record["track_ids"], np.int64),
            )
            yield poses, record["name"]

    def tracks(self) -> PoseTracks:
        """All of it in memory, for formats that need it so."""
        everything = list(self.read())
        names = tuple(name for _, name in everything)
        return PoseTracks(self.video, self.skeleton, tuple(p for p, _ in everything), names)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # a full disk says so again when the last bytes are flushed
            self._file.close()


def result_paths(stem: Path, formats: tuple[str, ...]) -> list[Path]:
    """The files that `write_results` makes; `stem` is a path without ending.

    Raises:
        VepeError: on an unknown format.
    """
    unknown = [name for name in formats if name not in WRITERS]
    if unknown:
        raise VepeError(f"There is no format '{unknown[0]}'; choose from {', '.join(WRITERS)}.")
    return [stem.with_name(stem.name + WRITERS[name][0]) for name in formats]


def write_results(spool: PoseSpool, stem: Path, formats: tuple[str, ...]) -> list[Path]:
    """Writes the poses in each format; PoseTrack's costs no memory that grows with the video.

    Raises:
        VepeError: where a file cannot be written.
    """
    written, rest = [], [name for name in formats if name != "posetrack"]
    if "posetrack" in formats:
        written.append(write_posetrack(spool, result_paths(stem, ("posetrack",))[0]))
    if rest:
        tracks = spool.tracks()
        written += [write_tracks(name, stem, tracks) for name in rest]
    return written


def write_posetrack(spool: PoseSpool, path: Path) -> Path:
    """PoseTrack18's layout, as `vepe.formats.posetrack18_writer` has it, written frame by frame."""
    ids = _coded_ids(spool)
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as out:
        out.write('{"images": [')
        for i, document in enumerate(_documents(spool, ids)):
            image = {k: v for k, v in document["images"][0].items() if k not in _TRUTH_ONLY}
            out.write((", " if i else "") + json.dumps(image, allow_nan=False))
        out.write('], "annotations": [')
        count = 0
        for document in _documents(spool, ids):
            for annotation in document["annotations"]:
                count += 1
                record = {**annotation, "id": count}
                out.write((", " if count > 1 else "") + json.dumps(record, allow_nan=False))
        empty = FramePoses.empty(0, 0.0, len(spool.skeleton))
        categories = _document(spool, empty, "", 0)["categories"]
        out.write('], "categories": ' + json.dumps(categories) + "}\n")
    return path


def _coded_ids(spool: PoseSpool) -> list[int] | None:
    """PoseTrack's own ids of the frames, where all their names allow it; else frames are numbered.

    The rule of `vepe.formats.posetrack18`, but for a video, whose frames have no names of their own,
    the first one decides.
    """
    ids = []
    for _, name in spool.read():
        coded = coded_frame_id(name)
        if coded is None:
            return None
        ids.append(coded)
    return ids if len(set(ids)) == len(ids) else None


def _documents(spool: PoseSpool, ids: list[int] | None) -> Iterator[dict[str, Any]]:
    for i, (poses, name) in enumerate(spool.read()):
        yield _document(spool, poses, name, poses.frame_index if ids is None else ids[i])


def _document(spool: PoseSpool, poses: FramePoses, name: str, image_id: int) -> dict[str, Any]:
    """The document of one frame as if it were a whole video."""
    sequence = sequence_from_tracks(PoseTracks(spool.video, spool.skeleton, (poses,), (name,)))
    frame = replace(sequence.frames[0], image_id=image_id)
    return posetrack18_document(replace(sequence, frames=(frame,)))


def _unwritable(folder: Path, error: OSError) -> VepeError:
    reason = (error.strerror or str(error)).lower()
    return VepeError(
        f"The folder '{folder}' cannot be written to ({reason}); check its rights and the free "
        "space, or give another."
    )
