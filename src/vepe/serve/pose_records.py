"""Poses of a frame as the values of JSON that clients get: one line, one event, one message."""

from __future__ import annotations

import math
from typing import Any

import orjson

from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses


def frame_values(poses: FramePoses) -> dict[str, Any]:
    """A frame: `frame`, `time_s` and `people`, each with `track_id`, `score`, `keypoints`, `box`.

    Keypoints are [x, y, confidence] in pixels of the source, in the skeleton's order; a box is
    [x, y, width, height] around them. `track_id` is None without a track.
    """
    boxes = poses.boxes_xyxy_px().tolist()
    people = zip(
        poses.track_ids.tolist(),
        poses.scores.tolist(),
        poses.keypoints_px.tolist(),
        poses.keypoint_scores.tolist(),
        boxes,
        strict=True,
    )
    return {
        "frame": int(poses.frame_index),
        "time_s": round(float(poses.time_s), 6),
        "people": [
            {
                "track_id": None if track == NO_TRACK else track,
                "score": round(score, 4),
                "keypoints": [
                    [_pixel(x), _pixel(y), round(confidence, 4)]
                    for (x, y), confidence in zip(points, confidences, strict=True)
                ],
                "box": [_pixel(x1), _pixel(y1), _pixel(x2 - x1), _pixel(y2 - y1)],
            }
            for track, score, points, confidences, (x1, y1, x2, y2) in people
        ],
    }


def frame_line(poses: FramePoses) -> bytes:
    """The frame as one line of JSON, with its line feed."""
    return orjson.dumps(frame_values(poses), option=orjson.OPT_APPEND_NEWLINE)


def skeleton_values(skeleton: Skeleton) -> dict[str, Any]:
    """Names of the keypoints, the limbs as pairs of indices, and the mirrored pairs."""
    return {
        "keypoints": list(skeleton.keypoints),
        "edges": [list(edge) for edge in skeleton.edges],
        "flip_pairs": [list(pair) for pair in skeleton.flip_pairs],
    }


def _pixel(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None
