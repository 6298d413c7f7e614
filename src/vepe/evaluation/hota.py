"""Keypoint HOTA as the PoseTrack21 kit defines it, and with its counting bug fixed.

Source: `HOTAeypoints` of the kit (anDoer/PoseTrack21), based on HOTA (Luiten et al., IJCV 2020).
Joints are assigned per frame and joint, without HOTA's global alignment.

`sum_assignments` matches joints and sums what both rules share; `hota_parts` applies a rule;
`hota_scores` and `sequence_hota` turn the parts into percentages. Dimensions: A = 19 thresholds,
S sequences, J joints, m matches, n associations (track pairs); a last column J + 1 is the total.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.evaluation.assignment import choose_pairs
from vepe.evaluation.frames import (
    NEAR_DISTANCE,
    NUM_JOINTS,
    ClosePairs,
    ScoredFrames,
    joints_by,
)

HotaRule = Literal["posetrack21", "fixed"]
"""How frames with people on one side only are counted; see `hota_parts`."""

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""Similarity thresholds; a similarity of 0.5 is a quarter of a head size."""
_EPS = np.finfo("float").eps


@dataclass(frozen=True, eq=False)
class HotaSums:
    """Sums over the matched joints of all frames, (A, S, J) each; independent of the rule.

    Attributes:
        tp: number of matches.
        loc: sum of their similarities.
        ass_a, ass_re, ass_pr: sums of association accuracy, recall and precision.
        frag: sum of association accuracy with matches split at every change of the partner.
    """

    tp: Float[np.ndarray, "A S J"]
    loc: Float[np.ndarray, "A S J"]
    ass_a: Float[np.ndarray, "A S J"]
    ass_re: Float[np.ndarray, "A S J"]
    ass_pr: Float[np.ndarray, "A S J"]
    frag: Float[np.ndarray, "A S J"]


def sum_assignments(frames: ScoredFrames) -> HotaSums:
    """Assigns the joints of every frame and sums the matches per threshold, sequence and joint."""
    matches, similarity = _matched(frames)
    table = _Associations.of(frames, matches)
    rows = []
    for alpha in ALPHAS:
        good = similarity >= alpha - _EPS
        count = table.count(good)
        union = np.maximum(1, table.gt_total + table.pred_total - count)
        squared = count.astype(float) ** 2
        rows.append(
            (
                table.per_cell(count),
                table.sum_matches(similarity, good),
                table.per_cell(squared / union),
                table.per_cell(squared / np.maximum(1, table.gt_total)),
                table.per_cell(squared / np.maximum(1, table.pred_total)),
                table.fragments(good, union),
            )
        )
    return HotaSums(*(np.stack(column) for column in zip(*rows, strict=True)))


def _matched(frames: ScoredFrames) -> tuple[ClosePairs, Float[np.ndarray, "m"]]:
    """Assigns joints for the largest sum of similarities.

    Returns:
        The matches, ordered by ground truth track, joint and frame, and their similarities.
    """
    pairs = frames.pairs
    similarity = np.maximum((-1 / NEAR_DISTANCE) * pairs.distance + 1, 0)
    frame = frames.gt.frame[pairs.gt]

    def shape(problem: int) -> tuple[int, int]:
        f = problem // NUM_JOINTS
        rows = frames.gt_first[f + 1] - frames.gt_first[f]
        return int(rows), int(frames.pred_first[f + 1] - frames.pred_first[f])

    selected = choose_pairs(
        frame * NUM_JOINTS + pairs.joint,
        pairs.gt - frames.gt_first[frame],
        pairs.pred - frames.pred_first[frame],
        -similarity,
        shape,
        lambda cost, size: 0.0,
    )
    index = np.flatnonzero(selected)
    order = np.lexsort((frame[index], pairs.joint[index], frames.gt.track[pairs.gt[index]]))
    return pairs.select(index[order]), similarity[index[order]]


@dataclass(frozen=True, eq=False)
class _Associations:
    """Every (ground truth track, predicted track, joint) that is matched at least once.

    Attributes:
        member: (m,) association of each match.
        cell: (n,) sequence * J + joint of each association.
        gt_total, pred_total: (n,) number of joints of each of the two tracks.
    """

    num_sequences: int
    member: Int[np.ndarray, "m"]
    cell: Int[np.ndarray, "n"]
    gt_total: Int[np.ndarray, "n"]
    pred_total: Int[np.ndarray, "n"]

    @staticmethod
    def of(frames: ScoredFrames, matches: ClosePairs) -> _Associations:
        gt = frames.gt.track[matches.gt]
        pred = frames.pred.track[matches.pred]
        tracks = int(frames.pred.track.max(initial=0)) + 1
        owner = gt * NUM_JOINTS + matches.joint
        _, first, member = np.unique(owner * tracks + pred, return_index=True, return_inverse=True)
        sequence = frames.sequence[frames.gt.frame[matches.gt[first]]]
        joint = matches.joint[first]
        return _Associations(
            len(frames.sequences),
            member,
            sequence * NUM_JOINTS + joint,
            _track_totals(frames.gt.track, frames.gt.present)[gt[first], joint],
            _track_totals(frames.pred.track, frames.pred.present)[pred[first], joint],
        )

    def count(self, good: np.ndarray) -> Int[np.ndarray, "n"]:
        """Number of good matches of each association."""
        return np.bincount(self.member[good], minlength=len(self.cell))

    def per_cell(self, value: np.ndarray) -> Float[np.ndarray, "S J"]:
        """Sums a value per association by sequence and joint."""
        size = self.num_sequences * NUM_JOINTS
        return np.bincount(self.cell, value, size).reshape(-1, NUM_JOINTS)

    def sum_matches(self, value: np.ndarray, good: np.ndarray) -> Float[np.ndarray, "S J"]:
        """Sums a value per match by sequence and joint."""
        size = self.num_sequences * NUM_JOINTS
        cells = self.cell[self.member[good]]
        return np.bincount(cells, value[good], size).reshape(-1, NUM_JOINTS)

    def fragments(self, good: np.ndarray, union: np.ndarray) -> Float[np.ndarray, "S J"]:
        """Sum over uninterrupted runs of an association of length squared over its union.

        A run ends where the object is matched with another track, not where it is missed.
        """
        member = self.member[good]
        if not len(member):
            return np.zeros((self.num_sequences, NUM_JOINTS))
        # Matches are ordered by object, so a new association also means the end of a run.
        starts = np.flatnonzero(np.diff(member, prepend=-1))
        length = np.diff(np.append(starts, len(member))).astype(float)
        total = np.bincount(member[starts], length**2, len(self.cell))
        return self.per_cell(total / union)


def _track_totals(track: np.ndarray, present: np.ndarray) -> Int[np.ndarray, "T J"]:
    return joints_by(track, present, int(track.max(initial=-1)) + 1)


@dataclass(frozen=True, eq=False)
class HotaParts:
    """Counts and means that HOTA is computed from, (A, S, J + 1) each.

    Attributes:
        tp, fn, fp: counts of joints.
        ass_a, ass_re, ass_pr, frag_a: association scores, means over true positives.
        loc_a: mean similarity of true positives.
    """

    tp: Float[np.ndarray, "A S J+1"]
    fn: Float[np.ndarray, "A S J+1"]
    fp: Float[np.ndarray, "A S J+1"]
    ass_a: Float[np.ndarray, "A S J+1"]
    ass_re: Float[np.ndarray, "A S J+1"]
    ass_pr: Float[np.ndarray, "A S J+1"]
    frag_a: Float[np.ndarray, "A S J+1"]
    loc_a: Float[np.ndarray, "A S J+1"]


def hota_parts(
    frames: ScoredFrames, rule: HotaRule = "posetrack21", sums: HotaSums | None = None
) -> HotaParts:
    """Counts and means per threshold, sequence and joint.

    Args:
        rule: 'posetrack21' counts as the PoseTrack21 kit does: a frame with people on one side
            only adds the joints of the *whole sequence* to the misses (or false positives), and a
            joint that never occurs in a sequence counts as 0 in the mean over joints. 'fixed'
            adds the joints of that frame, and leaves such a joint out of the mean.
        sums: of these frames, if already computed.
    """
    s = sums or sum_assignments(frames)
    gt_missed, pred_extra = _unmatched(frames, rule)
    gt, pred = _joints_of_two_sided(frames)
    tp = np.maximum(1, s.tp)
    exist = joints_that_exist(frames)
    counted = exist if rule == "fixed" else np.ones_like(exist)
    return HotaParts(
        tp=_with_sum(s.tp),
        fn=_with_sum(gt - s.tp + gt_missed),
        fp=_with_sum(pred - s.tp + pred_extra),
        ass_a=_with_mean(s.ass_a / tp, counted),
        ass_re=_with_mean(s.ass_re / tp, counted),
        ass_pr=_with_mean(s.ass_pr / tp, counted),
        frag_a=_with_mean(s.frag / tp, counted),
        loc_a=_with_mean(np.maximum(1e-10, s.loc) / np.maximum(1e-10, s.tp), counted),
    )


def hota_scores(parts: HotaParts) -> dict[str, Float[np.ndarray, "J+1"]]:
    """All HOTA values in percent, averaged over the thresholds, over all sequences.

    Counts are summed; association and localisation are weighted by true positives.
    """
    tp = parts.tp.sum(axis=1)
    fn, fp = parts.fn.sum(axis=1), parts.fp.sum(axis=1)

    def weighted(value: Float[np.ndarray, "A S J+1"]) -> Float[np.ndarray, "A J+1"]:
        return (value * parts.tp).sum(axis=1) / np.maximum(1.0, tp)

    ass = {
        "AssA": weighted(parts.ass_a),
        "AssRe": weighted(parts.ass_re),
        "AssPr": weighted(parts.ass_pr),
        "FragA": weighted(parts.frag_a),
    }
    loc = np.maximum(1e-10, (parts.loc_a * parts.tp).sum(axis=1)) / np.maximum(1e-10, tp)
    return hota_values(tp, fn, fp, ass, loc)


def sequence_hota(
    parts: HotaParts, sequence: int, rule: HotaRule = "posetrack21"
) -> dict[str, Float[np.ndarray, "J+1"]]:
    """HOTA values of one sequence; the total is the mean over joints, as the kit prints it."""
    tp, fn, fp = (x[:, sequence] for x in (parts.tp, parts.fn, parts.fp))
    ass = {
        "AssA": parts.ass_a[:, sequence],
        "AssRe": parts.ass_re[:, sequence],
        "AssPr": parts.ass_pr[:, sequence],
        "FragA": parts.frag_a[:, sequence],
    }
    values = hota_values(tp, fn, fp, ass, parts.loc_a[:, sequence])
    counted = np.ones(NUM_JOINTS, bool) if rule == "posetrack21" else (tp + fn + fp)[0, :-1] > 0
    return {k: np.append(v[:-1], v[:-1][counted].mean()) for k, v in values.items()}


def hota_values(
    tp: Float[np.ndarray, "A *n"],
    fn: Float[np.ndarray, "A *n"],
    fp: Float[np.ndarray, "A *n"],
    ass: dict[str, Float[np.ndarray, "A *n"]],
    loc: Float[np.ndarray, "A *n"],
) -> dict[str, Float[np.ndarray, "*n"]]:
    """HOTA and its parts in percent, means over the thresholds.

    Args:
        tp, fn, fp: counts.
        ass: AssA, AssRe, AssPr and, for the values that need it, FragA.
        loc: mean similarity of true positives.
    """
    det_a = tp / np.maximum(1, tp + fn + fp)
    det_re = tp / np.maximum(1, tp + fn)
    det_pr = tp / np.maximum(1, tp + fp)
    values = {
        "HOTA": np.sqrt(det_a * ass["AssA"]),
        "DetA": det_a,
        "LocA": loc,
        "DetRe": det_re,
        "DetPr": det_pr,
        "RHOTA": np.sqrt(det_re * ass["AssA"]),
        **ass,
    }
    if "FragA" in ass:
        ass_frag = np.sqrt(ass["AssA"] * ass["FragA"])
        values |= {
            "FA-HOTA": np.sqrt(det_a * ass_frag),
            "FA-RHOTA": np.sqrt(det_re * ass_frag),
        }
    return {name: 100 * value.mean(axis=0) for name, value in values.items()}


def _frame_joints(frames: ScoredFrames) -> tuple[np.ndarray, np.ndarray]:
    """Number of joints in each frame: (gt (F, J), pred (F, J))."""
    size = len(frames)
    return (
        joints_by(frames.gt.frame, frames.gt.present, size),
        joints_by(frames.pred.frame, frames.pred.present, size),
    )


def joints_that_exist(frames: ScoredFrames) -> Bool[np.ndarray, "S J"]:
    """Joints that occur at least once in a sequence, on either side."""
    gt, pred = _frame_joints(frames)
    return _by_sequence(frames, gt + pred, np.ones(len(frames), bool)) > 0


def _joints_of_two_sided(frames: ScoredFrames) -> tuple[np.ndarray, np.ndarray]:
    """Joints of frames with people on both sides: (gt (S, J), pred (S, J))."""
    gt, pred = _frame_joints(frames)
    both = (np.diff(frames.gt_first) > 0) & (np.diff(frames.pred_first) > 0)
    return _by_sequence(frames, gt, both), _by_sequence(frames, pred, both)


def _unmatched(frames: ScoredFrames, rule: HotaRule) -> tuple[np.ndarray, np.ndarray]:
    """Misses and false positives of frames with people on one side only, (S, J) each."""
    gt, pred = _frame_joints(frames)
    no_gt = np.diff(frames.gt_first) == 0
    no_pred = np.diff(frames.pred_first) == 0
    if rule == "posetrack21":
        every = np.ones(len(frames), bool)
        all_gt, all_pred = (_by_sequence(frames, x, every) for x in (gt, pred))
        occupied = [_by_sequence(frames, ~x[:, None], every)[:, 0] > 0 for x in (no_gt, no_pred)]
        # A sequence without any people on one side is counted once, not once per frame.
        two_sided = (occupied[0] & occupied[1])[frames.sequence]
        gt = np.where(two_sided[:, None], all_gt[frames.sequence], gt)
        pred = np.where(two_sided[:, None], all_pred[frames.sequence], pred)
    return (
        _by_sequence(frames, gt, no_pred & ~no_gt),
        _by_sequence(frames, pred, no_gt),
    )


def _by_sequence(frames: ScoredFrames, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Sums (F, J) values of the frames of a mask by sequence: (S, J)."""
    sequence, size = frames.sequence[mask], len(frames.sequences)
    columns = (np.bincount(sequence, v, size) for v in value[mask].T)
    return np.column_stack(list(columns))


def _with_sum(value: Float[np.ndarray, "A S J"]) -> Float[np.ndarray, "A S J+1"]:
    return np.concatenate([value, value.sum(axis=2, keepdims=True)], axis=2)


def _with_mean(
    value: Float[np.ndarray, "A S J"], counted: Bool[np.ndarray, "S J"]
) -> Float[np.ndarray, "A S J+1"]:
    total = (value * counted).sum(axis=2) / np.maximum(1, counted.sum(axis=1))
    return np.concatenate([value, total[:, :, None]], axis=2)
