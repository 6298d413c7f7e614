"""What the tracker remembers between two frames."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class TrackerState:
    """All live tracks of one video, M of them, as arrays with one row a track.

    A value: nothing in it is changed in place, so states of several videos, or of the same video
    at several moments, can be kept and continued at will. Its size is bounded by
    `TrackerSettings.max_gap_s` and `max_lost_tracks`, not by the length of the video.

    Attributes:
        next_id: id of the next track; ids count from 1 in order of birth and never return.
        time_s: timestamp of the last frame, None before the first.
        track_ids: (M,) ids, `NO_TRACK` for tracks that are not confirmed yet.
        hits: (M,) sightings so far.
        seen_s: (M,) timestamp of the last sighting.
        keypoints_px: (M, K, 2) pose at that moment.
        weights: (M, K) how far each keypoint of it can be trusted, 0..1.
        velocities_px_s: (M, 2) motion of the whole person at that moment, pixels a second.
        sizes_px: (M,) running size, see `people.person_sizes`.
        embeddings: (M, D) unit-length running identity; D is 0 where none was ever given.
        embedding_hits: (M,) sightings that carried an embedding.
        same_shot: (M,) False after a shot cut, until the track is seen again.
    """

    next_id: int
    time_s: float | None
    track_ids: Int[np.ndarray, "M"]
    hits: Int[np.ndarray, "M"]
    seen_s: Float[np.ndarray, "M"]
    keypoints_px: Float[np.ndarray, "M K 2"]
    weights: Float[np.ndarray, "M K"]
    velocities_px_s: Float[np.ndarray, "M 2"]
    sizes_px: Float[np.ndarray, "M"]
    embeddings: Float[np.ndarray, "M D"]
    embedding_hits: Int[np.ndarray, "M"]
    same_shot: Bool[np.ndarray, "M"]

    def __len__(self) -> int:
        return len(self.track_ids)

    def select(self, index: Int[np.ndarray, "Q"] | Bool[np.ndarray, "M"]) -> TrackerState:
        """The state with only the tracks at `index`, in that order."""
        return replace(self, **{name: getattr(self, name)[index] for name in _ROWS})

    def with_rows(self, index: Int[np.ndarray, "Q"], rows: TrackerState) -> TrackerState:
        """The state with the tracks at `index` replaced by those of `rows`, in that order."""
        result = {name: getattr(self, name).copy() for name in _ROWS}
        for name, array in result.items():
            array[index] = getattr(rows, name)
        return replace(self, **result)

    def joined(self, born: TrackerState) -> TrackerState:
        """The state with the tracks of `born` behind its own; `next_id` and time are its own."""
        if not len(self):
            return replace(born, next_id=self.next_id, time_s=self.time_s)
        rows = {n: np.concatenate([getattr(self, n), getattr(born, n)]) for n in _ROWS}
        return replace(self, **rows)

    @staticmethod
    def empty() -> TrackerState:
        """The state before the first frame."""
        return TrackerState(
            next_id=1,
            time_s=None,
            track_ids=np.zeros(0, np.int64),
            hits=np.zeros(0, np.int64),
            seen_s=np.zeros(0),
            keypoints_px=np.zeros((0, 0, 2)),
            weights=np.zeros((0, 0)),
            velocities_px_s=np.zeros((0, 2)),
            sizes_px=np.zeros(0),
            embeddings=np.zeros((0, 0)),
            embedding_hits=np.zeros(0, np.int64),
            same_shot=np.zeros(0, np.bool_),
        )


_ROWS = tuple(f.name for f in fields(TrackerState) if f.name not in ("next_id", "time_s"))
