"""How much the keypoints of tracks jitter, as one number (test support, no tests)."""

from __future__ import annotations

import numpy as np

from vepe.tracking.detections import person_sizes
from vepe.tracking.smoothing_offline import observations
from vepe.types import PoseTracks


def jitter(tracks: PoseTracks, min_keypoint_score: float = 0.0) -> float:
    """Mean acceleration of keypoints in person sizes per second squared; 0 without any triple.

    Second differences in true time over every three successive frames with the track, over
    keypoints of at least `min_keypoint_score` in all three. Lower is smoother; real motion has some
    too, so only compare values of the same video.
    """
    total, count = 0.0, 0
    for track in observations(tracks.frames).values():
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
        lowest = np.minimum(track.weights[middle - 1], track.weights[middle + 1])
        good = np.minimum(lowest, track.weights[middle]) >= min_keypoint_score
        total += float(acceleration[good].sum())
        count += int(good.sum())
    return total / count if count else 0.0
