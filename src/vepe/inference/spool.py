"""Poses on their way to disk: spooled to a nameless file while they come, written at the end.

A long video must not cost more memory than a short one, and an interrupted one must leave a valid
file of what was done. So every frame is appended to a temporary file that the system removes by
itself, and PoseTrack's JSON is written from it frame by frame.

A pose takes three forms from network to JSON: tensors (`PoseOutput`), arrays (`FramePoses`, also in
the spool) and the JSON record.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from vepe.errors import VepeError
from vepe.formats.files import replacing
from vepe.formats.geometry import COORDINATE_DECIMALS, SCORE_DECIMALS, flat_numbers, rounded
from vepe.formats.posetrack18 import coded_frame_id
from vepe.formats.posetrack18_writer import posetrack18_document
from vepe.formats.tracks import WRITERS, sequence_from_tracks, write_tracks
from vepe.skeleton import Skeleton
from vepe.types import FramePoses, PoseTracks, VideoInfo


class PoseSpool:
    """The finished frames of a video, in order, on disk; a context manager, empty once closed.

    Args:
        folder: where the temporary file lies; created if missing.
        video, skeleton: what the poses belong to.

    Attributes:
        frames: number of frames so far.
        people: number of people in all of them.

    Raises:
        VepeError: where the folder cannot be written to.
    """

    def __init__(self, folder: Path, video: VideoInfo, skeleton: Skeleton) -> None:
        self.video, self.skeleton = video, skeleton
        self.frames = self.people = 0
        self._ids: set[int] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = tempfile.TemporaryFile("w+b", dir=folder)  # noqa: SIM115
        except OSError as error:
            raise _unwritable(folder, error) from None
        self._folder = folder

    @property
    def track_ids(self) -> int:
        """Number of identities so far."""
        return len(self._ids)

    def append(self, poses: FramePoses, file_name: str) -> None:
        """Adds the next frame. Raises VepeError where the disk is full."""
        try:
            # No one else can write to the file: it has no name.
            pickle.dump((replace(poses, embeddings=None), file_name), self._file, protocol=5)
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
        for _ in range(self.frames):
            yield pickle.load(self._file)

    def tracks(self) -> PoseTracks:
        """All frames in memory, for formats that are written at once."""
        entries = list(self.read())
        names = tuple(name for _, name in entries)
        return PoseTracks(self.video, self.skeleton, tuple(p for p, _ in entries), names)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # a full disk raises again when the last bytes are flushed
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


InfoOf = Callable[[list[Path]], Mapping[str, Any]]
"""The `info` block of a result, from the other files that belong to it."""


def write_results(
    spool: PoseSpool, stem: Path, formats: tuple[str, ...], info_of: InfoOf | None = None
) -> list[Path]:
    """Writes the poses in each format; PoseTrack's takes no memory that grows with the video.

    PoseTrack's is written last, so that its `info` describes files that exist.

    Raises:
        VepeError: where a file cannot be written.
    """
    rest = [name for name in formats if name != "posetrack"]
    written = {}
    if rest:
        tracks = spool.tracks()
        written = {name: write_tracks(name, stem, tracks) for name in rest}
    if "posetrack" in formats:
        info = info_of([*written.values()]) if info_of else None
        path = result_paths(stem, ("posetrack",))[0]
        written["posetrack"] = write_posetrack(spool, path, info)
    return [written[name] for name in formats]


def write_posetrack(spool: PoseSpool, path: Path, info: Mapping[str, Any] | None = None) -> Path:
    """PoseTrack18's JSON as `vepe.formats.posetrack18_writer` writes it, but frame by frame."""
    ids, records = _coded_ids(spool), _Records(spool.video, spool.skeleton)

    def entries() -> Iterator[tuple[FramePoses, str, int]]:
        for i, (poses, name) in enumerate(spool.read()):
            yield poses, name, poses.frame_index if ids is None else ids[i]

    with replacing(path) as partial, partial.open("w", encoding="utf-8") as file:
        block = "" if info is None else f'"info": {json.dumps(info, allow_nan=False)}, '
        file.write(f'{{{block}"images": [')
        for i, (poses, name, image_id) in enumerate(entries()):
            record = records.image(poses, name, image_id, coded=ids is not None)
            file.write((", " if i else "") + json.dumps(record, allow_nan=False))
        file.write('], "annotations": [')
        count = 0
        for poses, _, image_id in entries():
            for record in records.annotations(poses, image_id):
                count += 1
                text = json.dumps({"id": count, **record}, allow_nan=False)
                file.write((", " if count > 1 else "") + text)
        file.write('], "categories": ' + json.dumps(records.categories) + "}\n")
    return path


def _coded_ids(spool: PoseSpool) -> list[int] | None:
    """PoseTrack's own ids of the frames, where all file names hold them; else None.

    As `vepe.formats.posetrack18.frame_ids`, but for a video, whose frames have no names of their
    own, the first frame decides.
    """
    ids = []
    for _, name in spool.read():
        coded = coded_frame_id(name)
        if coded is None:
            return None
        ids.append(coded)
    return ids if len(set(ids)) == len(ids) else None


class _Records:
    """JSON records of poses in PoseTrack18's layout.

    Attributes:
        categories: with the names of the keypoints, as the formats' own writer has them.
    """

    def __init__(self, video: VideoInfo, skeleton: Skeleton) -> None:
        document = posetrack18_document(sequence_from_tracks(PoseTracks(video, skeleton, ())))
        self.categories = document["categories"]
        self._size = {"width": video.width, "height": video.height} if video.width else {}
        names = self.categories[0]["keypoints"]
        self._slots = [names.index(n) for n in skeleton.keypoints if n in names]
        self._columns = [i for i, n in enumerate(skeleton.keypoints) if n in names]
        self._count = len(names)

    def image(self, poses: FramePoses, name: str, image_id: int, *, coded: bool) -> dict[str, Any]:
        """The record of a frame."""
        return {
            "id": image_id,
            "frame_id": image_id if coded else poses.frame_index,
            "file_name": name,
            "is_labeled": True,
            "time_s": round(float(poses.time_s), 6),
            **self._size,
        }

    def annotations(self, poses: FramePoses, image_id: int) -> Iterator[dict[str, Any]]:
        """The records of its people, without their ids."""
        people = len(poses)
        points = rounded(poses.keypoints_px, COORDINATE_DECIMALS)  # (P, K, 2)
        low, high = points.min(axis=1), points.max(axis=1)  # (P, 2)
        boxes = rounded(np.concatenate([low, high - low], axis=1), COORDINATE_DECIMALS)
        keypoints = np.zeros((people, self._count, 3))
        keypoints[:, self._slots, :2] = points[:, self._columns]
        keypoints[:, self._slots, 2] = 1
        scores = np.zeros((people, self._count))
        scores[:, self._slots] = rounded(poses.keypoint_scores, SCORE_DECIMALS)[:, self._columns]
        for i in range(people):
            yield {
                "image_id": image_id,
                "category_id": self.categories[0].get("id", 1),
                "track_id": int(poses.track_ids[i]),
                "bbox": boxes[i].tolist(),
                "keypoints": flat_numbers(keypoints[i]),
                "scores": scores[i].tolist(),
                "score": round(float(poses.scores[i]), SCORE_DECIMALS),
            }


def _unwritable(folder: Path, error: OSError) -> VepeError:
    reason = (error.strerror or str(error)).lower()
    return VepeError(
        f"The folder '{folder}' cannot be written to ({reason}); check its rights and the free "
        "space, or give another."
    )
