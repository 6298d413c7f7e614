"""How much the keypoints of tracks shake, as one number for reports."""

from __future__ import annotations

import numpy as np

from vepe.tracking.people import person_sizes
from vepe.tracking.smoothing_offline import sightings
from vepe.types import PoseTracks


def jitter(tracks: PoseTracks, min_keypoint_score: float = 0.0) -> float:
    """Mean acceleration of keypoints in person sizes a second squared; 0 where none can be had.

    Second differences in true time over every three successive frames that hold the track, over
    keypoints of `min_keypoint_score` or more in all three (ours). Lower is calmer; real motion has
    some too, so compare values of the same video alone.
    """
    total, count = 0.0, 0
    for track in sightings(tracks.frames).values():
        middle = np.arange(1, len(track.frames) - 1)
        middle = middle[track.frames[middle + 1] - track.frames[middle - 1] == 2]
        if not len(middle):
            continue
        points, times = track.keypoints_px, track.times_s
        before = np.maximum(times[middle] - times[middle - 1], 1e-3)[:, None, None]
        after = np.maximum(times[middle + 1] - times[middle], 1e-3)[:, None, None]
        change = (points[middle + 1] - points[middle]) / after
        change -= (points[middle] - points[middle - 1]) / before
        sizes = person_sizes(points[middle], track.weights[middle])
        acceleration = np.linalg.norm(2 * change / (before + after), axis=2) / sizes[:, None]
        floor = np.minimum(track.weights[middle - 1], track.weights[middle + 1])
        good = np.minimum(floor, track.weights[middle]) >= min_keypoint_score
        total += float(acceleration[good].sum())
        count += int(good.sum())
    return total / count if count else 0.0
