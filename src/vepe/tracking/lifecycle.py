"""Start, confirmation and end of tracks; a track is lost or re-identified by what it may match."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from vepe.config.tracking import TrackerSettings
from vepe.tracking.detections import Detections
from vepe.tracking.state import Tracks
from vepe.types import NO_TRACK

OCCUPIED_OVERLAP = 0.6
"""No track starts on a person that overlaps a tracked one by this much."""


def init_candidates(
    people: Detections, matched: Bool[np.ndarray, "P"], settings: TrackerSettings
) -> Int[np.ndarray, "Q"]:
    """Indices of the people that start tracks.

    They are unmatched, score at least `new_track_threshold`, and overlap no matched person and no
    better candidate.
    """
    candidates = np.flatnonzero(~matched & (people.poses.scores >= settings.new_track_threshold))
    taken = matched.copy()
    for person in candidates:
        taken[person] = not (people.overlap[person, taken] >= OCCUPIED_OVERLAP).any()
    return candidates[taken[candidates]]


def init_tracks(people: Detections, embedding_width: int) -> Tracks:
    """One track per person after its first observation, without ids.

    `embedding_width` is that of the other tracks, for people without embeddings.
    """
    count, poses = len(people), people.poses
    if poses.embeddings is None:
        embeddings = np.zeros((count, embedding_width))
    else:
        embeddings = poses.embeddings.astype(np.float64)
    return Tracks(
        track_ids=np.full(count, NO_TRACK, np.int64),
        hits=np.ones(count, np.int64),
        seen_s=np.full(count, poses.time_s),
        keypoints_px=poses.keypoints_px.astype(np.float64),
        weights=people.weights,
        velocities_px_s=np.zeros((count, 2)),
        sizes_px=people.sizes_px,
        embeddings=embeddings,
        embedding_hits=np.full(count, int(poses.embeddings is not None), np.int64),
        same_shot=np.ones(count, np.bool_),
    )


def confirm(tracks: Tracks, next_id: int, settings: TrackerSettings) -> tuple[Tracks, int]:
    """Gives ids from `next_id` on to tracks with `confirm_hits` observations, in row order.

    Returns:
        The tracks, and the next free id.
    """
    ready = np.flatnonzero((tracks.track_ids == NO_TRACK) & (tracks.hits >= settings.confirm_hits))
    track_ids = tracks.track_ids.copy()
    track_ids[ready] = next_id + np.arange(len(ready))
    return replace(tracks, track_ids=track_ids), next_id + len(ready)


def drop_expired(tracks: Tracks, time_s: float, settings: TrackerSettings) -> Tracks:
    """The tracks without those unseen for longer than `max_gap_s`."""
    alive = time_s - tracks.seen_s <= settings.max_gap_s
    return tracks if alive.all() else tracks.select(alive)


def prune(tracks: Tracks, time_s: float, settings: TrackerSettings) -> Tracks:
    """The tracks that outlive a frame.

    Unseen ones must be confirmed and among the `max_lost_tracks` most recently seen.
    """
    unseen = tracks.seen_s < time_s
    alive = ~(unseen & (tracks.track_ids == NO_TRACK))
    lost = np.flatnonzero(alive & unseen)
    if len(lost) > settings.max_lost_tracks:
        oldest_first = lost[np.argsort(tracks.seen_s[lost], kind="stable")]
        alive[oldest_first[: len(lost) - settings.max_lost_tracks]] = False
    return tracks if alive.all() else tracks.select(alive)


def after_cut(tracks: Tracks) -> Tracks:
    """The tracks that outlive a shot cut: confirmed ones with an embedding, which alone matches."""
    alive = tracks.select((tracks.embedding_hits > 0) & (tracks.track_ids != NO_TRACK))
    return replace(alive, same_shot=np.zeros(len(alive), np.bool_))
