"""Walking figures on straight lines with exact ids (test support, no tests)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vepe.skeleton import POSETRACK15
from vepe.types import FramePoses, PoseTracks, VideoInfo

K = len(POSETRACK15)
HEIGHT_PX = 200.0

_ACROSS = {"left": -0.1, "right": 0.1}
_DOWN = {"shoulder": 0.2, "elbow": 0.35, "wrist": 0.5, "hip": 0.5, "knee": 0.75, "ankle": 1.0}


def figure() -> np.ndarray:
    """An upright figure of `HEIGHT_PX`, centred at the origin, (15, 2)."""
    points = []
    for name in POSETRACK15.keypoints:
        side, _, part = name.partition("_")
        if side in _ACROSS:
            points.append((_ACROSS[side], _DOWN[part]))
        else:
            points.append((0.0, {"nose": 0.08, "head_bottom": 0.15, "head_top": 0.0}[name]))
    return (np.array(points) - (0.0, 0.5)) * HEIGHT_PX


def direction(person: int, width: int = 16) -> np.ndarray:
    """Unit embedding of a person, orthogonal to those of the others."""
    return np.eye(width)[person]


@dataclass(frozen=True)
class Walker:
    """A person on a straight path: position at time 0, velocity, and when it is unseen."""

    person: int
    start_px: tuple[float, float]
    velocity_px_s: tuple[float, float] = (0.0, 0.0)
    unseen_s: tuple[float, float] = (0.0, 0.0)

    def sees(self, time_s: float) -> bool:
        return not self.unseen_s[0] <= time_s < self.unseen_s[1]

    def keypoints_px(self, time_s: float) -> np.ndarray:
        return figure() + np.asarray(self.start_px) + time_s * np.asarray(self.velocity_px_s)


def frame_of(
    walkers: list[Walker], index: int, time_s: float, *, embeddings: bool = True, score: float = 0.9
) -> tuple[FramePoses, list[int]]:
    """The visible walkers at a time, with the person of each row."""
    seen = [w for w in walkers if w.sees(time_s)]
    poses = FramePoses.empty(index, time_s, K)
    if not seen:
        return poses, []
    poses = replace(
        poses,
        keypoints_px=np.stack([w.keypoints_px(time_s) for w in seen]).astype(np.float32),
        keypoint_scores=np.full((len(seen), K), 0.8, np.float32),
        scores=np.full(len(seen), score, np.float32),
        track_ids=np.full(len(seen), -1),
        embeddings=np.stack([direction(w.person) for w in seen]) if embeddings else None,
    )
    return poses, [w.person for w in seen]


def film(
    walkers: list[Walker], times_s: np.ndarray, *, embeddings: bool = True
) -> list[tuple[FramePoses, list[int]]]:
    """Frames at the given times."""
    return [frame_of(walkers, i, float(t), embeddings=embeddings) for i, t in enumerate(times_s)]


def as_tracks(frames: list[FramePoses]) -> PoseTracks:
    """A video of frames."""
    return PoseTracks(VideoInfo("walkers", 1280, 720, 25.0), POSETRACK15, tuple(frames))
