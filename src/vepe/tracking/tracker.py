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
from vepe.tracking.affinity import Affinities, affinities
from vepe.tracking.assignment import assign
from vepe.tracking.people import best_first, finite_people
from vepe.tracking.state import TrackerState
from vepe.types import NO_TRACK, FramePoses

__all__ = ["Tracker", "TrackerState"]


class Tracker:
    """A pure function of state: the same state and poses always give the same result.

    It holds its settings alone, so one tracker may serve any number of videos at once.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()

    def start(self) -> TrackerState:
        """The state before the first frame of a video."""
        return TrackerState.empty()

    def end_shot(self, state: TrackerState) -> TrackerState:
        """The state after a shot cut: tracks go on by their embeddings or not at all.

        Call it before the first frame of the new shot. Tracks without an embedding end here.
        """
        known = state.select((state.embedding_hits > 0) & (state.track_ids != NO_TRACK))
        return replace(known, same_shot=np.zeros(len(known), np.bool_))

    def step(self, state: TrackerState, poses: FramePoses) -> tuple[TrackerState, FramePoses]:
        """Takes one frame; gives the next state and the poses with `track_ids`, else unchanged.

        People keep their order. `NO_TRACK` stays on those that no track explains and that do not
        start one: weak, doubled, not confirmed yet, or with a NaN somewhere. Ids count from 1.
        Their order in the frame has no influence on the result.

        Raises:
            VepeError: where the number of keypoints or of embedding values changes in a video.
        """
        _check_widths(state, poses)
        state = lifecycle.within_gap(state, poses.time_s, self.settings)
        state = _with_embedding_width(state, poses)
        given = np.flatnonzero(finite_people(poses) & (poses.scores >= self.settings.weak_score))
        people = best_first(replace(poses.select(given), track_ids=given))
        given = people.track_ids

        tracks, partners = self._match(state, people)
        state = self._update(state, people, tracks, partners)
        owners = np.full(len(people), -1)
        owners[partners] = tracks
        born = lifecycle.newcomers(people, owners >= 0, self.settings)
        if len(born):
            owners[born] = len(state) + np.arange(len(born))
            width = state.embeddings.shape[1]
            state = state.joined(lifecycle.born(people.select(born), self.settings, width))
        state = lifecycle.confirmed(state, self.settings)

        track_ids = np.full(len(poses), NO_TRACK, np.int64)
        owned = owners >= 0
        track_ids[given[owned]] = state.track_ids[owners[owned]]
        state = lifecycle.trimmed(state, poses.time_s, self.settings)
        return replace(state, time_s=poses.time_s), replace(poses, track_ids=track_ids)

    def _match(
        self, state: TrackerState, people: FramePoses
    ) -> tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
        """Rows of tracks and of people that belong together, by the three passes."""
        if not len(state) or not len(people):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        settings = self.settings
        expected_px = motion.predict(state, people.time_s, settings)
        pairs = affinities(state, expected_px, people, settings)
        gap_s = motion.elapsed_s(state, people.time_s)[:, None]
        confident = (people.scores >= settings.confident_score)[None]
        # The last frame's tracks always take weak people, however slow the camera.
        in_view = state.seen_s[:, None] == state.time_s
        recent = (gap_s <= settings.weak_gap_s) | in_view
        revivable = self._revivable(state, pairs, gap_s)
        passes = (
            (pairs.total, pairs.reachable & confident, settings.match_affinity),
            (pairs.total, pairs.reachable & recent & ~confident, settings.match_affinity),
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
        self, state: TrackerState, pairs: Affinities, gap_s: Float[np.ndarray, "M 1"]
    ) -> Bool[np.ndarray, "M P"]:
        """Pairs that identity alone may join: across a cut, or at a speed that people reach."""
        settings = self.settings
        reach = settings.gate_sizes + settings.revive_sizes_per_s * gap_s
        confirmed = (state.track_ids != NO_TRACK)[:, None]
        return confirmed & (~state.same_shot[:, None] | (pairs.displacement_sizes <= reach))

    def _update(
        self,
        state: TrackerState,
        people: FramePoses,
        tracks: Int[np.ndarray, "Q"],
        partners: Int[np.ndarray, "Q"],
    ) -> TrackerState:
        """The state with the matched tracks (rows `tracks`) moved to their people."""
        if not len(tracks):
            return state
        matched = people.select(partners)
        seen = state.select(tracks)
        expected_px = motion.predict(seen, people.time_s, self.settings)
        learn = matched.scores >= self.settings.confident_score
        news = motion.observe(seen, expected_px, matched, learn, self.settings)
        return state.with_rows(tracks, news)


def _with_embedding_width(state: TrackerState, poses: FramePoses) -> TrackerState:
    """The state with room for the embeddings of `poses`, where it had none so far."""
    if poses.embeddings is None or state.embeddings.shape[1] == poses.embeddings.shape[1]:
        return state
    return replace(state, embeddings=np.zeros((len(state), poses.embeddings.shape[1])))


def _check_widths(state: TrackerState, poses: FramePoses) -> None:
    """Raises VepeError where the poses do not fit those that came before."""
    if not len(state) or not len(poses):
        return
    had, has = state.keypoints_px.shape[1], poses.keypoints_px.shape[1]
    if had != has:
        raise VepeError(
            f"Frame {poses.frame_index} has poses of {has} keypoints, those before had {had}; "
            "track one skeleton at a time."
        )
    width = state.embeddings.shape[1]
    if poses.embeddings is not None and width not in (0, poses.embeddings.shape[1]):
        raise VepeError(
            f"Frame {poses.frame_index} has embeddings of {poses.embeddings.shape[1]} values, "
            f"those before had {width}; track with one model at a time."
        )
