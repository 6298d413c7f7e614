"""Value types of the public API: video, frame, poses of one frame, poses of a video.

Arrays are NumPy, values are frozen, and nothing here imports torch. Dimension letters: P people
in a frame, K keypoints of the skeleton.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

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


@dataclass(frozen=True)
class FramePoses:
    """The people of one frame, highest score first.

    Attributes:
        frame_index: counts from 0 in the source (not in the processed subset).
        time_s: timestamp of the frame in seconds.
        keypoints_px: (P, K, 2) x, y in pixels of the source image, origin at its top left corner.
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

    def select(self, index: Int[np.ndarray, "Q"] | Bool[np.ndarray, "P"]) -> FramePoses:
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
        low, high = self.keypoints_px.min(axis=1), self.keypoints_px.max(axis=1)
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


@dataclass(frozen=True)
class PoseTracks:
    """The poses of a whole video: `frames` in order of time, and their skeleton.

    `file_names` has one name per frame where the source has names (a folder of images).
    """

    video: VideoInfo
    skeleton: Skeleton
    frames: tuple[FramePoses, ...]
    file_names: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.frames)

    def track_ids(self) -> list[int]:
        """All identities of the video in ascending order, without `NO_TRACK`."""
        ids = {int(i) for frame in self.frames for i in frame.track_ids}
        return sorted(ids - {NO_TRACK})
