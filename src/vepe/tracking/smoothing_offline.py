"""Offline smoothing of tracked keypoints: two-sided, with short gaps filled.

Every keypoint gets a local polynomial in true time (equal to Savitzky and Golay's for even frames
and confidences), weighted by confidence and by nearness in time. It is fitted twice: in the second
fit, keypoints far from the first one no longer count (Cleveland's robust LOWESS).

The fit reaches a bounded time to either side. So `OfflineSmoother` returns a frame as soon as that
much of its future is known: the same result as `smooth_offline` on the whole, in constant memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.config.tracking import SmoothingSettings
from vepe.tracking.detections import keypoint_weights, person_sizes
from vepe.tracking.smoothing import MIN_WEIGHT, discontinuities
from vepe.tracking.state import Rows
from vepe.types import NO_TRACK, FramePoses

_CHUNK_S = 4.0


class OfflineSmoother:
    """Smooths a stream of tracked frames; each comes out some seconds later.

    Args:
        settings: of the fit.
        chunk_s: seconds that are smoothed at a time.
    """

    def __init__(
        self, settings: SmoothingSettings | None = None, chunk_s: float = _CHUNK_S
    ) -> None:
        self.settings, self.chunk_s = settings or SmoothingSettings(), chunk_s
        self._frames: list[FramePoses] = []
        self._emitted = 0  # so many of `_frames` came out, and serve as the past of the others

    @property
    def margin_s(self) -> float:
        """How far to either side a frame's result can depend on others.

        Two rounds of the fit, at the far end of a gap that is filled or that splits a track.
        """
        settings = self.settings
        return 2 * settings.half_window_s + max(settings.fill_gap_s, settings.reset_gap_s) + 0.01

    def push(self, poses: FramePoses) -> list[FramePoses]:
        """Takes the next frame; returns the frames that are final now, in order."""
        self._frames.append(poses)
        first = self._frames[self._emitted].time_s
        if poses.time_s - first < self.chunk_s + self.margin_s:
            return []
        return self._emit(poses.time_s - self.margin_s)

    def finish(self) -> list[FramePoses]:
        """The remaining frames."""
        return self._emit(float("inf"))

    def _emit(self, before_s: float) -> list[FramePoses]:
        """Smooths all buffered frames; returns the new ones before a time, keeps the margin."""
        if not self._frames:
            return []
        smoothed = smooth_offline(self._frames, self.settings)
        end = sum(frame.time_s < before_s for frame in self._frames)
        result = smoothed[self._emitted : end]
        if end < len(self._frames):
            keep_from_s = self._frames[end].time_s - self.margin_s
            drop = sum(frame.time_s < keep_from_s for frame in self._frames)
        else:
            drop = end
        self._frames, self._emitted = self._frames[drop:], end - drop
        return result


def smooth_offline(
    frames: Sequence[FramePoses], settings: SmoothingSettings | None = None
) -> list[FramePoses]:
    """The frames of a whole video with smoothed keypoints and gaps up to `fill_gap_s` filled.

    Interpolated people lie on the line between the neighbouring observations; their scores and
    keypoint scores are the lower neighbour's times `fill_confidence`. People stay sorted, highest
    score first.
    """
    settings = settings or SmoothingSettings()
    keypoints_px = [frame.keypoints_px.copy() for frame in frames]
    added: list[list[FramePoses]] = [[] for _ in frames]
    for track in observations(frames).values():
        for part in _split(track, settings):
            fitted = fit(part.times_s, part.keypoints_px, part.weights, settings)
            for frame, person, points in zip(part.frames, part.people, fitted, strict=True):
                keypoints_px[frame][person] = points
            for frame, filled in _interpolated(frames, part, fitted, settings):
                added[frame].append(filled)
    return [
        _with_people(replace(frame, keypoints_px=points), extra)
        for frame, points, extra in zip(frames, keypoints_px, added, strict=True)
    ]


@dataclass(frozen=True)
class TrackObservations(Rows):
    """F observations of one track in order of time.

    Attributes:
        frames, people: (F,) index of the frame, and of the person in it.
        times_s: (F,) timestamps.
        keypoints_px: (F, K, 2) poses.
        weights: (F, K) keypoint weights.
    """

    frames: Int[np.ndarray, "F"]
    people: Int[np.ndarray, "F"]
    times_s: Float[np.ndarray, "F"]
    keypoints_px: Float[np.ndarray, "F K 2"]
    weights: Float[np.ndarray, "F K"]


def observations(frames: Sequence[FramePoses]) -> dict[int, TrackObservations]:
    """All tracks by rising id; where a frame has an id twice, its first person counts."""
    people_of: dict[int, dict[int, int]] = {}  # track id -> frame -> person
    for index, frame in enumerate(frames):
        for person, track_id in enumerate(frame.track_ids.tolist()):
            if track_id != NO_TRACK:
                people_of.setdefault(track_id, {}).setdefault(index, person)
    return {track_id: _observations(frames, people_of[track_id]) for track_id in sorted(people_of)}


def _observations(frames: Sequence[FramePoses], people: dict[int, int]) -> TrackObservations:
    """The observations at frame -> person."""
    scores = np.stack([frames[i].keypoint_scores[p] for i, p in people.items()])
    points = np.stack([frames[i].keypoints_px[p] for i, p in people.items()])
    return TrackObservations(
        frames=np.array(list(people)),
        people=np.array(list(people.values())),
        times_s=np.array([frames[i].time_s for i in people]),
        keypoints_px=points.astype(np.float64),
        weights=keypoint_weights(scores),
    )


def _split(track: TrackObservations, settings: SmoothingSettings) -> list[TrackObservations]:
    """The track split where it must not be smoothed across: at long gaps and jumps."""
    sizes = person_sizes(track.keypoints_px, track.weights)
    points, weights = track.keypoints_px, track.weights
    cut: Bool[np.ndarray, "F"] = discontinuities(
        points[:-1],
        weights[:-1],
        points[1:],
        weights[1:],
        sizes[1:],
        np.diff(track.times_s),
        settings,
    )
    bounds = [0, *(np.flatnonzero(cut) + 1).tolist(), len(track.times_s)]
    return [track.select(np.arange(a, b)) for a, b in pairwise(bounds)]


def fit(
    times_s: Float[np.ndarray, "F"],
    values: Float[np.ndarray, "F K 2"],
    weights: Float[np.ndarray, "F K"],
    settings: SmoothingSettings,
) -> Float[np.ndarray, "F K 2"]:
    """Values of the local polynomials at their own times; `times_s` rises.

    Two rounds, the second without outliers. Where few observations are in reach, the ridge lowers
    the degree of the polynomial.
    """
    weights = weights + MIN_WEIGHT
    first = _local_fit(times_s, values, weights, settings)
    sizes = person_sizes(values, weights)
    residual = np.linalg.norm(values - first, axis=2) / (settings.outlier_sizes * sizes[:, None])
    robust = np.square(np.maximum(1 - np.square(residual), 1e-3))  # (F, K)
    return _local_fit(times_s, values, weights * robust, settings)


def _local_fit(
    times_s: Float[np.ndarray, "F"],
    values: Float[np.ndarray, "F K 2"],
    weights: Float[np.ndarray, "F K"],
    settings: SmoothingSettings,
) -> Float[np.ndarray, "F K 2"]:
    """One weighted polynomial per observation, over its neighbours within the half window.

    Sums over neighbours are accumulated offset by offset, so memory does not grow with the window.
    """
    count, half = len(times_s), settings.half_window_s
    terms = settings.degree + 1  # T
    moments = np.zeros((*weights.shape, terms, terms))  # (F, K, T, T)
    targets = np.zeros((*weights.shape, terms, 2))  # (F, K, T, 2)
    left = np.searchsorted(times_s, times_s - half, side="left")
    right = np.searchsorted(times_s, times_s + half, side="right")
    index = np.arange(count)
    reach = int(max((index - left).max(), (right - 1 - index).max()))
    for offset in range(-reach, reach + 1):
        rows = index[(index + offset >= left) & (index + offset < right)]  # (R,)
        other = rows + offset
        shift = (times_s[other] - times_s[rows]) / half
        # Tricube: near neighbours count most, those at the rim hardly, so nothing jumps.
        near = np.power(1 - np.power(np.minimum(np.abs(shift), 0.999), 3), 3)
        weight = near[:, None] * weights[other]  # (R, K)
        powers = shift[:, None] ** np.arange(terms)  # (R, T)
        products = powers[:, :, None] * powers[:, None, :]  # (R, T, T)
        moments[rows] += weight[..., None, None] * products[:, None]
        weighted = weight[..., None] * values[other]  # (R, K, 2)
        targets[rows] += powers[:, None, :, None] * weighted[:, :, None, :]  # (R, K, T, 2)
    # A little ridge on all but the constant term: few neighbours give a line or a mean, no blow-up.
    ridge = np.diag([0.0, *[1e-3] * (terms - 1)]) * moments[..., :1, :1]
    return np.linalg.solve(moments + ridge, targets)[..., 0, :]  # (F, K, 2)


def _interpolated(
    frames: Sequence[FramePoses],
    part: TrackObservations,
    fitted: Float[np.ndarray, "F K 2"],
    settings: SmoothingSettings,
) -> list[tuple[int, FramePoses]]:
    """Frame index and one person for every frame in a gap that is short enough to fill."""
    result = []
    for i in range(len(part.frames) - 1):
        gap_s = part.times_s[i + 1] - part.times_s[i]
        if gap_s > settings.fill_gap_s + 1e-9:
            continue
        before = frames[part.frames[i]].select(part.people[i : i + 1])
        after = frames[part.frames[i + 1]].select(part.people[i + 1 : i + 2])
        for index in range(int(part.frames[i]) + 1, int(part.frames[i + 1])):
            share = (frames[index].time_s - part.times_s[i]) / max(gap_s, 1e-9)
            points = (1 - share) * fitted[i] + share * fitted[i + 1]
            person = _between(frames[index], before, after, points, share, settings)
            result.append((index, person))
    return result


def _between(
    frame: FramePoses,
    before: FramePoses,
    after: FramePoses,
    points_px: Float[np.ndarray, "K 2"],
    share: float,
    settings: SmoothingSettings,
) -> FramePoses:
    """An interpolated person of `frame`, with the embedding of the nearer neighbour."""
    factor = settings.fill_confidence
    near = before if share < 0.5 else after
    return replace(
        near,
        frame_index=frame.frame_index,
        time_s=frame.time_s,
        keypoints_px=points_px[None].astype(near.keypoints_px.dtype),
        keypoint_scores=factor * np.minimum(before.keypoint_scores, after.keypoint_scores),
        scores=factor * np.minimum(before.scores, after.scores),
    )


def _with_people(frame: FramePoses, extra: list[FramePoses]) -> FramePoses:
    """The frame with more people, highest score first; unchanged where there are none."""
    if not extra:
        return frame
    parts = [frame, *extra]
    # An empty frame does not know the width of embeddings; it takes that of the added people.
    embeddings = [f.embeddings for f in parts if len(f)]
    known = [e for e in embeddings if e is not None]
    joined = replace(
        frame,
        keypoints_px=np.concatenate([f.keypoints_px for f in parts]),
        keypoint_scores=np.concatenate([f.keypoint_scores for f in parts]),
        scores=np.concatenate([f.scores for f in parts]),
        track_ids=np.concatenate([f.track_ids for f in parts]),
        embeddings=np.concatenate(known) if len(known) == len(embeddings) else None,
    )
    return joined.select(np.argsort(-joined.scores, kind="stable"))
