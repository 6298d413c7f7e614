"""Scores of tracks for any skeleton, without head boxes: AP, HOTA, MOTA and IDF1 of whole people.

The similarity of two people is OKS, or the overlap of their boxes. All rules and their sources are
listed in `docs/evaluation.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vepe.errors import VepeError
from vepe.evaluation.coco import parse_sigmas, run_cocoeval
from vepe.evaluation.coco_tables import Joints
from vepe.evaluation.track_metrics import MotEvents, TrackSums, sum_tracks, track_scores
from vepe.evaluation.track_pairing import SequencePair, TrackSource, pair_tracks, read_tracks
from vepe.evaluation.track_similarity import ScoredVideo, Similarity, scored_videos
from vepe.formats.annotations import AnnotatedSequence


@dataclass(frozen=True)
class WorstFrame:
    """A frame with many errors; `place` names file, position and image."""

    place: str
    misses: int
    false_positives: int
    switches: int


@dataclass(frozen=True)
class WorstTrack:
    """A person of the ground truth that was often missed, or given several ids."""

    sequence: str
    track_id: int | None
    frames: int
    matched: int
    switches: int


@dataclass(frozen=True)
class TracksResult:
    """Scores of tracks in percent, and what was counted.

    Attributes:
        similarity: how people are compared.
        joints: names of the scored keypoints; empty for boxes.
        sequences, frames, people, predictions: what was scored, without ignored people.
        gt_tracks, pred_tracks: numbers of tracks.
        ap, ap50, ap75, ar: average precision and recall by pycocotools, -1 without people.
        tracking: values by name, see `track_metrics.track_scores`; None without track ids.
        by_sequence: the same by name of the sequence.
        worst_frames, worst_tracks: where most errors are, the worst first.
        notes: messages about the data that affect the scores.
    """

    similarity: Similarity
    joints: tuple[str, ...]
    sequences: int
    frames: int
    people: int
    predictions: int
    gt_tracks: int
    pred_tracks: int
    ap: float
    ap50: float
    ap75: float
    ar: float
    tracking: Mapping[str, float] | None
    by_sequence: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    worst_frames: tuple[WorstFrame, ...] = field(default=(), repr=False)
    worst_tracks: tuple[WorstTrack, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return values | {
            "joints": list(self.joints),
            "tracking": None if self.tracking is None else dict(self.tracking),
            "by_sequence": {name: dict(scores) for name, scores in self.by_sequence.items()},
            "worst_frames": [vars(frame) for frame in self.worst_frames],
            "worst_tracks": [vars(track) for track in self.worst_tracks],
            "notes": list(self.notes),
        }


def evaluate_tracks(
    gt: TrackSource,
    pred: TrackSource,
    *,
    similarity: Similarity = "oks",
    joints: Joints = "shared",
    sigmas: Mapping[str, float] | None = None,
    worst: int = 5,
) -> TracksResult:
    """Scores tracks of people, for any skeleton.

    Args:
        gt: labelled sequences: a file or folder of any format that VEPE reads, several of them, or
            sequences in memory. Head boxes are not needed.
        pred: predictions, likewise. Sequences are paired by name (one on each side: always),
            frames by image name, by number, or by position, see `track_pairing`.
        similarity: 'oks', or 'box' (needs no keypoints).
        joints: 'shared' scores the keypoints that both sides have by name; 'all' requires the same.
        sigmas: OKS falloff by keypoint name; default: the `sigmas` of the ground truth's category,
            else those of the known skeletons.
        worst: number of worst frames and tracks in the result.

    Raises:
        VepeError: on input that cannot be scored; names the file and the frame.
    """
    notes: list[str] = []
    pairs = pair_tracks(read_tracks(gt), read_tracks(pred), notes)
    if not pairs:
        raise VepeError("The ground truth has no sequence; give labelled files.")
    scored = scored_videos(pairs, similarity, joints, sigmas)
    if scored.ignored:
        notes.append(
            f"{scored.ignored} predictions lie on ignored people or regions and are left out."
        )
    counted = [sum_tracks(video.frames) for video in scored.videos]
    total = sum((sums for sums, _ in counted[1:]), counted[0][0])
    has_tracks = _has_tracks(pairs, notes)
    by_sequence = {
        video.name: track_scores([sums])
        for video, (sums, _) in zip(scored.videos, counted, strict=True)
    }
    stats, _ = run_cocoeval(scored.tables, boxes=similarity == "box")
    ar = 8 if similarity == "box" else 5
    ap, ap50, ap75, recall = (
        100 * float(stats[i]) if stats[i] >= 0 else -1.0 for i in (0, 1, 2, ar)
    )
    return TracksResult(
        similarity,
        scored.tables.names,
        len(pairs),
        total.frames,
        total.gt,
        total.pred,
        total.gt_tracks if has_tracks else 0,
        total.pred_tracks if has_tracks else 0,
        ap,
        ap50,
        ap75,
        recall,
        tracking=track_scores([total]) if has_tracks else None,
        by_sequence=by_sequence if has_tracks else {},
        worst_frames=_worst_frames(scored.videos, counted, worst),
        worst_tracks=_worst_tracks(scored.videos, counted, worst) if has_tracks else (),
        notes=tuple(notes),
    )


def sigmas_of(text: str, gt: list[AnnotatedSequence]) -> dict[str, float]:
    """Parses OKS sigmas '0.026,0.025,...' for the keypoints of the ground truth, in order.

    Raises:
        VepeError: unless there is one number in (0, 10] per keypoint.
    """
    if not gt:
        raise VepeError("The ground truth has no sequence; give labelled files.")
    return parse_sigmas(text, gt[0].skeleton.keypoints, str(gt[0].source))


def _has_tracks(pairs: list[SequencePair], notes: list[str]) -> bool:
    """Whether both sides have track ids; notes people without one."""
    result = True
    for side, name in (("gt", "the ground truth"), ("pred", "the prediction")):
        people = [
            person
            for pair in pairs
            for frame in pair.frames
            for person in (getattr(frame, side).people if getattr(frame, side) else ())
        ]
        without = sum(person.track_id is None for person in people)
        if people and without == len(people):
            notes.append(f"People of {name} have no track ids, so only AP is computed.")
            result = False
        elif without:
            notes.append(
                f"{without} of {len(people)} people of {name} have no track id; each counts as a "
                "track of its own."
            )
        if side == "pred" and people and all(_has_no_score(person) for person in people):
            notes.append("Predictions have no scores, so AP depends on their order.")
    return result


def _has_no_score(person: Any) -> bool:
    return person.score is None and bool(np.isnan(person.keypoint_scores).all())


def _worst_frames(
    videos: list[ScoredVideo], counted: list[tuple[TrackSums, MotEvents]], number: int
) -> tuple[WorstFrame, ...]:
    frames = [
        WorstFrame(video.places[i], int(m), int(f), int(s))
        for video, (_, e) in zip(videos, counted, strict=True)
        for i, (m, f, s) in enumerate(zip(e.misses, e.false_positives, e.switches, strict=True))
        if m + f + s
    ]
    return tuple(
        sorted(frames, key=lambda w: -(w.misses + w.false_positives + w.switches))[:number]
    )


def _worst_tracks(
    videos: list[ScoredVideo], counted: list[tuple[TrackSums, MotEvents]], number: int
) -> tuple[WorstTrack, ...]:
    tracks = [
        WorstTrack(video.name, track_id, int(n), int(m), int(s))
        for video, (_, e) in zip(videos, counted, strict=True)
        for track_id, n, m, s in zip(
            video.gt_ids, e.present, e.matched, e.track_switches, strict=True
        )
        if m < n or s
    ]
    return tuple(sorted(tracks, key=lambda w: -(w.frames - w.matched + w.switches))[:number])
