"""HOTA, CLEAR MOT and IDF1 of whole people, as TrackEval counts them.

Sources: Luiten et al., *HOTA*, IJCV 2020; Bernardin and Stiefelhagen, *CLEAR MOT*, 2008; Ristani
et al., *Performance measures*, ECCV workshops 2016; in every detail the `HOTA`, `CLEAR` and
`Identity` classes of TrackEval (JonathonLuiten/TrackEval). They differ from poseval's counting in
`mota` and from the PoseTrack21 kit's in `hota`: these go by joint, without a global alignment.

Dimension letters: G people of the ground truth in a frame, P predicted people, A = 19 thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vepe.evaluation.hota import ALPHAS, hota_values
from vepe.linear_assignment import linear_sum_assignment

THRESHOLD = 0.5
"""Least similarity of a match in CLEAR MOT and IDF1."""
_EPS = np.finfo("float").eps


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """One frame: dense track numbers of both sides, and the similarity of all pairs in 0..1."""

    gt: Int[np.ndarray, "G"]
    pred: Int[np.ndarray, "P"]
    similarity: Float[np.ndarray, "G P"]


@dataclass(frozen=True, eq=False)
class TrackSums:
    """What the scores are computed from; the sums of several sequences add up.

    Attributes:
        frames, gt, pred, gt_tracks, pred_tracks: numbers of frames, people and tracks.
        hota_tp, loc, ass_a, ass_re, ass_pr: (A,) number of matches, and sums over them of the
            similarity and of association accuracy, recall and precision.
        matches, switches, similarity: CLEAR MOT's, with the sum of the matches' similarities.
        mostly_tracked, mostly_lost, fragmentations: tracks matched in over 80 % of their frames,
            in under 20 %; number of times that a track's matching was resumed.
        id_tp: people matched under the best pairing of whole tracks.
    """

    frames: int
    gt: int
    pred: int
    gt_tracks: int
    pred_tracks: int
    hota_tp: Float[np.ndarray, "A"]
    loc: Float[np.ndarray, "A"]
    ass_a: Float[np.ndarray, "A"]
    ass_re: Float[np.ndarray, "A"]
    ass_pr: Float[np.ndarray, "A"]
    matches: int
    switches: int
    similarity: float
    mostly_tracked: int
    mostly_lost: int
    fragmentations: int
    id_tp: int

    def __add__(self, other: TrackSums) -> TrackSums:
        return TrackSums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, eq=False)
class MotEvents:
    """What CLEAR MOT counted where, for finding the worst frames and tracks.

    Attributes:
        misses, false_positives, switches: (F,) by frame.
        present, matched, track_switches: (T,) by track of the ground truth.
    """

    misses: Int[np.ndarray, "F"]
    false_positives: Int[np.ndarray, "F"]
    switches: Int[np.ndarray, "F"]
    present: Int[np.ndarray, "T"]
    matched: Int[np.ndarray, "T"]
    track_switches: Int[np.ndarray, "T"]


def sum_tracks(frames: list[TrackedFrame]) -> tuple[TrackSums, MotEvents]:
    """Counts one sequence."""
    gt, pred = _track_lengths([f.gt for f in frames]), _track_lengths([f.pred for f in frames])
    clear, events = _clear(frames, gt)
    sums = TrackSums(
        frames=len(frames),
        gt=int(gt.sum()),
        pred=int(pred.sum()),
        gt_tracks=len(gt),
        pred_tracks=len(pred),
        **_hota(frames, gt, pred),
        **clear,
        id_tp=_identity(frames, len(gt), len(pred)),
    )
    return sums, events


def _track_lengths(tracks: list[np.ndarray]) -> Int[np.ndarray, "T"]:
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *tracks]))


def _assign(score: Float[np.ndarray, "G P"]) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = linear_sum_assignment(-score)
    return rows, columns


def _hota(
    frames: list[TrackedFrame], gt_length: np.ndarray, pred_length: np.ndarray
) -> dict[str, Any]:
    """Matches by similarity, weighted by how well the whole tracks fit, and the sums over them."""
    potential = np.zeros((len(gt_length), len(pred_length)))
    for f in frames:
        union = f.similarity.sum(0)[None] + f.similarity.sum(1)[:, None] - f.similarity
        share = np.divide(f.similarity, union, out=np.zeros_like(union), where=union > _EPS)
        potential[f.gt[:, None], f.pred[None]] += share
    alignment = potential / (gt_length[:, None] + pred_length[None] - potential)
    pairs, similarity = [np.zeros(0, np.int64)], [np.zeros(0)]
    for f in frames:
        rows, columns = _assign(alignment[f.gt[:, None], f.pred[None]] * f.similarity)
        pairs.append(f.gt[rows] * len(pred_length) + f.pred[columns])
        similarity.append(f.similarity[rows, columns])
    keys, member = np.unique(np.concatenate(pairs), return_inverse=True)
    value = np.concatenate(similarity)
    gt_total = gt_length[keys // max(len(pred_length), 1)]
    pred_total = pred_length[keys % max(len(pred_length), 1)]
    sums = []
    for alpha in ALPHAS:
        good = value >= alpha - _EPS
        count = np.bincount(member[good], minlength=len(keys))
        squared = count.astype(float) ** 2
        sums.append(
            (
                float(good.sum()),
                value[good].sum(),
                (squared / np.maximum(1, gt_total + pred_total - count)).sum(),
                (squared / np.maximum(1, gt_total)).sum(),
                (squared / np.maximum(1, pred_total)).sum(),
            )
        )
    names = ("hota_tp", "loc", "ass_a", "ass_re", "ass_pr")
    return dict(zip(names, np.array(sums).T, strict=True))


def _clear(frames: list[TrackedFrame], gt_length: np.ndarray) -> tuple[dict[str, Any], MotEvents]:
    """CLEAR MOT: a track keeps its partner of the last frame, the rest is assigned by similarity.

    A switch is a match with another predicted track than at the latest match, however long ago.
    """
    num_tracks = len(gt_length)
    latest, last_frame = np.full(num_tracks, -1), np.full(num_tracks, -1)
    matched, switched, runs = (np.zeros(num_tracks, np.int64) for _ in range(3))
    misses, false_positives, switches = (np.zeros(len(frames), np.int64) for _ in range(3))
    similarity = 0.0
    for t, f in enumerate(frames):
        misses[t], false_positives[t] = f.similarity.shape
        if not f.similarity.size:
            continue  # as in TrackEval, a frame without people on one side interrupts no match
        score = 1000.0 * (f.pred[None] == last_frame[f.gt][:, None]) + f.similarity
        score[f.similarity < THRESHOLD - _EPS] = 0
        rows, columns = _assign(score)
        real = score[rows, columns] > _EPS
        gt, pred = f.gt[rows[real]], f.pred[columns[real]]
        switch = (latest[gt] >= 0) & (latest[gt] != pred)
        np.add.at(switched, gt[switch], 1)
        runs[gt] += last_frame[gt] < 0
        latest[gt] = pred
        last_frame[:] = -1
        last_frame[gt] = pred
        matched[gt] += 1
        similarity += float(f.similarity[rows[real], columns[real]].sum())
        switches[t] = int(switch.sum())
        misses[t] -= len(gt)
        false_positives[t] -= len(gt)
    ratio = matched[gt_length > 0] / gt_length[gt_length > 0]
    tracked = int((ratio > 0.8).sum())
    counts = {
        "matches": int(matched.sum()),
        "switches": int(switches.sum()),
        "similarity": similarity,
        "mostly_tracked": tracked,
        "mostly_lost": int((ratio < 0.2).sum()),
        "fragmentations": int((runs[runs > 0] - 1).sum()),
    }
    return counts, MotEvents(misses, false_positives, switches, gt_length, matched, switched)


def _identity(frames: list[TrackedFrame], num_gt: int, num_pred: int) -> int:
    """People in frames where their tracks are similar, under the best pairing of tracks."""
    overlap = np.zeros((num_gt, num_pred))
    for f in frames:
        rows, columns = np.nonzero(f.similarity >= THRESHOLD)
        overlap[f.gt[rows], f.pred[columns]] += 1
    rows, columns = _assign(overlap)
    return int(overlap[rows, columns].sum())


def track_scores(sums: Iterable[TrackSums]) -> dict[str, float]:
    """Scores of one or several sequences, in percent; counts as they are.

    HOTA, DetA, AssA, LocA, DetRe, DetPr, AssRe, AssPr, RHOTA; MOTA, MOTP, recall and precision;
    IDF1, IDR, IDP; numbers of matches, misses, false positives, switches, fragmentations and of
    tracks that are mostly tracked, partly tracked and mostly lost.
    """
    first, *rest = sums
    s = sum(rest, first)
    ass = {
        "AssA": s.ass_a / np.maximum(1, s.hota_tp),
        "AssRe": s.ass_re / np.maximum(1, s.hota_tp),
        "AssPr": s.ass_pr / np.maximum(1, s.hota_tp),
    }
    loc = np.maximum(1e-10, s.loc) / np.maximum(1e-10, s.hota_tp)
    values = hota_values(s.hota_tp, s.gt - s.hota_tp, s.pred - s.hota_tp, ass, loc)
    misses, false_positives = s.gt - s.matches, s.pred - s.matches
    return {
        **{name: float(value) for name, value in values.items()},
        "MOTA": 100 * (s.matches - false_positives - s.switches) / s.gt if s.gt else 0.0,
        "MOTP": 100 * s.similarity / max(1, s.matches),
        "recall": 100 * s.matches / max(1, s.gt),
        "precision": 100 * s.matches / max(1, s.pred),
        "IDF1": 100 * s.id_tp / max(1, 0.5 * (s.gt + s.pred)),
        "IDR": 100 * s.id_tp / max(1, s.gt),
        "IDP": 100 * s.id_tp / max(1, s.pred),
        "matches": s.matches,
        "misses": misses,
        "false_positives": false_positives,
        "switches": s.switches,
        "fragmentations": s.fragmentations,
        "mostly_tracked": s.mostly_tracked,
        "partly_tracked": s.gt_tracks - s.mostly_tracked - s.mostly_lost,
        "mostly_lost": s.mostly_lost,
    }
