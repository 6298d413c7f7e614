"""Births and deaths of tracks; loss and revival lie between them, in what may be matched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from vepe.config.tracking import TrackerSettings
from vepe.tracking.association import pose_overlap
from vepe.tracking.people import keypoint_weights, person_sizes
from vepe.tracking.state import Tracks
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


def doubles(poses: FramePoses, settings: TrackerSettings) -> Bool[np.ndarray, "P"]:
    """Who lies on a better person and looks like it: the same body seen twice.

    Without embeddings nobody is: two people who cross cover each other, too. `poses` must have its
    best people first.
    """
    double = np.zeros(len(poses), np.bool_)
    if poses.embeddings is None or len(poses) < 2:
        return double
    weights = keypoint_weights(poses.keypoint_scores)
    same = pose_overlap(poses.keypoints_px, weights, settings) >= settings.double_overlap
    same &= poses.embeddings @ poses.embeddings.T >= settings.double_similarity
    for person in range(1, len(poses)):
        double[person] = (same[person, :person] & ~double[:person]).any()
    return double


def born(poses: FramePoses, settings: TrackerSettings, embedding_width: int) -> Tracks:
    """Tracks of one sighting, without ids, one for each person.

    `embedding_width` is that of the other tracks, for people who come without embeddings.
    """
    count = len(poses)
    weights = keypoint_weights(poses.keypoint_scores)
    if poses.embeddings is None:
        embeddings = np.zeros((count, embedding_width))
    else:
        embeddings = poses.embeddings.astype(np.float64)
    return Tracks(
        track_ids=np.full(count, NO_TRACK, np.int64),
        hits=np.ones(count, np.int64),
        seen_s=np.full(count, poses.time_s),
        keypoints_px=poses.keypoints_px.astype(np.float64),
        weights=weights,
        velocities_px_s=np.zeros((count, 2)),
        sizes_px=person_sizes(poses.keypoints_px, weights, settings.min_size_px),
        embeddings=embeddings,
        embedding_hits=np.full(count, int(poses.embeddings is not None), np.int64),
        same_shot=np.ones(count, np.bool_),
    )


def confirmed(tracks: Tracks, next_id: int, settings: TrackerSettings) -> tuple[Tracks, int]:
    """Gives ids from `next_id` on to tracks that have their `confirm_hits` sightings, in row order.

    Also gives the id that comes next.
    """
    ripe = np.flatnonzero((tracks.track_ids == NO_TRACK) & (tracks.hits >= settings.confirm_hits))
    track_ids = tracks.track_ids.copy()
    track_ids[ripe] = next_id + np.arange(len(ripe))
    return replace(tracks, track_ids=track_ids), next_id + len(ripe)


def within_gap(tracks: Tracks, time_s: float, settings: TrackerSettings) -> Tracks:
    """The tracks that are not unseen for longer than `max_gap_s`."""
    alive = time_s - tracks.seen_s <= settings.max_gap_s
    return tracks if alive.all() else tracks.select(alive)


def trimmed(tracks: Tracks, time_s: float, settings: TrackerSettings) -> Tracks:
    """What is kept after a frame: of the unseen tracks, the confirmed ones last seen."""
    unseen = tracks.seen_s < time_s
    alive = ~(unseen & (tracks.track_ids == NO_TRACK))
    lost = np.flatnonzero(alive & unseen)
    if len(lost) > settings.max_lost_tracks:
        oldest_first = lost[np.argsort(tracks.seen_s[lost], kind="stable")]
        alive[oldest_first[: len(lost) - settings.max_lost_tracks]] = False
    return tracks if alive.all() else tracks.select(alive)


def after_cut(tracks: Tracks) -> Tracks:
    """What is kept at a shot cut: confirmed tracks with an identity, which alone may find them."""
    kept = tracks.select((tracks.embedding_hits > 0) & (tracks.track_ids != NO_TRACK))
    return replace(kept, same_shot=np.zeros(len(kept), np.bool_))
