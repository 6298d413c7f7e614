"""One track of a finished video as arrays over time.

Two-sided smoothing of whole tracks, with short gaps filled.

Every keypoint gets a local polynomial in true time (as Savitzky and Golay's, which this equals at
even frames and confidences), weighted by confidence and by nearness in time, fitted twice: in the
second fit, keypoints far from the first one no longer count (Cleveland's robust LOWESS).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.config.tracking import SmoothingSettings
from vepe.tracking.people import keypoint_weights, person_sizes
from vepe.tracking.smoothing import breaks
from vepe.tracking.state import Rows
from vepe.types import NO_TRACK, FramePoses, PoseTracks


@dataclass(frozen=True)
class TrackObservations(Rows):
    """One track: F sightings in order of time. `frames` and `people` say where they came from."""

    frames: Int[np.ndarray, "F"]
    people: Int[np.ndarray, "F"]
    times_s: Float[np.ndarray, "F"]
    keypoints_px: Float[np.ndarray, "F K 2"]
    weights: Float[np.ndarray, "F K"]


def sightings(frames: tuple[FramePoses, ...]) -> dict[int, TrackObservations]:
    """All tracks of the frames by rising id; where a frame has an id twice, its first person."""
    places: dict[int, dict[int, int]] = {}
    for index, frame in enumerate(frames):
        for person, track_id in enumerate(frame.track_ids.tolist()):
            if track_id != NO_TRACK:
                places.setdefault(track_id, {}).setdefault(index, person)
    return {track_id: _gathered(frames, places[track_id]) for track_id in sorted(places)}


def _gathered(frames: tuple[FramePoses, ...], where: dict[int, int]) -> TrackObservations:
    """The sightings at frame -> person."""
    scores = np.stack([frames[i].keypoint_scores[p] for i, p in where.items()])
    points = np.stack([frames[i].keypoints_px[p] for i, p in where.items()])
    return TrackObservations(
        frames=np.array(list(where)),
        people=np.array(list(where.values())),
        times_s=np.array([frames[i].time_s for i in where]),
        keypoints_px=points.astype(np.float64),
        weights=keypoint_weights(scores),
    )


def smooth_offline(tracks: PoseTracks, settings: SmoothingSettings | None = None) -> PoseTracks:
    """The same tracks with calm keypoints; people missing for up to `fill_gap_s` are filled in.

    Filled people lie on the line between their neighbours in time; their scores and keypoint scores
    are the lower neighbour's times `fill_confidence`. People stay sorted, best first.
    """
    settings = settings or SmoothingSettings()
    keypoints_px = [frame.keypoints_px.copy() for frame in tracks.frames]
    added: list[list[FramePoses]] = [[] for _ in tracks.frames]
    for track in sightings(tracks.frames).values():
        for part in _parts(track, settings):
            calm = fit(part.times_s, part.keypoints_px, part.weights, settings)
            for frame, person, points in zip(part.frames, part.people, calm, strict=True):
                keypoints_px[frame][person] = points
            for frame, filled in _fillings(tracks.frames, part, calm, settings):
                added[frame].append(filled)
    frames = [
        _with_people(replace(frame, keypoints_px=points), extra)
        for frame, points, extra in zip(tracks.frames, keypoints_px, added, strict=True)
    ]
    return replace(tracks, frames=tuple(frames))


def fit(
    times_s: Float[np.ndarray, "F"],
    values: Float[np.ndarray, "F K 2"],
    weights: Float[np.ndarray, "F K"],
    settings: SmoothingSettings,
) -> Float[np.ndarray, "F K 2"]:
    """Values of the local polynomials at their own times; two rounds, the second without outliers.

    `times_s` rises. Where too few sightings lie in reach, the polynomial's degree falls by itself.
    """
    weights = weights + settings.min_weight
    first = _local_fit(times_s, values, weights, settings)
    sizes = person_sizes(values, weights)
    off = np.linalg.norm(values - first, axis=2) / (settings.outlier_sizes * sizes[:, None])
    robust = np.square(np.maximum(1 - np.square(off), 1e-3))
    return _local_fit(times_s, values, weights * robust, settings)


def _local_fit(
    times_s: Float[np.ndarray, "F"],
    values: Float[np.ndarray, "F K 2"],
    weights: Float[np.ndarray, "F K"],
    settings: SmoothingSettings,
) -> Float[np.ndarray, "F K 2"]:
    """One weighted polynomial a sighting, over its neighbours within the half window.

    Sums over neighbours are gathered offset by offset, so memory does not grow with the window.
    """
    count, half = len(times_s), settings.half_window_s
    terms = settings.degree + 1
    moments = np.zeros((*weights.shape, terms, terms))
    targets = np.zeros((*weights.shape, terms, 2))
    left = np.searchsorted(times_s, times_s - half, side="left")
    right = np.searchsorted(times_s, times_s + half, side="right")
    here = np.arange(count)
    reach = int(max((here - left).max(), (right - 1 - here).max()))
    for offset in range(-reach, reach + 1):
        rows = here[(here + offset >= left) & (here + offset < right)]
        other = rows + offset
        shift = (times_s[other] - times_s[rows]) / half
        # Tricube: near neighbours count most, those at the rim hardly, so nothing jumps.
        near = np.power(1 - np.power(np.minimum(np.abs(shift), 0.999), 3), 3)
        weight = near[:, None] * weights[other]
        powers = shift[:, None] ** np.arange(terms)
        products = powers[:, :, None] * powers[:, None, :]
        moments[rows] += weight[..., None, None] * products[:, None]
        weighted = weight[..., None] * values[other]
        targets[rows] += powers[:, None, :, None] * weighted[:, :, None, :]
    # A little ridge on all but the constant term: few neighbours give a line or a mean, no blow-up.
    ridge = np.diag([0.0, *[1e-3] * (terms - 1)]) * moments[..., :1, :1]
    return np.linalg.solve(moments + ridge, targets)[..., 0, :]


def _parts(track: TrackObservations, settings: SmoothingSettings) -> list[TrackObservations]:
    """The track cut where it must not be smoothed across: long gaps and jumps."""
    gaps_s = np.diff(track.times_s)
    sizes = person_sizes(track.keypoints_px, track.weights)
    points, weights = track.keypoints_px, track.weights
    cut: Bool[np.ndarray, "F"] = breaks(
        points[:-1], weights[:-1], points[1:], weights[1:], sizes[1:], gaps_s, settings
    )
    bounds = [0, *(np.flatnonzero(cut) + 1).tolist(), len(track.times_s)]
    return [track.select(np.arange(a, b)) for a, b in pairwise(bounds)]


def _fillings(
    frames: tuple[FramePoses, ...],
    part: TrackObservations,
    calm: Float[np.ndarray, "F K 2"],
    settings: SmoothingSettings,
) -> list[tuple[int, FramePoses]]:
    """Frame number and one person for every frame in a gap of the part short enough to fill."""
    found = []
    for i in range(len(part.frames) - 1):
        gap_s = part.times_s[i + 1] - part.times_s[i]
        if gap_s > settings.fill_gap_s + 1e-9:
            continue
        before = frames[part.frames[i]].select(part.people[i : i + 1])
        after = frames[part.frames[i + 1]].select(part.people[i + 1 : i + 2])
        for number in range(int(part.frames[i]) + 1, int(part.frames[i + 1])):
            share = (frames[number].time_s - part.times_s[i]) / max(gap_s, 1e-9)
            points = (1 - share) * calm[i] + share * calm[i + 1]
            found.append((number, _between(frames[number], before, after, points, share, settings)))
    return found


def _between(
    frame: FramePoses,
    before: FramePoses,
    after: FramePoses,
    points_px: Float[np.ndarray, "K 2"],
    share: float,
    settings: SmoothingSettings,
) -> FramePoses:
    """A filled-in person of `frame`; identity embedding of the nearer neighbour."""
    lower = settings.fill_confidence
    near = before if share < 0.5 else after
    return replace(
        near,
        frame_index=frame.frame_index,
        time_s=frame.time_s,
        keypoints_px=points_px[None].astype(near.keypoints_px.dtype),
        keypoint_scores=lower * np.minimum(before.keypoint_scores, after.keypoint_scores),
        scores=lower * np.minimum(before.scores, after.scores),
    )


def _with_people(frame: FramePoses, extra: list[FramePoses]) -> FramePoses:
    """The frame with more people, best first; unchanged where there are none."""
    if not extra:
        return frame
    everyone = [frame, *extra]
    # An empty frame has no embeddings to say how wide they are; it takes those of the newcomers.
    given = [f.embeddings for f in everyone if len(f)]
    embeddings = [e for e in given if e is not None]
    joined = replace(
        frame,
        keypoints_px=np.concatenate([f.keypoints_px for f in everyone]),
        keypoint_scores=np.concatenate([f.keypoint_scores for f in everyone]),
        scores=np.concatenate([f.scores for f in everyone]),
        track_ids=np.concatenate([f.track_ids for f in everyone]),
        embeddings=np.concatenate(embeddings) if len(embeddings) == len(given) else None,
    )
    return joined.select(np.argsort(-joined.scores, kind="stable"))
