"""One track of a finished video as arrays over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vepe.tracking.people import keypoint_weights
from vepe.tracking.rows import Rows
from vepe.types import FramePoses


@dataclass(frozen=True)
class Sightings(Rows):
    """One track: F sightings in order of time. `frames` and `people` say where they came from."""

    frames: Int[np.ndarray, "F"]
    people: Int[np.ndarray, "F"]
    times_s: Float[np.ndarray, "F"]
    keypoints_px: Float[np.ndarray, "F K 2"]
    weights: Float[np.ndarray, "F K"]


def sightings(frames: tuple[FramePoses, ...], track_id: int) -> Sightings:
    """All sightings of a track; where a frame has it twice, the better person."""
    where = [
        (i, int(np.flatnonzero(frame.track_ids == track_id)[0]))
        for i, frame in enumerate(frames)
        if (frame.track_ids == track_id).any()
    ]
    return Sightings(
        frames=np.array([i for i, _ in where]),
        people=np.array([p for _, p in where]),
        times_s=np.array([frames[i].time_s for i, _ in where]),
        keypoints_px=np.stack([frames[i].keypoints_px[p] for i, p in where]).astype(np.float64),
        weights=keypoint_weights(np.stack([frames[i].keypoint_scores[p] for i, p in where])),
    )
