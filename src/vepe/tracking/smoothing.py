"""Causal smoothing of tracked keypoints: the One-Euro filter (Casiez, Roussel, Vogel, CHI 2012).

A low-pass whose cutoff rises with speed: smooth at rest, little lag in motion. It runs in true time
and in person sizes, so neither frame rate nor distance matter, and trusts confident keypoints more.
`vepe.tracking.smoothing_offline` is the two-sided alternative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.config.tracking import SmoothingSettings
from vepe.tracking.detections import keypoint_weights, person_sizes
from vepe.tracking.state import Rows
from vepe.types import NO_TRACK, FramePoses

# These values come from the sweeps that `SmoothingSettings` describes.
SPEED_CUTOFF_HZ = 1.0
"""Cutoff of the speed estimate itself."""

RESET_SIZES, RESET_SIZES_PER_S = 0.3, 4.0
"""Smoothing restarts where a person jumps further: in person sizes, and per second of the gap."""

MIN_WEIGHT = 0.05
"""Weight of a keypoint of confidence 0, next to 1 for confidence 1."""

_MIN_GAP_S = 1e-3


def discontinuities(
    before_px: Float[np.ndarray, "M K 2"],
    before_weights: Float[np.ndarray, "M K"],
    after_px: Float[np.ndarray, "M K 2"],
    after_weights: Float[np.ndarray, "M K"],
    sizes_px: Float[np.ndarray, "M"],
    gap_s: Float[np.ndarray, "M"],
    settings: SmoothingSettings,
) -> Bool[np.ndarray, "M"]:
    """True where a track must not be smoothed across: a long gap, or a jump of the whole person.

    A jump is a shot cut or an id that went over to another person. Both smoothers use this rule.
    """
    shares = np.sqrt(before_weights * after_weights)
    shares = shares / shares.sum(axis=1, keepdims=True)
    jump = np.linalg.norm(np.einsum("mk,mkc->mc", shares, after_px - before_px), axis=1)
    reach = RESET_SIZES + RESET_SIZES_PER_S * gap_s
    return (gap_s > settings.reset_gap_s) | (jump > reach * sizes_px)


@dataclass(frozen=True)
class SmootherState(Rows):
    """What is remembered of M tracks: those seen in the last `reset_gap_s` seconds.

    Attributes:
        track_ids: (M,) ids.
        seen_s: (M,) timestamp of the last observation.
        keypoints_px: (M, K, 2) smoothed pose.
        raw_px: (M, K, 2) unsmoothed pose.
        velocities_px_s: (M, K, 2) smoothed velocity, pixels per second.
        weights: (M, K) weight of the smoothed keypoints.
    """

    track_ids: Int[np.ndarray, "M"]
    seen_s: Float[np.ndarray, "M"]
    keypoints_px: Float[np.ndarray, "M K 2"]
    raw_px: Float[np.ndarray, "M K 2"]
    velocities_px_s: Float[np.ndarray, "M K 2"]
    weights: Float[np.ndarray, "M K"]


class OneEuroSmoother:
    """A pure function of state, as `Tracker` is; runs after it."""

    def __init__(self, settings: SmoothingSettings | None = None) -> None:
        self.settings = settings or SmoothingSettings()

    def start(self) -> SmootherState:
        """The state before the first frame."""
        none = np.zeros((0, 0, 2))
        return SmootherState(np.zeros(0, np.int64), np.zeros(0), none, none, none, np.zeros((0, 0)))

    def step(self, state: SmootherState, poses: FramePoses) -> tuple[SmootherState, FramePoses]:
        """Smooths one tracked frame.

        People without a track stay as they are. A track that is new, or continues after a gap of
        `reset_gap_s` or a jump, starts again from its current pose.

        Returns:
            The next state, and the frame with smoothed keypoints.
        """
        tracked = np.flatnonzero(poses.track_ids != NO_TRACK)
        people = poses.select(tracked)
        rows, known = _rows_of(state.track_ids, people.track_ids)
        current = _restart(people)
        if known.any():
            filtered = self._filter(
                state.select(rows[known]), people.select(known), current.select(known)
            )
            current = current.with_rows(known, filtered)
        unseen = ~np.isin(state.track_ids, people.track_ids)
        unseen &= poses.time_s - state.seen_s <= self.settings.reset_gap_s
        keypoints_px = poses.keypoints_px.copy()
        keypoints_px[tracked] = current.keypoints_px
        return state.select(unseen).concat(current), replace(poses, keypoints_px=keypoints_px)

    def _filter(
        self, previous: SmootherState, people: FramePoses, fresh: SmootherState
    ) -> SmootherState:
        """One step of the filter for tracks that were seen before; row m is person m."""
        settings = self.settings
        gap_s = np.maximum(people.time_s - previous.seen_s, _MIN_GAP_S)  # (M,)
        sizes = person_sizes(people.keypoints_px, fresh.weights)
        dt_s = gap_s[:, None, None]  # (M, 1, 1)
        trust = _trust(fresh.weights, previous.weights)[..., None]  # (M, K, 1)

        measured = (people.keypoints_px - previous.raw_px) / dt_s
        velocities = previous.velocities_px_s + _rate(SPEED_CUTOFF_HZ, dt_s) * trust * (
            measured - previous.velocities_px_s
        )
        speed = np.linalg.norm(velocities, axis=2, keepdims=True) / sizes[:, None, None]
        cutoff_hz = settings.min_cutoff_hz + settings.speed_coefficient * speed
        rate = _rate(cutoff_hz, dt_s) * trust
        moved_px = people.keypoints_px - previous.keypoints_px
        filtered = replace(
            fresh,
            keypoints_px=previous.keypoints_px + rate * moved_px,
            velocities_px_s=velocities,
            weights=np.maximum(fresh.weights, 0.9 * previous.weights),
        )
        broken = discontinuities(
            previous.raw_px,
            previous.weights,
            people.keypoints_px,
            fresh.weights,
            sizes,
            gap_s,
            settings,
        )
        return filtered.with_rows(broken, fresh.select(broken))


def _rate(cutoff_hz: float | np.ndarray, dt_s: np.ndarray) -> np.ndarray:
    """Share of the new value that a first-order low-pass takes after `dt_s` seconds."""
    return -np.expm1(-2 * np.pi * cutoff_hz * dt_s)


def _trust(
    new: Float[np.ndarray, "M K"], previous: Float[np.ndarray, "M K"]
) -> Float[np.ndarray, "M K"]:
    """1 for keypoints as confident as before or more, less for those that lost confidence."""
    return (MIN_WEIGHT + new) / (MIN_WEIGHT + np.maximum(new, previous))


def _rows_of(
    track_ids: Int[np.ndarray, "M"], ids: Int[np.ndarray, "P"]
) -> tuple[Int[np.ndarray, "P"], Bool[np.ndarray, "P"]]:
    """For each of `ids` its row in `track_ids`, and whether it has one."""
    if not len(track_ids):
        return np.zeros(len(ids), np.int64), np.zeros(len(ids), np.bool_)
    same = ids[:, None] == track_ids[None]
    return same.argmax(axis=1), same.any(axis=1)


def _restart(people: FramePoses) -> SmootherState:
    """The state of tracks that start from their current pose."""
    points = people.keypoints_px.astype(np.float64)
    weights = keypoint_weights(people.keypoint_scores)
    seen_s = np.full(len(people), people.time_s)
    return SmootherState(people.track_ids, seen_s, points, points, np.zeros_like(points), weights)
