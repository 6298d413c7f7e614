"""`measure_person`: all measures of one tracked person, frame by frame and as a summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vepe.errors import VepeError
from vepe.measures.angles import facing, joint_angles, segment_angles
from vepe.measures.motion import count_cycles, count_steps, velocity
from vepe.measures.proportions import body_height, middle, segment_lengths
from vepe.types import PersonTrack

MIN_SCORE = 0.3
"""Keypoints below this score are unknown, unless the caller says otherwise."""

_MIN_RANGE_DEG = 20.0
"""Joints that bend by less do not repeat a movement."""

_SPEEDS = ("left_wrist", "right_wrist", "left_ankle", "right_ankle")


@dataclass(frozen=True)
class PersonMeasures:
    """Measures of one person over F frames.

    Attributes:
        track_id: of the person.
        frame_indices, times_s: (F,) of the frames.
        points_px: (F, K, 2) the keypoints that were measured, NaN where unknown.
        columns: (F,) values by name; NaN where unknown. The unit ends the name: `_deg`;
            `_of_height` for lengths and `_heights_per_s` for speeds in body heights; with a known
            height `_m` and `_m_per_s`.
        height_px: of the person upright, NaN if unknown.
        metres_per_px: scale at the person's usual distance, NaN without a known height.
        summary: what the columns say over the whole track, by name; None if unknown.
    """

    track_id: int
    frame_indices: Int[np.ndarray, "F"]
    times_s: Float[np.ndarray, "F"]
    points_px: Float[np.ndarray, "F K 2"]
    columns: dict[str, Float[np.ndarray, "F"]]
    height_px: float
    metres_per_px: float
    summary: dict[str, float | int | None]


def measure_person(
    person: PersonTrack, *, height_m: float | None = None, min_score: float = MIN_SCORE
) -> PersonMeasures:
    """All measures of a person.

    Args:
        person: as `PoseTracks.person` returns it.
        height_m: how tall the person is in metres, for lengths and speeds in metres.
        min_score: keypoints below it are unknown.

    Raises:
        VepeError: if the height is not between 0.3 and 3 metres.
    """
    if height_m is not None and not 0.3 <= height_m <= 3.0:
        raise VepeError(f"A height of {height_m:g} m is no person's; give 0.3 to 3 metres.")
    times, skeleton = np.asarray(person.times_s, np.float64), person.skeleton
    unknown = ~(person.keypoint_scores >= min_score)
    points = np.array(person.keypoints_px, np.float64)
    points[unknown] = np.nan
    height = body_height(points, skeleton)
    scale = float("nan") if height_m is None or not height > 0 else height_m / height
    # Lengths and speeds are in metres where the scale is known, else in body heights.
    unit, length_name, speed_name = (
        (1 / height if height > 0 else np.nan, "of_height", "heights_per_s")
        if np.isnan(scale)
        else (scale, "m", "m_per_s")
    )
    side = facing(points, times, skeleton)
    columns: dict[str, Any] = {
        f"{name}_deg": values for name, values in joint_angles(points, skeleton, side).items()
    }
    for name, values in segment_angles(points, skeleton).items():
        columns[f"{name}_segment_deg"] = values
    for name, values in segment_lengths(points, skeleton).items():
        columns[f"{name}_{length_name}"] = values * unit
    hips = middle(points, skeleton, "hip")
    moving = {"body": hips} if hips is not None else {}
    moving |= {n: points[:, skeleton.index(n)] for n in _SPEEDS if n in skeleton.keypoints}
    for name, places in moving.items():
        columns[f"{name}_speed_{speed_name}"] = np.hypot(*(velocity(places, times) * unit).T)
    columns["facing"] = side.astype(np.float64)
    return PersonMeasures(
        track_id=person.track_id,
        frame_indices=np.asarray(person.frame_indices),
        times_s=times,
        points_px=points,
        columns=columns,
        height_px=height,
        metres_per_px=scale,
        summary=_summary(columns, points, times, person, height),
    )


def _summary(
    columns: dict[str, Float[np.ndarray, "F"]],
    points: Float[np.ndarray, "F K 2"],
    times_s: Float[np.ndarray, "F"],
    person: PersonTrack,
    height: float,
) -> dict[str, float | int | None]:
    """Ranges of motion, mean speeds, repetitions and steps."""
    summary: dict[str, float | int | None] = {
        "frames": len(times_s),
        "start_s": _plain(times_s[0], 3),
        "end_s": _plain(times_s[-1], 3),
        "height_px": _plain(height, 1),
    }
    for name, values in columns.items():
        known = values[np.isfinite(values)]
        if name.endswith("_deg") and "_segment_" not in name:
            low, high = np.percentile(known, (5, 95)) if len(known) else (np.nan, np.nan)
            summary[f"{name}_p5"], summary[f"{name}_p95"] = _plain(low, 1), _plain(high, 1)
            summary[f"{name.removesuffix('_deg')}_repetitions"] = count_cycles(
                values, times_s, _MIN_RANGE_DEG
            ).count
        elif name.startswith("body_speed"):
            summary[f"{name}_mean"] = _plain(known.mean() if len(known) else np.nan, 3)
    ankles = ("left_ankle", "right_ankle")
    if set(ankles) <= set(person.skeleton.keypoints):
        left, right = (points[:, person.skeleton.index(name)] for name in ankles)
        summary["steps"] = count_steps(left, right, times_s, height).count
    return summary


def _plain(value: float, decimals: int) -> float | None:
    return round(float(value), decimals) if np.isfinite(value) else None
