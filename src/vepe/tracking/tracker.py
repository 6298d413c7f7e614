"""The tracker: takes poses frame by frame, returns them with track ids.

Three association passes, each on what the one before left over:

1. People of at least `high_threshold` with all tracks in reach, by identity, overlap and motion.
2. People below it with tracks seen a moment ago (ByteTrack's second association).
3. People of at least `high_threshold` with lost tracks, by embedding alone (re-identification).
   This also bridges shot cuts.

An unmatched person of at least `new_track_threshold` starts a track.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.config.tracking import TrackerSettings
from vepe.errors import VepeError
from vepe.tracking import lifecycle, motion
from vepe.tracking.association import Affinities, affinities, assign, passes_margin
from vepe.tracking.detections import Detections, detect
from vepe.tracking.state import TrackerState, Tracks
from vepe.types import NO_TRACK, FramePoses

__all__ = ["Tracker", "TrackerState"]

REID_SIZES_PER_S = 3.0
"""Fastest motion of a person, in person sizes per second; re-identification reaches no further."""

_UNASSIGNED = -1


@dataclass(frozen=True)
class _Predicted:
    """Tracks with their state predicted for the time of a frame."""

    tracks: Tracks
    gap_s: Float[np.ndarray, "M"]
    keypoints_px: Float[np.ndarray, "M K 2"]


class Tracker:
    """A pure function of state: the same state and poses always give the same result.

    It holds only its settings, so one tracker may serve any number of videos at once.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()

    def start(self) -> TrackerState:
        """The state before the first frame of a video."""
        return TrackerState()

    def end_shot(self, state: TrackerState) -> TrackerState:
        """The state after a shot cut: only re-identification continues tracks.

        Call it before the first frame of the new shot. Tracks without an embedding end here.
        """
        return replace(state, tracks=lifecycle.after_cut(state.tracks))

    def step(self, state: TrackerState, poses: FramePoses) -> tuple[TrackerState, FramePoses]:
        """Tracks one frame.

        Args:
            state: after the frame before.
            poses: the people of the frame, in any order.

        Returns:
            The next state, and `poses` with `track_ids` set, in the same order. People without a
            track have `NO_TRACK`: low scores, duplicates, unconfirmed tracks, and people with a NaN
            or an infinity.

        Raises:
            VepeError: where the number of keypoints or the width of embeddings changes.
        """
        settings = self.settings
        _check_widths(state.tracks, poses)
        tracks = lifecycle.drop_expired(state.tracks, poses.time_s, settings)
        tracks = _with_embedding_width(tracks, poses)
        people = detect(poses, settings)

        gap_s = motion.elapsed_s(tracks, poses.time_s)
        predicted = _Predicted(tracks, gap_s, motion.predict(tracks, gap_s))
        rows, columns = self._match(predicted, people, last_s=state.time_s)
        tracks = self._update(predicted, rows, people.select(columns))
        owners = np.full(len(people), _UNASSIGNED)  # row of each person's track
        owners[columns] = rows
        new = lifecycle.init_candidates(people, owners != _UNASSIGNED, settings)
        owners[new] = len(tracks) + np.arange(len(new))
        if len(new):
            width = tracks.embeddings.shape[1]
            tracks = tracks.concat(lifecycle.init_tracks(people.select(new), width))
        tracks, next_id = lifecycle.confirm(tracks, state.next_id, settings)

        track_ids = np.full(len(poses), NO_TRACK, np.int64)
        assigned = owners != _UNASSIGNED
        track_ids[people.rows[assigned]] = tracks.track_ids[owners[assigned]]
        tracks = lifecycle.prune(tracks, poses.time_s, settings)
        return TrackerState(next_id, poses.time_s, tracks), replace(poses, track_ids=track_ids)

    def _match(
        self, predicted: _Predicted, people: Detections, last_s: float | None
    ) -> tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
        """Rows of tracks and of people that belong together, by the three passes."""
        tracks, settings = predicted.tracks, self.settings
        if not len(tracks) or not len(people):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        gap_s = predicted.gap_s[:, None]  # (M, 1)
        pairs = affinities(tracks, predicted.keypoints_px, gap_s, people, settings)
        high = (people.poses.scores >= settings.high_threshold)[None]  # (1, P)
        # Tracks seen in the last frame always take low-score people, however low the frame rate.
        in_view = tracks.seen_s[:, None] == last_s
        recent = (gap_s <= settings.lost_after_s) | in_view
        near = pairs.reachable & ((gap_s <= settings.motion_gap_s) | in_view)
        passes = (
            (pairs.total, near & high, settings.match_threshold),
            (pairs.total, near & recent & ~high, settings.match_threshold),
            (
                pairs.similarity,
                self._reid_pairs(tracks, pairs, gap_s) & high,
                settings.reid_similarity,
            ),
        )
        free = np.ones(pairs.total.shape, np.bool_)
        rows, columns = [], []
        for affinity, allowed, threshold in passes:
            matched, partners = assign(affinity, allowed & free, threshold)
            free[matched] = False
            free[:, partners] = False
            rows.append(matched)
            columns.append(partners)
        return np.concatenate(rows), np.concatenate(columns)

    def _reid_pairs(
        self, tracks: Tracks, pairs: Affinities, gap_s: Float[np.ndarray, "M 1"]
    ) -> Bool[np.ndarray, "M P"]:
        """Pairs that the embedding alone may match: at a possible speed, or across a cut."""
        settings = self.settings
        reach = settings.gate_sizes + REID_SIZES_PER_S * gap_s
        confirmed = (tracks.track_ids != NO_TRACK)[:, None]
        near = ~tracks.same_shot[:, None] | (pairs.displacement_sizes <= reach)
        return confirmed & near & passes_margin(pairs.similarity, settings.reid_margin)

    def _update(
        self, predicted: _Predicted, rows: Int[np.ndarray, "Q"], people: Detections
    ) -> Tracks:
        """The tracks, those at `rows` updated by their people."""
        if not len(rows):
            return predicted.tracks
        observed = motion.observe(
            predicted.tracks.select(rows),
            predicted.keypoints_px[rows],
            predicted.gap_s[rows],
            people,
            self.settings,
        )
        return predicted.tracks.with_rows(rows, observed)


def _with_embedding_width(tracks: Tracks, poses: FramePoses) -> Tracks:
    """The tracks with room for the embeddings of `poses`, where they had none so far."""
    if poses.embeddings is None or tracks.embeddings.shape[1] == poses.embeddings.shape[1]:
        return tracks
    return replace(tracks, embeddings=np.zeros((len(tracks), poses.embeddings.shape[1])))


def _check_widths(tracks: Tracks, poses: FramePoses) -> None:
    """Raises VepeError where the poses do not fit the frames before."""
    if not len(tracks) or not len(poses):
        return
    before, now = tracks.keypoints_px.shape[1], poses.keypoints_px.shape[1]
    if before != now:
        raise VepeError(
            f"Frame {poses.frame_index} has poses of {now} keypoints, those before had {before}; "
            "track one skeleton at a time."
        )
    width = tracks.embeddings.shape[1]
    if poses.embeddings is not None and width not in (0, poses.embeddings.shape[1]):
        raise VepeError(
            f"Frame {poses.frame_index} has embeddings of {poses.embeddings.shape[1]} values, "
            f"those before had {width}; track with one model at a time."
        )
