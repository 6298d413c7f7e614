"""Speeds, repetitions and steps of one person from positions and angles over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SPEED_WINDOW_S = 0.2
"""Speeds are slopes of straight lines fitted over this long; shorter ones are mostly jitter."""

_MIN_RANGE = 0.4
"""Thresholds of cycles lie so far apart, as a share of the signal's usual range."""


def velocity(
    values: Float[np.ndarray, "F *D"],
    times_s: Float[np.ndarray, "F"],
    window_s: float = SPEED_WINDOW_S,
) -> Float[np.ndarray, "F *D"]:
    """The rate of change per second: slopes of lines fitted by least squares around each frame.

    Frames may be unevenly spaced. The window holds at least the frames next to it, unless they are
    more than `window_s` away, as beyond a gap; NaN where fewer than two values are known.
    """
    flat = values.reshape(len(values), -1)
    rates = np.full(flat.shape, np.nan)
    half = window_s / 2 + 1e-9
    for i, now_s in enumerate(times_s.tolist()):
        first = int(np.searchsorted(times_s, now_s - half, side="left"))
        last = int(np.searchsorted(times_s, now_s + half, side="right"))
        if first == i and i > 0 and now_s - times_s[i - 1] <= window_s:
            first = i - 1
        if last == i + 1 and last < len(times_s) and times_s[last] - now_s <= window_s:
            last += 1
        rates[i] = _slopes(times_s[first:last] - now_s, flat[first:last])
    return rates.reshape(values.shape)


def _slopes(
    times_s: Float[np.ndarray, "W"], values: Float[np.ndarray, "W D"]
) -> Float[np.ndarray, "D"]:
    known = np.isfinite(values)
    counts = known.sum(axis=0)
    weight = np.maximum(counts, 1)
    mean_time = np.where(known, times_s[:, None], 0.0).sum(axis=0) / weight
    mean_value = np.where(known, values, 0.0).sum(axis=0) / weight
    from_mean = np.where(known, times_s[:, None] - mean_time, 0.0)
    covariance = (from_mean * np.where(known, values - mean_value, 0.0)).sum(axis=0)
    variance = (from_mean**2).sum(axis=0)
    usable = (counts >= 2) & (variance > 0)
    return np.where(usable, covariance / np.where(usable, variance, 1.0), np.nan)


@dataclass(frozen=True)
class Cycles:
    """Repetitions of a movement.

    Attributes:
        count: number of whole cycles: from low to high and back to low.
        times_s: when the signal was highest in each of them.
    """

    count: int
    times_s: tuple[float, ...]


def count_cycles(
    signal: Float[np.ndarray, "F"], times_s: Float[np.ndarray, "F"], min_range: float
) -> Cycles:
    """Counts repetitions, such as of squats in the knee's flexion.

    A cycle rises above a high threshold and falls below a low one again. They lie at 30 % and 70 %
    between the signal's 5th and 95th percentile, so that a person's own range of motion decides,
    and jitter near one threshold counts nothing.

    Args:
        signal: an angle or a position; NaN where it is unknown.
        times_s: of the frames.
        min_range: below this range of the percentiles there is no movement to count.
    """
    known = np.isfinite(signal)
    if known.sum() < 3:
        return Cycles(0, ())
    values, times = signal[known], times_s[known]
    low, high = np.percentile(values, (5, 95))
    if high - low < min_range:
        return Cycles(0, ())
    margin = (1 - _MIN_RANGE) / 2 * (high - low)
    peaks: list[float] = []
    best: int | None = None  # the highest frame since the signal rose above the threshold
    was_low = False
    for i, value in enumerate(values.tolist()):
        if value <= low + margin:
            if best is not None:
                peaks.append(float(times[best]))
            best, was_low = None, True
        elif was_low and value >= high - margin and (best is None or value > values[best]):
            best = i
    return Cycles(len(peaks), tuple(peaks))


def count_steps(
    left_ankle: Float[np.ndarray, "F 2"],
    right_ankle: Float[np.ndarray, "F 2"],
    times_s: Float[np.ndarray, "F"],
    height: float,
) -> Cycles:
    """Counts steps: how often the other foot comes to be ahead.

    Works from the side, where the feet pass each other, as well as from the front, where the foot
    in front is lower in the image: the direction in which the ankles part most decides.

    Args:
        left_ankle, right_ankle: positions in any unit.
        times_s: of the frames.
        height: of the body, in the same unit; ankles that part by less than 5 % of it do not step.

    Returns:
        The number of steps, and when the feet were farthest apart in each.
    """
    apart = left_ankle - right_ankle
    known = np.isfinite(apart).all(axis=1)
    if known.sum() < 3 or not np.isfinite(height):
        return Cycles(0, ())
    ranges = np.ptp(np.percentile(apart[known], (5, 95), axis=0), axis=0)
    if ranges.max() < 0.05 * height:
        return Cycles(0, ())
    signal, times = apart[known, int(ranges.argmax())], times_s[known]
    threshold = _MIN_RANGE / 2 * ranges.max()
    ahead, farthest = 0, []
    for i, value in enumerate(signal.tolist()):
        side = 1 if value >= threshold else -1 if value <= -threshold else 0
        if side and side != ahead:
            ahead = side
            farthest.append(i)
        elif side and abs(value) > abs(signal[farthest[-1]]):
            farthest[-1] = i
    # The first one is where the feet were at the start.
    return Cycles(max(len(farthest) - 1, 0), tuple(times[farthest[1:]].tolist()))


def resample(
    values: Float[np.ndarray, "F *D"],
    times_s: Float[np.ndarray, "F"],
    rate_hz: float,
    max_gap_s: float,
) -> tuple[Float[np.ndarray, "G"], Float[np.ndarray, "G *D"]]:
    """Values at even times from the first frame on, linearly between those that are known.

    Returns:
        The times in seconds, and the values; NaN within gaps longer than `max_gap_s` and beyond the
        first and the last known value.
    """
    count = int(np.floor((times_s[-1] - times_s[0]) * rate_hz + 1e-6)) + 1
    times = times_s[0] + np.arange(count) / rate_hz
    flat = values.reshape(len(values), -1)
    result = np.full((count, flat.shape[1]), np.nan)
    for column in range(flat.shape[1]):
        known = np.isfinite(flat[:, column])
        if not known.any():
            continue
        at = times_s[known]
        result[:, column] = np.interp(times, at, flat[known, column], left=np.nan, right=np.nan)
        after = np.clip(np.searchsorted(at, times + 1e-9, side="right"), 0, len(at) - 1)
        before = np.maximum(after - 1, 0)
        in_gap = (at[after] - at[before] > max_gap_s) & (times > at[before] + 1e-9)
        result[in_gap & (times < at[after] - 1e-9), column] = np.nan
    return times, result.reshape(count, *values.shape[1:])
