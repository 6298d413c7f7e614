"""One track of a finished video as arrays over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vepe.tracking.people import keypoint_weights
from vepe.tracking.rows import Rows
from vepe.types import NO_TRACK, FramePoses


@dataclass(frozen=True)
class Sightings(Rows):
    """One track: F sightings in order of time. `frames` and `people` say where they came from."""

    frames: Int[np.ndarray, "F"]
    people: Int[np.ndarray, "F"]
    times_s: Float[np.ndarray, "F"]
    keypoints_px: Float[np.ndarray, "F K 2"]
    weights: Float[np.ndarray, "F K"]


def sightings(frames: tuple[FramePoses, ...]) -> dict[int, Sightings]:
    """All tracks of the frames by rising id; where a frame has an id twice, its first person."""
    places: dict[int, dict[int, int]] = {}
    for index, frame in enumerate(frames):
        for person, track_id in enumerate(frame.track_ids.tolist()):
            if track_id != NO_TRACK:
                places.setdefault(track_id, {}).setdefault(index, person)
    return {track_id: _gathered(frames, places[track_id]) for track_id in sorted(places)}


def _gathered(frames: tuple[FramePoses, ...], where: dict[int, int]) -> Sightings:
    """The sightings at frame -> person."""
    scores = np.stack([frames[i].keypoint_scores[p] for i, p in where.items()])
    points = np.stack([frames[i].keypoints_px[p] for i, p in where.items()])
    return Sightings(
        frames=np.array(list(where)),
        people=np.array(list(where.values())),
        times_s=np.array([frames[i].time_s for i in where]),
        keypoints_px=points.astype(np.float64),
        weights=keypoint_weights(scores),
    )
