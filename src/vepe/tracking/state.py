"""What the tracker remembers between two frames, as frozen tables with one row per track."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float, Int


class Rows:
    """Selects, replaces and concatenates rows; nothing is changed in place.

    For frozen dataclasses whose fields are all arrays with the same leading length.
    """

    def select(self, index: Int[np.ndarray, "Q"] | Bool[np.ndarray, "M"]) -> Self:
        """Only the rows at `index` (integers or a mask), in that order."""
        return type(self)(**{name: array[index] for name, array in self._arrays().items()})

    def with_rows(self, index: Int[np.ndarray, "Q"] | Bool[np.ndarray, "M"], rows: Self) -> Self:
        """The same table with the rows at `index` replaced by those of `rows`, in that order."""
        result = {name: array.copy() for name, array in self._arrays().items()}
        for name, array in result.items():
            array[index] = getattr(rows, name)
        return type(self)(**result)

    def concat(self, more: Self) -> Self:
        """These rows followed by those of `more`; where one table is empty, the other."""
        if not len(next(iter(self._arrays().values()))):
            return more
        if not len(next(iter(more._arrays().values()))):
            return self
        pairs = {n: np.concatenate([a, getattr(more, n)]) for n, a in self._arrays().items()}
        return type(self)(**pairs)

    def _arrays(self) -> dict[str, Any]:
        return vars(self)


@dataclass(frozen=True)
class Tracks(Rows):
    """M tracks, one row each.

    Attributes:
        track_ids: (M,) ids, `NO_TRACK` for tracks that are not confirmed yet.
        hits: (M,) number of observations.
        seen_s: (M,) timestamp of the last observation.
        keypoints_px: (M, K, 2) filtered pose at that time.
        weights: (M, K) how far each of its keypoints can be trusted, 0..1.
        velocities_px_s: (M, 2) velocity of the whole person at that time, pixels per second.
        sizes_px: (M,) running size, see `detections.person_sizes`.
        embeddings: (M, D) unit-length running embedding; D is 0 until people have embeddings.
        embedding_hits: (M,) number of observations with an embedding.
        same_shot: (M,) False after a shot cut, until the track is seen again.
    """

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

    @staticmethod
    def empty() -> Tracks:
        """A table without rows."""
        return Tracks(
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


@dataclass(frozen=True)
class TrackerState:
    """All that the tracker knows of one video: a value that goes in and comes out.

    Nothing in it is changed in place, so the states of several videos, or of one video at several
    times, can be stored and continued at will. Its size is bounded by `TrackerSettings.max_gap_s`
    and `max_lost_tracks`, not by the length of the video.

    Attributes:
        next_id: id of the next track; ids count from 1 and are never used twice.
        time_s: timestamp of the last frame, None before the first.
        tracks: the live tracks, both in view and lost.
    """

    next_id: int = 1
    time_s: float | None = None
    tracks: Tracks = field(default_factory=Tracks.empty)
