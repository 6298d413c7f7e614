"""The tracker: poses of one frame after the other in, the same poses with track ids out.

Three passes. Confident people against all tracks in reach, by identity, overlap and motion. Weak
people (ByteTrack's second pass) against the tracks that were in view a moment ago. Confident people
left over against lost tracks by identity alone, which also bridges shot cuts. Whoever is left and
scores enough starts a track.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.config.tracking import TrackerSettings
from vepe.errors import VepeError
from vepe.tracking import lifecycle, motion
from vepe.tracking.association import Affinities, affinities, assign, stands_out
from vepe.tracking.people import best_first, finite_people
from vepe.tracking.state import TrackerState, Tracks
from vepe.types import NO_TRACK, FramePoses

__all__ = ["Tracker", "TrackerState"]

NOBODY = -1


class Tracker:
    """A pure function of state: the same state and poses always give the same result.

    It holds its settings alone, so one tracker may serve any number of videos at once.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()

    def start(self) -> TrackerState:
        """The state before the first frame of a video."""
        return TrackerState()

    def end_shot(self, state: TrackerState) -> TrackerState:
        """The state after a shot cut: tracks go on by their embeddings or not at all.

        Call it before the first frame of the new shot. Tracks without an embedding end here.
        """
        return replace(state, tracks=lifecycle.after_cut(state.tracks))

    def step(self, state: TrackerState, poses: FramePoses) -> tuple[TrackerState, FramePoses]:
        """Takes one frame; gives the next state and the poses with `track_ids`, else unchanged.

        People keep their order. `NO_TRACK` stays on those that no track explains and that do not
        start one: weak, doubled, not confirmed yet, or with a NaN somewhere. Ids count from 1.
        Their order in the frame has no influence on the result.

        Raises:
            VepeError: where the number of keypoints or of embedding values changes in a video.
        """
        settings = self.settings
        _check_widths(state.tracks, poses)
        tracks = lifecycle.within_gap(state.tracks, poses.time_s, settings)
        tracks = _with_embedding_width(tracks, poses)
        places = np.flatnonzero(finite_people(poses) & (poses.scores >= settings.weak_score))
        places = places[best_first(poses.select(places))]
        places = places[~lifecycle.doubles(poses.select(places), settings)]
        people = poses.select(places)

        rows, partners = self._match(replace(state, tracks=tracks), people)
        tracks = self._moved(tracks, rows, people.select(partners))
        owners = np.full(len(people), NOBODY)
        owners[partners] = rows
        newcomers = lifecycle.newcomers(people, owners != NOBODY, settings)
        owners[newcomers] = len(tracks) + np.arange(len(newcomers))
        width = tracks.embeddings.shape[1]
        tracks = tracks.joined(lifecycle.born(people.select(newcomers), settings, width))
        tracks, next_id = lifecycle.confirmed(tracks, state.next_id, settings)

        track_ids = np.full(len(poses), NO_TRACK, np.int64)
        owned = owners != NOBODY
        track_ids[places[owned]] = tracks.track_ids[owners[owned]]
        tracks = lifecycle.trimmed(tracks, poses.time_s, settings)
        return TrackerState(next_id, poses.time_s, tracks), replace(poses, track_ids=track_ids)

    def _match(
        self, state: TrackerState, people: FramePoses
    ) -> tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
        """Rows of tracks and of people that belong together, by the three passes."""
        tracks, settings = state.tracks, self.settings
        if not len(tracks) or not len(people):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        expected_px = motion.predict(tracks, people.time_s, settings)
        pairs = affinities(tracks, expected_px, people, settings)
        gap_s = motion.elapsed_s(tracks, people.time_s)[:, None]
        confident = (people.scores >= settings.confident_score)[None]
        # Tracks seen in the last frame always take weak people, however slow the camera.
        in_view = tracks.seen_s[:, None] == state.time_s
        recent = (gap_s <= settings.weak_gap_s) | in_view
        placed = pairs.reachable & ((gap_s <= settings.place_gap_s) | in_view)
        revivable = self._revivable(tracks, pairs, gap_s)
        passes = (
            (pairs.total, placed & confident, settings.match_affinity),
            (pairs.total, placed & recent & ~confident, settings.match_affinity),
            (pairs.similarity, revivable & confident, settings.revive_similarity),
        )
        free = np.ones(pairs.total.shape, np.bool_)
        rows, columns = [], []
        for affinity, allowed, threshold in passes:
            found, partners = assign(affinity, allowed & free, threshold)
            free[found] = False
            free[:, partners] = False
            rows.append(found)
            columns.append(partners)
        return np.concatenate(rows), np.concatenate(columns)

    def _revivable(
        self, tracks: Tracks, pairs: Affinities, gap_s: Float[np.ndarray, "M 1"]
    ) -> Bool[np.ndarray, "M P"]:
        """Pairs that identity alone may join: across a cut, or at a speed that people reach."""
        settings = self.settings
        reach = settings.gate_sizes + settings.revive_sizes_per_s * gap_s
        confirmed = (tracks.track_ids != NO_TRACK)[:, None]
        near = ~tracks.same_shot[:, None] | (pairs.displacement_sizes <= reach)
        return confirmed & near & stands_out(pairs.similarity, settings.revive_margin)

    def _moved(self, tracks: Tracks, rows: Int[np.ndarray, "Q"], matched: FramePoses) -> Tracks:
        """The tracks with those at `rows` moved to their people."""
        if not len(rows):
            return tracks
        seen = tracks.select(rows)
        expected_px = motion.predict(seen, matched.time_s, self.settings)
        learn = matched.scores >= self.settings.confident_score
        return tracks.with_rows(
            rows, motion.observe(seen, expected_px, matched, learn, self.settings)
        )


def _with_embedding_width(tracks: Tracks, poses: FramePoses) -> Tracks:
    """The tracks with room for the embeddings of `poses`, where they had none so far."""
    if poses.embeddings is None or tracks.embeddings.shape[1] == poses.embeddings.shape[1]:
        return tracks
    return replace(tracks, embeddings=np.zeros((len(tracks), poses.embeddings.shape[1])))


def _check_widths(tracks: Tracks, poses: FramePoses) -> None:
    """Raises VepeError where the poses do not fit those that came before."""
    if not len(tracks) or not len(poses):
        return
    had, has = tracks.keypoints_px.shape[1], poses.keypoints_px.shape[1]
    if had != has:
        raise VepeError(
            f"Frame {poses.frame_index} has poses of {has} keypoints, those before had {had}; "
            "track one skeleton at a time."
        )
    width = tracks.embeddings.shape[1]
    if poses.embeddings is not None and width not in (0, poses.embeddings.shape[1]):
        raise VepeError(
            f"Frame {poses.frame_index} has embeddings of {poses.embeddings.shape[1]} values, "
            f"those before had {width}; track with one model at a time."
        )
