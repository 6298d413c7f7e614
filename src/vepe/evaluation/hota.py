"""The part of keypoint HOTA that every rule shares: who is matched with whom, frame by frame.

Source: `HOTAeypoints` of the PoseTrack21 kit. Joints are assigned per frame and joint for the
largest sum of similarities, without HOTA's global alignment. Letters: A the 19 thresholds, S
sequences, J joints, m matches, n associations.

Keypoint HOTA as the PoseTrack21 kit defines it, and the same with its counting bug mended.

Source: `HOTAeypoints` of the kit (anDoer/PoseTrack21) on the ground of HOTA (Luiten et al., IJCV
2020). Joints are assigned per frame and joint, without HOTA's global alignment. Letters: A the 19
thresholds, S sequences, J joints; a last column (J + 1) holds the total.
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

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""Similarity thresholds; a similarity of 0.5 is a quarter of a head size."""
_EPS = np.finfo("float").eps


@dataclass(frozen=True, eq=False)
class HotaSums:
    """What the assignments of all frames add up to, (A, S, J) each; every rule starts from it."""

    tp: Float[np.ndarray, "A S J"]
    loc: Float[np.ndarray, "A S J"]
    ass_a: Float[np.ndarray, "A S J"]
    ass_re: Float[np.ndarray, "A S J"]
    ass_pr: Float[np.ndarray, "A S J"]
    frag: Float[np.ndarray, "A S J"]


def sum_assignments(frames: ScoredFrames) -> HotaSums:
    """Assigns the joints of every frame, and sums matches per threshold, sequence and joint."""
    matches, similarity = _matched(frames)
    table = _Associations.of(frames, matches)
    rows = []
    for alpha in ALPHAS:
        good = similarity >= alpha - _EPS
        count = table.count(good)
        union = np.maximum(1, table.truth_total + table.found_total - count)
        squared = count.astype(float) ** 2
        rows.append(
            (
                table.per_cell(count),
                table.sum_matches(similarity, good),
                table.per_cell(squared / union),
                table.per_cell(squared / np.maximum(1, table.truth_total)),
                table.per_cell(squared / np.maximum(1, table.found_total)),
                table.fragments(good, union),
            )
        )
    return HotaSums(*(np.stack(column) for column in zip(*rows, strict=True)))


def _matched(frames: ScoredFrames) -> tuple[ClosePairs, Float[np.ndarray, "m"]]:
    """Joints assigned for the largest sum of similarities; by truth track, joint and time."""
    pairs = frames.pairs
    similarity = np.maximum((-1 / NEAR_DISTANCE) * pairs.distance + 1, 0)
    frame = frames.truth.frame[pairs.truth]

    def shape(problem: int) -> tuple[int, int]:
        f = problem // NUM_JOINTS
        rows = frames.truth_first[f + 1] - frames.truth_first[f]
        return int(rows), int(frames.found_first[f + 1] - frames.found_first[f])

    chosen = choose_pairs(
        frame * NUM_JOINTS + pairs.joint,
        pairs.truth - frames.truth_first[frame],
        pairs.found - frames.found_first[frame],
        -similarity,
        shape,
        lambda cost, size: 0.0,
    )
    index = np.flatnonzero(chosen)
    order = np.lexsort((frame[index], pairs.joint[index], frames.truth.track[pairs.truth[index]]))
    return pairs.select(index[order]), similarity[index[order]]


@dataclass(frozen=True, eq=False)
class _Associations:
    """Every (truth track, predicted track, joint) that was ever matched.

    Attributes:
        member: (m,) association of every match.
        cell: (n,) sequence * J + joint of every association.
        truth_total, found_total: (n,) joints that the two tracks have in all.
    """

    num_sequences: int
    member: Int[np.ndarray, "m"]
    cell: Int[np.ndarray, "n"]
    truth_total: Int[np.ndarray, "n"]
    found_total: Int[np.ndarray, "n"]

    @staticmethod
    def of(frames: ScoredFrames, matches: ClosePairs) -> _Associations:
        truth = frames.truth.track[matches.truth]
        found = frames.found.track[matches.found]
        tracks = int(frames.found.track.max(initial=0)) + 1
        owner = truth * NUM_JOINTS + matches.joint
        _, first, member = np.unique(owner * tracks + found, return_index=True, return_inverse=True)
        sequence = frames.sequence[frames.truth.frame[matches.truth[first]]]
        joint = matches.joint[first]
        return _Associations(
            len(frames.sequences),
            member,
            sequence * NUM_JOINTS + joint,
            _track_totals(frames.truth.track, frames.truth.present)[truth[first], joint],
            _track_totals(frames.found.track, frames.found.present)[found[first], joint],
        )

    def count(self, good: np.ndarray) -> Int[np.ndarray, "n"]:
        """Matches of every association among the good ones."""
        return np.bincount(self.member[good], minlength=len(self.cell))

    def per_cell(self, value: np.ndarray) -> Float[np.ndarray, "S J"]:
        """A value per association, summed by sequence and joint."""
        size = self.num_sequences * NUM_JOINTS
        return np.bincount(self.cell, value, size).reshape(-1, NUM_JOINTS)

    def sum_matches(self, value: np.ndarray, good: np.ndarray) -> Float[np.ndarray, "S J"]:
        """A value per match, summed by sequence and joint."""
        size = self.num_sequences * NUM_JOINTS
        cells = self.cell[self.member[good]]
        return np.bincount(cells, value[good], size).reshape(-1, NUM_JOINTS)

    def fragments(self, good: np.ndarray, union: np.ndarray) -> Float[np.ndarray, "S J"]:
        """Sum over unbroken runs of an association of length squared over its union.

        A run ends where the object is matched with another track, not where it is missed.
        """
        member = self.member[good]
        if not len(member):
            return np.zeros((self.num_sequences, NUM_JOINTS))
        # Associations differ where the object differs, so their change alone bounds the runs.
        starts = np.flatnonzero(np.diff(member, prepend=-1))
        length = np.diff(np.append(starts, len(member))).astype(float)
        total = np.bincount(member[starts], length**2, len(self.cell))
        return self.per_cell(total / union)


def _track_totals(track: np.ndarray, present: np.ndarray) -> Int[np.ndarray, "T J"]:
    return joints_by(track, present, int(track.max(initial=-1)) + 1)


HotaRule = Literal["kit", "fixed"]


@dataclass(frozen=True, eq=False)
class HotaParts:
    """What HOTA is computed from, one array (A, S, J + 1) each; associations are means over TP."""

    tp: Float[np.ndarray, "A S J+1"]
    fn: Float[np.ndarray, "A S J+1"]
    fp: Float[np.ndarray, "A S J+1"]
    ass_a: Float[np.ndarray, "A S J+1"]
    ass_re: Float[np.ndarray, "A S J+1"]
    ass_pr: Float[np.ndarray, "A S J+1"]
    frag_a: Float[np.ndarray, "A S J+1"]
    loc_a: Float[np.ndarray, "A S J+1"]


def hota_parts(
    frames: ScoredFrames, rule: HotaRule = "kit", sums: HotaSums | None = None
) -> HotaParts:
    """Counts and means per threshold, sequence and joint.

    Args:
        rule: 'kit' counts as the PoseTrack21 kit: a frame with people on one side alone adds the
            joints of the *whole sequence* to the misses (or false positives), and a joint that a
            sequence does not have at all pulls the mean over joints down. 'fixed' adds that
            frame's joints, and leaves such a joint out of the mean.
        sums: of these frames, where they are known already.
    """
    s = sums or sum_assignments(frames)
    truth_missed, found_extra = _unmatched(frames, rule)
    both = _joints_of_two_sided(frames)
    found = np.maximum(1, s.tp)
    exist = joints_that_exist(frames)
    counted = exist if rule == "fixed" else np.ones_like(exist)
    return HotaParts(
        tp=_with_sum(s.tp),
        fn=_with_sum(both[0] - s.tp + truth_missed),
        fp=_with_sum(both[1] - s.tp + found_extra),
        ass_a=_with_mean(s.ass_a / found, counted),
        ass_re=_with_mean(s.ass_re / found, counted),
        ass_pr=_with_mean(s.ass_pr / found, counted),
        frag_a=_with_mean(s.frag / found, counted),
        loc_a=_with_mean(np.maximum(1e-10, s.loc) / np.maximum(1e-10, s.tp), counted),
    )


def hota_scores(parts: HotaParts) -> dict[str, Float[np.ndarray, "J+1"]]:
    """All HOTA values in percent, averaged over the thresholds, over all sequences.

    Counts are summed, associations and localisation weighted by true positives.
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
    return _final(tp, fn, fp, ass, loc)


def sequence_hota(
    parts: HotaParts, sequence: int, rule: HotaRule = "kit"
) -> dict[str, Float[np.ndarray, "J+1"]]:
    """HOTA values of one sequence; its total is the mean over joints, as the kit prints it."""
    tp, fn, fp = (x[:, sequence] for x in (parts.tp, parts.fn, parts.fp))
    ass = {
        "AssA": parts.ass_a[:, sequence],
        "AssRe": parts.ass_re[:, sequence],
        "AssPr": parts.ass_pr[:, sequence],
        "FragA": parts.frag_a[:, sequence],
    }
    values = _final(tp, fn, fp, ass, parts.loc_a[:, sequence])
    counted = np.ones(NUM_JOINTS, bool) if rule == "kit" else (tp + fn + fp)[0, :-1] > 0
    return {k: np.append(v[:-1], v[:-1][counted].mean()) for k, v in values.items()}


def _final(
    tp: np.ndarray, fn: np.ndarray, fp: np.ndarray, ass: dict[str, np.ndarray], loc: np.ndarray
) -> dict[str, Float[np.ndarray, "J+1"]]:
    det_a = tp / np.maximum(1, tp + fn + fp)
    det_re = tp / np.maximum(1, tp + fn)
    det_pr = tp / np.maximum(1, tp + fp)
    steady = np.sqrt(ass["AssA"] * ass["FragA"])
    values = {
        "HOTA": np.sqrt(det_a * ass["AssA"]),
        "DetA": det_a,
        "AssA": ass["AssA"],
        "LocA": loc,
        "FA-HOTA": np.sqrt(det_a * steady),
        "DetRe": det_re,
        "DetPr": det_pr,
        "AssRe": ass["AssRe"],
        "AssPr": ass["AssPr"],
        "FragA": ass["FragA"],
        "RHOTA": np.sqrt(det_re * ass["AssA"]),
        "FA-RHOTA": np.sqrt(det_re * steady),
    }
    return {name: 100 * value.mean(axis=0) for name, value in values.items()}


def _frame_joints(frames: ScoredFrames) -> tuple[np.ndarray, np.ndarray]:
    """Joints that exist in every frame: (truth (F, J), found (F, J))."""
    size = len(frames)
    return (
        joints_by(frames.truth.frame, frames.truth.present, size),
        joints_by(frames.found.frame, frames.found.present, size),
    )


def joints_that_exist(frames: ScoredFrames) -> Bool[np.ndarray, "S J"]:
    """Joints that a sequence has at least once on either side."""
    truth, found = _frame_joints(frames)
    return _by_sequence(frames, truth + found, np.ones(len(frames), bool)) > 0


def _joints_of_two_sided(frames: ScoredFrames) -> tuple[np.ndarray, np.ndarray]:
    """Joints of frames with people on both sides, by sequence: (truth (S, J), found (S, J))."""
    truth, found = _frame_joints(frames)
    both = (np.diff(frames.truth_first) > 0) & (np.diff(frames.found_first) > 0)
    return _by_sequence(frames, truth, both), _by_sequence(frames, found, both)


def _unmatched(frames: ScoredFrames, rule: HotaRule) -> tuple[np.ndarray, np.ndarray]:
    """What one-sided frames add to misses and to false positives, by sequence, (S, J) each."""
    truth, found = _frame_joints(frames)
    no_truth = np.diff(frames.truth_first) == 0
    no_found = np.diff(frames.found_first) == 0
    if rule == "kit":
        every = np.ones(len(frames), bool)
        all_truth, all_found = (_by_sequence(frames, x, every) for x in (truth, found))
        seen = [_by_sequence(frames, ~x[:, None], every)[:, 0] > 0 for x in (no_truth, no_found)]
        # A sequence with nobody at all on one side is counted once, not once a frame.
        two_sided = (seen[0] & seen[1])[frames.sequence]
        truth = np.where(two_sided[:, None], all_truth[frames.sequence], truth)
        found = np.where(two_sided[:, None], all_found[frames.sequence], found)
    return (
        _by_sequence(frames, truth, no_found & ~no_truth),
        _by_sequence(frames, found, no_truth),
    )


def _by_sequence(frames: ScoredFrames, value: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    sequence, size = frames.sequence[chosen], len(frames.sequences)
    columns = (np.bincount(sequence, v, size) for v in value[chosen].T)
    return np.column_stack(list(columns))


def _with_sum(value: Float[np.ndarray, "A S J"]) -> Float[np.ndarray, "A S J+1"]:
    return np.concatenate([value, value.sum(axis=2, keepdims=True)], axis=2)


def _with_mean(
    value: Float[np.ndarray, "A S J"], counted: Bool[np.ndarray, "S J"]
) -> Float[np.ndarray, "A S J+1"]:
    total = (value * counted).sum(axis=2) / np.maximum(1, counted.sum(axis=1))
    return np.concatenate([value, total[:, :, None]], axis=2)
