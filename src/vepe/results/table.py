"""Poses as plain values: dictionaries for JSON, and a long table for pandas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vepe.errors import missing_extra
from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses

if TYPE_CHECKING:
    import pandas

COLUMNS = ("frame", "time_s", "track_id", "person", "keypoint", "x", "y", "score")
"""Of the long table: one row per keypoint of each person in each frame."""


def frame_record(poses: FramePoses, skeleton: Skeleton, name: str = "") -> dict[str, Any]:
    """A frame in values of JSON: numbers, texts, None, lists and dictionaries.

    Coordinates have three decimals, scores six. An absent keypoint has None for x and y.
    """
    record: dict[str, Any] = {"frame": poses.frame_index, "time_s": round(poses.time_s, 6)}
    if name:
        record["name"] = name
    boxes = poses.boxes_xyxy_px()
    record["people"] = [
        {
            "track_id": None if track == NO_TRACK else int(track),
            "score": round(float(score), 6),
            "box_xyxy_px": [_coordinate(v) for v in boxes[person]],
            "keypoints": {
                keypoint: {
                    "x": _coordinate(poses.keypoints_px[person, k, 0]),
                    "y": _coordinate(poses.keypoints_px[person, k, 1]),
                    "score": round(float(poses.keypoint_scores[person, k]), 6),
                }
                for k, keypoint in enumerate(skeleton.keypoints)
            },
        }
        for person, (track, score) in enumerate(zip(poses.track_ids, poses.scores, strict=True))
    ]
    return record


def _coordinate(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None


def to_pandas(frames: Sequence[FramePoses], skeleton: Skeleton) -> pandas.DataFrame:
    """The long table of `COLUMNS`.

    `frame` and `time_s` are the video's; `track_id` is -1 without a track; `person` counts the
    people of a frame from 0, highest score first; `keypoint` is categorical, in the skeleton's
    order; `x` and `y` are pixels of the image; `score` is the keypoint's confidence in 0..1.
    Frames without people have no rows.

    Raises:
        VepeError: where pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise missing_extra("A table", "pandas", "pandas") from None
    num_people = np.array([len(f) for f in frames], np.int64)
    num_keypoints = len(skeleton)

    def per_row(values: Sequence[Any], dtype: type) -> np.ndarray:
        """A value per frame, for every row."""
        return np.repeat(np.array(values, dtype), num_people * num_keypoints)

    def joined(arrays: list[np.ndarray], shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """The rows of all frames."""
        return np.concatenate([np.zeros(shape, dtype), *arrays]).astype(dtype)

    points = joined([f.keypoints_px for f in frames], (0, num_keypoints, 2), np.float32)
    scores = joined([f.keypoint_scores for f in frames], (0, num_keypoints), np.float32)
    tracks = joined([f.track_ids for f in frames], (0,), np.int64)
    people = joined([np.arange(n) for n in num_people], (0,), np.int64)
    codes = np.tile(np.arange(num_keypoints), len(tracks))
    columns = {
        "frame": per_row([f.frame_index for f in frames], np.int64),
        "time_s": per_row([f.time_s for f in frames], np.float64),
        "track_id": np.repeat(tracks, num_keypoints),
        "person": np.repeat(people, num_keypoints),
        "keypoint": pandas.Categorical.from_codes(codes, categories=list(skeleton.keypoints)),
        "x": points[..., 0].ravel(),
        "y": points[..., 1].ravel(),
        "score": scores.ravel(),
    }
    return pandas.DataFrame(columns)
