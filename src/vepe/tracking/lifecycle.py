"""Births and deaths of tracks; loss and revival lie between them, in what may be matched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from vepe.config.tracking import TrackerSettings
from vepe.tracking.affinity import pose_overlap
from vepe.tracking.people import keypoint_weights, person_sizes
from vepe.tracking.state import TrackerState
from vepe.types import NO_TRACK, FramePoses


def newcomers(
    poses: FramePoses, matched: Bool[np.ndarray, "P"], settings: TrackerSettings
) -> Int[np.ndarray, "Q"]:
    """Indices of the people that start tracks; `poses` must have its best people first.

    They are unmatched, score `birth_score` or more, and do not double a matched person or a better
    newcomer.
    """
    candidates = np.flatnonzero(~matched & (poses.scores >= settings.birth_score))
    if not len(candidates):
        return candidates
    weights = keypoint_weights(poses.keypoint_scores)
    overlap = pose_overlap(poses.keypoints_px, weights, settings)
    taken = matched.copy()
    for person in candidates:
        taken[person] = not (overlap[person, taken] >= settings.duplicate_overlap).any()
    return candidates[taken[candidates]]


def born(poses: FramePoses, settings: TrackerSettings, width: int) -> TrackerState:
    """Tracks of one sighting, without ids, one for each person; embeddings of `width` values."""
    count = len(poses)
    weights = keypoint_weights(poses.keypoint_scores)
    given = poses.embeddings is not None
    return replace(
        TrackerState.empty(),
        track_ids=np.full(count, NO_TRACK, np.int64),
        hits=np.ones(count, np.int64),
        seen_s=np.full(count, poses.time_s),
        keypoints_px=poses.keypoints_px.astype(np.float64),
        weights=weights,
        velocities_px_s=np.zeros((count, 2)),
        sizes_px=person_sizes(poses.keypoints_px, weights, settings.min_size_px),
        embeddings=(
            np.zeros((count, width))
            if poses.embeddings is None
            else poses.embeddings.astype(np.float64)
        ),
        embedding_hits=np.full(count, int(given), np.int64),
        same_shot=np.ones(count, np.bool_),
    )


def confirmed(state: TrackerState, settings: TrackerSettings) -> TrackerState:
    """Gives the next ids to tracks that have their `confirm_hits` sightings, in row order."""
    ripe = np.flatnonzero((state.track_ids == NO_TRACK) & (state.hits >= settings.confirm_hits))
    if not len(ripe):
        return state
    track_ids = state.track_ids.copy()
    track_ids[ripe] = state.next_id + np.arange(len(ripe))
    return replace(state, track_ids=track_ids, next_id=state.next_id + len(ripe))


def within_gap(state: TrackerState, time_s: float, settings: TrackerSettings) -> TrackerState:
    """The state without tracks that are unseen for longer than `max_gap_s`."""
    alive = time_s - state.seen_s <= settings.max_gap_s
    return state if alive.all() else state.select(alive)


def trimmed(state: TrackerState, time_s: float, settings: TrackerSettings) -> TrackerState:
    """The state after a frame: unseen tracks only if confirmed, and the last seen ones of those."""
    unseen = state.seen_s < time_s
    alive = ~(unseen & (state.track_ids == NO_TRACK))
    if (alive & unseen).sum() > settings.max_lost_tracks:
        lost = np.flatnonzero(alive & unseen)
        oldest_first = lost[np.argsort(state.seen_s[lost], kind="stable")]
        alive[oldest_first[: len(lost) - settings.max_lost_tracks]] = False
    return state if alive.all() else state.select(alive)
