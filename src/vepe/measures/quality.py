"""Where poses of an unlabelled video should not be trusted: gaps, low scores, jitter, jumps, ids.

Nothing here knows the right answer. Each finding is something that real movement rarely does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.errors import counted
from vepe.measures.proportions import body_height
from vepe.types import NO_TRACK, PersonTrack, PoseTracks

Kind = Literal["jump", "continues", "twice", "gap", "low score", "jitter", "short"]

SURE_SCORE = 0.3
"""Keypoints below it count neither for jitter nor for jumps."""

_LOW_SCORE = 0.5
_JUMP, _JITTER, _SAME_PLACE = 0.25, 0.06, 0.08  # of the body's height
_CONTINUES_S, _SHORT_S = 4.0, 0.5
_MIN_RUN = 3
"""Frames that a score must be low in, one after the other."""


@dataclass(frozen=True)
class Finding:
    """Something to look at.

    Attributes:
        kind: what it is.
        position: of the frame in `PoseTracks.frames`.
        time_s: of that frame.
        track_ids: whom it is about.
        severity: 0..1, for the order.
        text: one sentence.
        advice: what may repair it, as options of `vepe edit`; "" if nothing.
    """

    kind: Kind
    position: int
    time_s: float
    track_ids: tuple[int, ...]
    severity: float
    text: str
    advice: str = ""


@dataclass(frozen=True)
class TrackQuality:
    """One track over its F frames.

    Attributes:
        track_id: of the person.
        positions: (F,) of its frames in `PoseTracks.frames`.
        times_s: (F,) of these frames.
        confidence: (F,) mean score of all keypoints.
        jitter: (F,) how far keypoints lie from the middle between the frames before and after, as a
            share of the body's height (median over sure keypoints); NaN at ends and gaps.
        height_px: of the body.
    """

    track_id: int
    positions: Int[np.ndarray, "F"]
    times_s: Float[np.ndarray, "F"]
    confidence: Float[np.ndarray, "F"]
    jitter: Float[np.ndarray, "F"]
    height_px: float

    def spans(self) -> list[tuple[int, int]]:
        """First and last index (of F) of each stretch without a gap."""
        cuts = np.flatnonzero(np.diff(self.positions) > 1)
        firsts, lasts = [0, *(cuts + 1).tolist()], [*cuts.tolist(), len(self.positions) - 1]
        return list(zip(firsts, lasts, strict=True))


@dataclass(frozen=True)
class VideoQuality:
    """All tracks of a video of N frames, and the findings, worst first.

    Attributes:
        times_s: (N,) of all frames.
        num_people: (N,) in each frame, with and without an id.
        tracks: by id.
        findings: worst first.
    """

    times_s: Float[np.ndarray, "N"]
    num_people: Int[np.ndarray, "N"]
    tracks: tuple[TrackQuality, ...]
    findings: tuple[Finding, ...]


def video_quality(tracks: PoseTracks) -> VideoQuality:
    """Looks over the poses of a video."""
    place = {frame.frame_index: i for i, frame in enumerate(tracks.frames)}
    times = np.array([frame.time_s for frame in tracks.frames], np.float64)
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    findings: list[Finding] = []
    qualities, people = [], []
    for track_id in tracks.track_ids():
        person = tracks.person(track_id)
        positions = np.array([place[int(i)] for i in person.frame_indices])
        quality = _track_quality(person, positions)
        findings += _track_findings(person, quality, times, step_s)
        qualities.append(quality)
        people.append(person)
    findings += _continuations(people, qualities, times)
    findings += _doubles(tracks, qualities)
    findings.sort(key=lambda f: (-f.severity, f.position))
    num_people = np.array([len(frame) for frame in tracks.frames], np.int64)
    return VideoQuality(times, num_people, tuple(qualities), tuple(findings))


def _track_quality(person: PersonTrack, positions: Int[np.ndarray, "F"]) -> TrackQuality:
    points = _sure_points(person)
    height = body_height(points, person.skeleton)
    if not height > 0:  # a skeleton without a body: the usual size of its box
        low, high = np.fmin.reduce(points, axis=1), np.fmax.reduce(points, axis=1)
        sizes = np.hypot(*(high - low).T)
        height = float(np.median(sizes[np.isfinite(sizes)])) if np.isfinite(sizes).any() else 1.0
    jitter = np.full(len(points), np.nan)
    if len(points) > 2:
        bend = points[1:-1] - (points[:-2] + points[2:]) / 2
        inside = (np.diff(positions)[:-1] == 1) & (np.diff(positions)[1:] == 1)
        jitter[1:-1] = np.where(inside, _medians(np.hypot(bend[..., 0], bend[..., 1])), np.nan)
    return TrackQuality(
        person.track_id,
        positions,
        np.asarray(person.times_s, np.float64),
        np.asarray(person.keypoint_scores, np.float64).mean(axis=1),
        jitter / max(height, 1.0),
        max(height, 1.0),
    )


def _sure_points(person: PersonTrack) -> Float[np.ndarray, "F K 2"]:
    points = np.array(person.keypoints_px, np.float64)
    points[~(person.keypoint_scores >= SURE_SCORE)] = np.nan
    return points


def _medians(distances: Float[np.ndarray, "F K"]) -> Float[np.ndarray, "F"]:
    """Medians over the known values of each row; NaN where less than a third is known."""
    enough = np.isfinite(distances).mean(axis=1) >= 1 / 3
    medians = np.full(len(distances), np.nan)
    if enough.any():
        medians[enough] = np.nanmedian(distances[enough], axis=1)
    return medians


def _track_findings(
    person: PersonTrack, track: TrackQuality, times: Float[np.ndarray, "N"], step_s: float
) -> Iterator[Finding]:
    """What is odd about one track on its own."""
    name, ids = f"id {track.track_id}", (track.track_id,)

    def finding(kind: Kind, i: int, severity: float, text: str, advice: str = "") -> Finding:
        position = int(track.positions[i])
        return Finding(kind, position, float(times[position]), ids, severity, text, advice)

    spans = track.spans()
    for (_, last), (first, _) in pairwise(spans):
        away_s = track.times_s[first] - track.times_s[last]
        yield finding(
            "gap", first, min(0.25 + away_s / 8, 0.7), f"{name} is not seen for {away_s:.2f} s."
        )
    for first, last in _runs(track.confidence < _LOW_SCORE):
        if last - first + 1 < _MIN_RUN:
            continue
        worst = first + int(track.confidence[first : last + 1].argmin())
        length_s = track.times_s[last] - track.times_s[first] + step_s
        low = float(track.confidence[worst])
        yield finding(
            "low score", worst, min(0.3 + (_LOW_SCORE - low) + length_s / 20, 0.8),
            f"{name} has low scores for {length_s:.2f} s, {low:.2f} at worst.",
        )  # fmt: skip
    usual = float(np.nanmedian(track.jitter)) if np.isfinite(track.jitter).any() else 0.0
    shaky = np.nan_to_num(track.jitter) > max(_JITTER, 4 * usual)
    moved = _moves(person, track)
    usual_move = float(np.nanmedian(moved)) if np.isfinite(moved).any() else 0.0
    jumps = np.nan_to_num(moved) > max(_JUMP, 5 * usual_move)
    for first, last in _runs(shaky):
        if jumps[max(first - 1, 0) : last + 2].any():
            continue  # is listed as a jump
        worst = first + int(track.jitter[first : last + 1].argmax())
        value = float(track.jitter[worst])
        yield finding(
            "jitter", worst, min(0.3 + 2 * value, 0.75),
            f"Keypoints of {name} jump to and fro by {100 * value:.0f} % of the height.",
        )  # fmt: skip
    for i in np.flatnonzero(jumps).tolist():
        yield finding(
            "jump", i, min(0.6 + 0.4 * float(moved[i]), 1.0),
            f"{name} jumps by {100 * moved[i]:.0f} % of the height from one frame to the next: "
            "perhaps it is another person from here on.",
            f"--split {track.track_id}@{track.times_s[i]:.3f}s",
        )  # fmt: skip
    if track.times_s[-1] - track.times_s[0] < _SHORT_S and len(times) * step_s > 4 * _SHORT_S:
        yield finding(
            "short", 0, 0.35,
            f"{name} exists for {counted(len(track.times_s), 'frame')} only.",
            f"--drop {track.track_id}",
        )  # fmt: skip


def _moves(person: PersonTrack, track: TrackQuality) -> Float[np.ndarray, "F"]:
    """How far keypoints move from the frame before, in body heights; NaN after a gap."""
    points = _sure_points(person)
    moved = np.full(len(points), np.nan)
    if len(points) > 1:
        steps = points[1:] - points[:-1]
        distances = _medians(np.hypot(steps[..., 0], steps[..., 1])) / track.height_px
        moved[1:] = np.where(np.diff(track.positions) == 1, distances, np.nan)
    return moved


def _runs(mask: Bool[np.ndarray, "F"]) -> list[tuple[int, int]]:
    """First and last index of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _continuations(
    people: list[PersonTrack], tracks: list[TrackQuality], times: Float[np.ndarray, "N"]
) -> Iterator[Finding]:
    """Tracks that begin where and soon after another one has ended: perhaps one person."""
    ends = [(_middle(p, -1), t) for p, t in zip(people, tracks, strict=True)]
    starts = [(_middle(p, 0), t) for p, t in zip(people, tracks, strict=True)]
    for place, later in starts:
        best: tuple[float, TrackQuality, float] | None = None
        for end, earlier in ends:
            away_s = float(later.times_s[0] - earlier.times_s[-1])
            if not 0 < away_s <= _CONTINUES_S:
                continue
            size = max(earlier.height_px, later.height_px)
            distance = float(np.hypot(*(place - end))) / size
            alike = min(earlier.height_px, later.height_px) / size > 0.6
            if alike and distance < 0.3 + 0.6 * away_s and (best is None or distance < best[0]):
                best = distance, earlier, away_s
        if best is not None:
            _, earlier, away_s = best
            position = int(later.positions[0])
            yield Finding(
                "continues", position, float(times[position]),
                (later.track_id, earlier.track_id), 0.9 - 0.1 * away_s,
                f"id {later.track_id} begins near where id {earlier.track_id} ended {away_s:.2f} s "
                "before: perhaps one person.",
                f"--merge {later.track_id}:{earlier.track_id}",
            )  # fmt: skip


def _middle(person: PersonTrack, index: int) -> Float[np.ndarray, "2"]:
    """Where the person is in one of its frames; far away if no keypoint is known."""
    points = person.keypoints_px[index]
    known = points[np.isfinite(points).all(axis=1)]
    return known.mean(axis=0) if len(known) else np.full(2, 1e9)


def _doubles(tracks: PoseTracks, qualities: list[TrackQuality]) -> Iterator[Finding]:
    """Two ids with nearly the same pose in the same frames: perhaps one person twice."""
    heights = {track.track_id: track.height_px for track in qualities}
    together: dict[tuple[int, int], list[int]] = {}
    for position, frame in enumerate(tracks.frames):
        known = [i for i, track in enumerate(frame.track_ids.tolist()) if track != NO_TRACK]
        for a, b in combinations(known, 2):
            pair = sorted((int(frame.track_ids[a]), int(frame.track_ids[b])))
            distance = np.hypot(*(frame.keypoints_px[a] - frame.keypoints_px[b]).T)
            distance = distance[np.isfinite(distance)]
            size = max(heights[pair[0]], heights[pair[1]])
            if len(distance) and float(np.median(distance)) < _SAME_PLACE * size:
                together.setdefault((pair[0], pair[1]), []).append(position)
    for (one, other), positions in together.items():
        share = min(len(positions) / 20, 0.3)
        middle = positions[len(positions) // 2]
        yield Finding(
            "twice", middle, float(tracks.frames[middle].time_s), (one, other), 0.5 + share,
            f"ids {one} and {other} have nearly the same pose in {len(positions)} "
            f"{'frame' if len(positions) == 1 else 'frames'}: perhaps one person twice.",
            f"--drop {other}",
        )  # fmt: skip
