"""Value types of the public API: video, frame, poses of one frame, poses of a video.

Arrays are NumPy, values are frozen, and nothing here imports torch. Dimension letters: P people
in a frame, K keypoints of the skeleton.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.errors import VepeError
from vepe.skeleton import Skeleton

NO_TRACK = -1
"""`track_id` of a person that belongs to no track."""


@dataclass(frozen=True)
class VideoInfo:
    """What is known about a video before it is decoded.

    Attributes:
        name: file name, folder name or URL, for messages and results.
        width, height: size of the upright image in pixels (rotation already applied).
        fps: nominal frames per second; every frame has its own timestamp.
        frame_count: number of frames that will be read, or None if unknown (live sources).
        path: the file, where the source is one.
        has_audio: whether the source holds an audio stream.
        live: True for cameras and network streams, which cannot be rewound.
    """

    name: str
    width: int
    height: int
    fps: float
    frame_count: int | None = None
    path: Path | None = None
    has_audio: bool = False
    live: bool = False


@dataclass(frozen=True)
class Frame:
    """One decoded frame: `image` is uint8 RGB of shape (H, W, 3), `time_s` its timestamp."""

    index: int
    time_s: float
    image: np.ndarray
    name: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class FramePoses:
    """The people of one frame, highest score first.

    Attributes:
        frame_index: counts from 0 in the source (not in the processed subset).
        time_s: timestamp of the frame in seconds.
        keypoints_px: (P, K, 2) x, y in pixels of the source image, origin at its top left corner;
            NaN for a keypoint that a file does not have (the network gives all).
        keypoint_scores: (P, K) confidence of every keypoint in 0..1.
        scores: (P,) confidence in 0..1 that this is a person.
        track_ids: (P,) identity over the video, `NO_TRACK` for people without a track.
        embeddings: (P, D) unit-length identity embeddings, or None where the source has none.
    """

    frame_index: int
    time_s: float
    keypoints_px: Float[np.ndarray, "P K 2"]
    keypoint_scores: Float[np.ndarray, "P K"]
    scores: Float[np.ndarray, "P"]
    track_ids: Int[np.ndarray, "P"]
    embeddings: Float[np.ndarray, "P D"] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        """One line: arrays have their own names to be looked at by."""
        count = f"{len(self)} {'person' if len(self) == 1 else 'people'}"
        ids = [str(i) for i in self.track_ids.tolist() if i != NO_TRACK]
        tracked = f", {'id' if len(ids) == 1 else 'ids'} {', '.join(ids)}" if ids else ""
        name = type(self).__name__
        return f"{name}(frame {self.frame_index} at {self.time_s:.2f} s: {count}{tracked})"

    def select(self, index: Int[np.ndarray, "Q"] | Bool[np.ndarray, "P"]) -> Self:
        """The frame with only the people at `index` (integers or a mask), in that order."""
        return replace(
            self,
            keypoints_px=self.keypoints_px[index],
            keypoint_scores=self.keypoint_scores[index],
            scores=self.scores[index],
            track_ids=self.track_ids[index],
            embeddings=None if self.embeddings is None else self.embeddings[index],
        )

    def boxes_xyxy_px(self) -> Float[np.ndarray, "P 4"]:
        """Smallest boxes around all keypoints of each person, as x1, y1, x2, y2 in pixels."""
        low = np.fmin.reduce(self.keypoints_px, axis=1)  # ignores NaN
        high = np.fmax.reduce(self.keypoints_px, axis=1)
        return np.concatenate([low, high], axis=1)

    @staticmethod
    def empty(frame_index: int, time_s: float, num_keypoints: int) -> FramePoses:
        """A frame without people."""
        return FramePoses(
            frame_index=frame_index,
            time_s=time_s,
            keypoints_px=np.zeros((0, num_keypoints, 2), np.float32),
            keypoint_scores=np.zeros((0, num_keypoints), np.float32),
            scores=np.zeros(0, np.float32),
            track_ids=np.zeros(0, np.int64),
        )


@dataclass(frozen=True, eq=False, repr=False)
class PersonTrack:
    """One person over a video: the F frames in which the person was seen, in order of time.

    Attributes:
        track_id: the person's id.
        skeleton: of the K keypoints.
        frame_indices, times_s: (F,) of the frames; frames without the person are left out.
        keypoints_px: (F, K, 2) x, y in pixels of the source image.
        keypoint_scores: (F, K) confidence of every keypoint in 0..1.
        scores: (F,) confidence of the person in 0..1.
    """

    track_id: int
    skeleton: Skeleton
    frame_indices: Int[np.ndarray, "F"]
    times_s: Float[np.ndarray, "F"]
    keypoints_px: Float[np.ndarray, "F K 2"]
    keypoint_scores: Float[np.ndarray, "F K"]
    scores: Float[np.ndarray, "F"]

    def __len__(self) -> int:
        return len(self.times_s)

    def __repr__(self) -> str:
        return (
            f"PersonTrack(id {self.track_id}: {len(self)} frames from {self.times_s[0]:.2f} s to "
            f"{self.times_s[-1]:.2f} s)"
        )

    def keypoint(self, name: str) -> Float[np.ndarray, "F 2"]:
        """The way of one keypoint. Raises VepeError where the skeleton lacks it."""
        return self.keypoints_px[:, self.skeleton.index(name)]


@dataclass(frozen=True, eq=False, repr=False)
class PoseTracks:
    """The poses of a whole video: `frames` in order of time, and their skeleton.

    It has a length, iterates its frames, and is indexed like a list: `tracks[3]` is a frame,
    `tracks[:100]` are the tracks of the first hundred.

    Attributes:
        video: what the poses belong to.
        skeleton: of all poses.
        frames: in order of time.
        file_names: one name per frame where the source has names (a folder of images).
        info: how the poses were made (source, model, version, options, ...), for files that can
            hold it; JSON values.
    """

    video: VideoInfo
    skeleton: Skeleton
    frames: tuple[FramePoses, ...]
    file_names: tuple[str, ...] = field(default=())
    info: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[FramePoses]:
        return iter(self.frames)

    @overload
    def __getitem__(self, index: int) -> FramePoses: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> FramePoses | Self:
        if isinstance(index, slice):
            return replace(self, frames=self.frames[index], file_names=self.file_names[index])
        return self.frames[index]

    def __repr__(self) -> str:
        span = f" from {self[0].time_s:.2f} s to {self[-1].time_s:.2f} s" if len(self) else ""
        ids = len(self.track_ids())
        return (
            f"{type(self).__name__}('{self.video.name}': {len(self)} "
            f"{'frame' if len(self) == 1 else 'frames'}{span}, {ids} "
            f"{'track' if ids == 1 else 'tracks'}, {len(self.skeleton)} keypoints)"
        )

    def track_ids(self) -> list[int]:
        """All identities of the video in ascending order, without `NO_TRACK`."""
        ids = {int(i) for frame in self.frames for i in frame.track_ids}
        return sorted(ids - {NO_TRACK})

    def between(self, start_s: float = 0.0, end_s: float | None = None) -> Self:
        """The frames with `start_s <= time_s < end_s`; their numbers and times stay."""
        end_s = float("inf") if end_s is None else end_s
        chosen = [i for i, f in enumerate(self.frames) if start_s <= f.time_s < end_s]
        return self[chosen[0] : chosen[-1] + 1] if chosen else self[:0]

    def select(self, track_ids: Iterable[int]) -> Self:
        """All frames, with only these people. Raises VepeError on an id that does not occur."""
        wanted = list(track_ids)
        for track_id in wanted:
            self._require(track_id)
        frames = tuple(f.select(np.isin(f.track_ids, wanted)) for f in self.frames)
        return replace(self, frames=frames)

    def person(self, track_id: int) -> PersonTrack:
        """One person over the video, as arrays. Raises VepeError on an id that does not occur."""
        self._require(track_id)
        seen = [(f, np.flatnonzero(f.track_ids == track_id)[:1]) for f in self.frames]
        frames = [frame.select(row) for frame, row in seen if len(row)]
        return PersonTrack(
            track_id=int(track_id),
            skeleton=self.skeleton,
            frame_indices=np.array([f.frame_index for f in frames], np.int64),
            times_s=np.array([f.time_s for f in frames], np.float64),
            keypoints_px=np.concatenate([f.keypoints_px for f in frames]),
            keypoint_scores=np.concatenate([f.keypoint_scores for f in frames]),
            scores=np.concatenate([f.scores for f in frames]),
        )

    def _require(self, track_id: int) -> None:
        ids = self.track_ids()
        if track_id not in ids:
            known = f"its ids are {', '.join(map(str, ids))}" if ids else "it has no ids"
            raise VepeError(f"There is no track {track_id} in '{self.video.name}'; {known}.")
