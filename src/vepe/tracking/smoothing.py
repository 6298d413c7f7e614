"""Where a track must not be smoothed across; the one rule of both smoothers.

Causal smoothing of tracked keypoints: the One-Euro filter (Casiez, Roussel, Vogel, CHI 2012).

A low-pass whose cutoff rises with speed: calm at rest, quick in motion. It runs in true time and in
person sizes, so neither frame rate nor distance matter, and trusts confident keypoints more.
`smoothing_offline` has the two-sided one; `smoothed` picks by mode for whole videos.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.config.tracking import SmoothingSettings, SmoothMode
from vepe.tracking.people import keypoint_weights, person_sizes
from vepe.tracking.state import Rows
from vepe.types import NO_TRACK, FramePoses, PoseTracks


def breaks(
    before_px: Float[np.ndarray, "M K 2"],
    before_weights: Float[np.ndarray, "M K"],
    after_px: Float[np.ndarray, "M K 2"],
    after_weights: Float[np.ndarray, "M K"],
    sizes_px: Float[np.ndarray, "M"],
    gap_s: Float[np.ndarray, "M"],
    settings: SmoothingSettings,
) -> Bool[np.ndarray, "M"]:
    """True where a track must not be smoothed across: a long gap, or a jump of the whole person."""
    shares = np.sqrt(before_weights * after_weights)
    shares = shares / shares.sum(axis=1, keepdims=True)
    jump = np.linalg.norm(np.einsum("mk,mkc->mc", shares, after_px - before_px), axis=1)
    reach = settings.reset_sizes + settings.reset_sizes_per_s * gap_s
    return (gap_s > settings.reset_gap_s) | (jump > reach * sizes_px)


_MIN_STEP_S = 1e-3


@dataclass(frozen=True)
class SmootherState(Rows):
    """What is remembered of M tracks: rows for those seen in the last `reset_gap_s` seconds.

    Attributes:
        track_ids: (M,) ids.
        seen_s: (M,) timestamp of the last sighting.
        keypoints_px: (M, K, 2) smoothed pose.
        raw_px: (M, K, 2) pose as it came.
        velocities_px_s: (M, K, 2) smoothed velocity.
        weights: (M, K) weight of the smoothed keypoints.
    """

    track_ids: Int[np.ndarray, "M"]
    seen_s: Float[np.ndarray, "M"]
    keypoints_px: Float[np.ndarray, "M K 2"]
    raw_px: Float[np.ndarray, "M K 2"]
    velocities_px_s: Float[np.ndarray, "M K 2"]
    weights: Float[np.ndarray, "M K"]


class OneEuroSmoother:
    """A pure function of state, as `Tracker` is; runs behind it."""

    def __init__(self, settings: SmoothingSettings | None = None) -> None:
        self.settings = settings or SmoothingSettings()

    def start(self) -> SmootherState:
        """The state before the first frame."""
        none = np.zeros((0, 0, 2))
        return SmootherState(np.zeros(0, np.int64), np.zeros(0), none, none, none, np.zeros((0, 0)))

    def step(self, state: SmootherState, poses: FramePoses) -> tuple[SmootherState, FramePoses]:
        """Takes one tracked frame; gives the next state and the frame with smoothed keypoints.

        People without a track stay as they are. A track seen for the first time, after a gap of
        `reset_gap_s`, or after a jump, starts anew from its pose.
        """
        tracked = np.flatnonzero(poses.track_ids != NO_TRACK)
        people = poses.select(tracked)
        rows, known = _rows_of(state.track_ids, people.track_ids)
        fresh = _started(people)
        if known.any():
            old = state.select(rows[known])
            old_people = people.select(known)
            fresh = fresh.with_rows(known, self._filtered(old, old_people, fresh.select(known)))
        kept = ~np.isin(state.track_ids, people.track_ids)
        kept &= poses.time_s - state.seen_s <= self.settings.reset_gap_s
        keypoints_px = poses.keypoints_px.copy()
        keypoints_px[tracked] = fresh.keypoints_px
        return state.select(kept).joined(fresh), replace(poses, keypoints_px=keypoints_px)

    def _filtered(
        self, old: SmootherState, people: FramePoses, fresh: SmootherState
    ) -> SmootherState:
        """One step of the filter for tracks that were seen before; row m is person m."""
        settings = self.settings
        gap_s = np.maximum(people.time_s - old.seen_s, _MIN_STEP_S)
        sizes = person_sizes(people.keypoints_px, fresh.weights)
        step = gap_s[:, None, None]
        trust = _trust(fresh.weights, old.weights, settings)[..., None]

        measured = (people.keypoints_px - old.raw_px) / step
        velocities = old.velocities_px_s + _rate(settings.speed_cutoff_hz, step) * trust * (
            measured - old.velocities_px_s
        )
        speed = np.linalg.norm(velocities, axis=2, keepdims=True) / sizes[:, None, None]
        cutoff_hz = settings.min_cutoff_hz + settings.speed_coefficient * speed
        rate = _rate(cutoff_hz, step) * trust
        filtered = replace(
            fresh,
            keypoints_px=old.keypoints_px + rate * (people.keypoints_px - old.keypoints_px),
            velocities_px_s=velocities,
            weights=np.maximum(fresh.weights, 0.9 * old.weights),
        )
        broken = breaks(
            old.raw_px, old.weights, people.keypoints_px, fresh.weights, sizes, gap_s, settings
        )
        return filtered.with_rows(broken, fresh.select(broken))


def smoothed(
    tracks: PoseTracks, mode: SmoothMode, settings: SmoothingSettings | None = None
) -> PoseTracks:
    """The tracks of a whole video, smoothed as `mode` says: off, causal or offline."""
    if mode == "off":
        return tracks
    if mode == "offline":
        from vepe.tracking.smoothing_offline import smooth_offline

        return smooth_offline(tracks, settings)
    smoother = OneEuroSmoother(settings)
    state, frames = smoother.start(), []
    for frame in tracks.frames:
        state, calm = smoother.step(state, frame)
        frames.append(calm)
    return replace(tracks, frames=tuple(frames))


def _rate(cutoff_hz: float | np.ndarray, step_s: np.ndarray) -> np.ndarray:
    """Share of the new value that a first-order low-pass takes after `step_s` seconds."""
    return -np.expm1(-2 * np.pi * cutoff_hz * step_s)


def _trust(
    news: Float[np.ndarray, "M K"], olds: Float[np.ndarray, "M K"], settings: SmoothingSettings
) -> Float[np.ndarray, "M K"]:
    """1 for keypoints as confident as before or more, less for those that lost confidence."""
    floor = settings.min_weight
    return (floor + news) / (floor + np.maximum(news, olds))


def _rows_of(
    track_ids: Int[np.ndarray, "M"], wanted: Int[np.ndarray, "P"]
) -> tuple[Int[np.ndarray, "P"], Bool[np.ndarray, "P"]]:
    """For every wanted id its row in `track_ids`, and whether it has one."""
    if not len(track_ids):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    same = wanted[:, None] == track_ids[None]
    return same.argmax(axis=1), same.any(axis=1)


def _started(people: FramePoses) -> SmootherState:
    """The state of tracks seen for the first time."""
    points = people.keypoints_px.astype(np.float64)
    weights = keypoint_weights(people.keypoint_scores)
    seen_s = np.full(len(people), people.time_s)
    return SmootherState(people.track_ids, seen_s, points, points, np.zeros_like(points), weights)
