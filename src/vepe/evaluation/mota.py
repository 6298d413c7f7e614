"""CLEAR MOT per joint as poseval counts it.

Source: poseval's `evaluateTracking` over motmetrics' accumulator (Bernardin and Stiefelhagen,
2008); MOTP's original definition is that of motmetrics 1.0.2, poseval's submodule. All sequences
and joints advance together, one scored frame a step.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.evaluation.assignment import choose_pairs
from vepe.evaluation.frames import MATCH_DISTANCE, NUM_JOINTS, ClosePairs, ScoredFrames, joints_by


@dataclass(frozen=True, eq=False)
class MotCounts:
    """Counts of every sequence and joint, (S, J) each.

    Attributes:
        objects, misses, false_positives, switches, detections: CLEAR MOT's counts; detections
            are matches and switches.
        distance: sum of the distances of detections, in head sizes.
        distance_motmetrics: sum over all rows of motmetrics' newer event table, which also holds
            every allowed pair and a row for every transfer, ascent and migration.
    """

    objects: Float[np.ndarray, "S J"]
    misses: Float[np.ndarray, "S J"]
    false_positives: Float[np.ndarray, "S J"]
    switches: Float[np.ndarray, "S J"]
    detections: Float[np.ndarray, "S J"]
    distance: Float[np.ndarray, "S J"]
    distance_motmetrics: Float[np.ndarray, "S J"]

    def of(self, sequence: int | None) -> MotCounts:
        """The counts of one sequence, or (None) summed over all; (1, J) each."""
        picked = {}
        for f in fields(self):
            value = getattr(self, f.name)
            picked[f.name] = value.sum(0, keepdims=True) if sequence is None else value[[sequence]]
        return MotCounts(**picked)


@dataclass(frozen=True)
class JointMot:
    """MOTA, both MOTPs, precision and recall of every joint in percent, (J,) each."""

    mota: Float[np.ndarray, "J"]
    motp: Float[np.ndarray, "J"]
    motp_motmetrics: Float[np.ndarray, "J"]
    precision: Float[np.ndarray, "J"]
    recall: Float[np.ndarray, "J"]


@dataclass(frozen=True, eq=False)
class MotEvents:
    """Joints that were matched: a pair each, in order of frame, and whether it was a switch."""

    pairs: ClosePairs
    switch: Bool[np.ndarray, "n"]


def count_mot(
    frames: ScoredFrames, *, keep_last: bool = False, in_full: bool = False
) -> tuple[MotCounts, MotEvents]:
    """Runs CLEAR MOT on every sequence and joint.

    The last scored frame of every sequence is left out, and a frame without people on one side
    counts as one object, one miss and one false positive for every joint, both as poseval does.
    The only scored frame of a sequence is kept (poseval stops on such a sequence).

    Args:
        keep_last: ours, to show the effect: the last frame counts too.
        in_full: ours, to show the effect: a frame with people on one side counts all of them.
    """
    used = ~frames.is_last | (frames.step == 0) | keep_last
    state = _State.new(frames)
    allowed = frames.pairs.distance <= MATCH_DISTANCE
    pairs = frames.pairs.select(allowed & used[frames.truth.frame[frames.pairs.truth]])
    step = frames.step[frames.truth.frame[pairs.truth]]
    order = np.argsort(step, kind="stable")
    pairs = pairs.select(order)
    bounds = np.searchsorted(step[order], np.arange(int(step.max(initial=-1)) + 2))
    kinds = np.concatenate(
        [np.zeros((0, 4), bool)]
        + [state.advance(pairs.select(np.arange(a, b))) for a, b in pairwise(bounds)]
    )
    matched, switch = kinds[:, 0], kinds[:, 1]
    extra_rows = kinds[:, 2].astype(float) + kinds[:, 3]
    return (
        _counts(frames, used, in_full, pairs, matched, switch, extra_rows),
        MotEvents(pairs.select(matched), switch[matched]),
    )


@dataclass(frozen=True, eq=False)
class _State:
    """What CLEAR MOT remembers of every track and joint; `advance` changes the arrays.

    Attributes:
        partner: (tracks of the truth, J) predicted track of the latest match, -1 for none.
        owner: (predicted tracks, J) truth track that last won it in an assignment, -1 for none.
        seen: (predicted tracks, J) whether it was ever matched.
    """

    frames: ScoredFrames
    partner: Int[np.ndarray, "T J"]
    owner: Int[np.ndarray, "U J"]
    seen: Bool[np.ndarray, "U J"]
    truth_rank: Int[np.ndarray, "N J"]
    found_rank: Int[np.ndarray, "P J"]

    @staticmethod
    def new(frames: ScoredFrames) -> _State:
        tracks = int(frames.truth.track.max(initial=-1)) + 1
        found_tracks = int(frames.found.track.max(initial=-1)) + 1
        return _State(
            frames,
            np.full((tracks, NUM_JOINTS), -1),
            np.full((found_tracks, NUM_JOINTS), -1),
            np.zeros((found_tracks, NUM_JOINTS), bool),
            _rank(frames.truth.present, frames.truth_first, frames.truth.frame),
            _rank(frames.found.present, frames.found_first, frames.found.frame),
        )

    def advance(self, pairs: ClosePairs) -> Bool[np.ndarray, "n 4"]:
        """One step of all sequences: (matched, switch, transfer, migrate or ascend) a pair.

        First every object keeps the hypothesis of its latest match, however long ago, where that
        is allowed (the first object in the file where two claim the same); the rest is assigned
        for the smallest sum of distances among the largest matchings.
        """
        frames, joint = self.frames, pairs.joint
        truth, found = frames.truth.track[pairs.truth], frames.found.track[pairs.found]
        kept = np.flatnonzero(self.partner[truth, joint] == found)
        _, first = np.unique(found[kept] * NUM_JOINTS + joint[kept], return_index=True)
        kept = kept[first]
        free_truth = np.ones(self.partner.shape, bool)
        free_found = np.ones(self.owner.shape, bool)
        free_truth[truth[kept], joint[kept]] = False
        free_found[found[kept], joint[kept]] = False
        open_ = np.flatnonzero(free_truth[truth, joint] & free_found[found, joint])
        won = open_[self._assign(pairs.select(open_))]

        before, owner = self.partner[truth, joint], self.owner[found, joint]
        kinds = np.zeros((len(pairs), 4), bool)
        new = np.zeros(len(pairs), bool)
        new[won] = True
        switch = new & (before >= 0) & (before != found)
        transfer = new & (owner >= 0) & (owner != truth)
        ascend = switch & ~self.seen[found, joint]
        migrate = transfer & (before < 0)
        kinds[kept, 0] = kinds[won, 0] = True
        kinds[:, 1] = switch
        # A pair can be a transfer, and an ascent or a migration besides, never both of the latter.
        kinds[:, 2], kinds[:, 3] = transfer, ascend | migrate
        matched = kinds[:, 0]
        self.seen[found[matched], joint[matched]] = True
        self.partner[truth[matched], joint[matched]] = found[matched]
        self.owner[found[won], joint[won]] = truth[won]
        return kinds

    def _assign(self, pairs: ClosePairs) -> Bool[np.ndarray, "n"]:
        frames = self.frames

        def shape(problem: int) -> tuple[int, int]:
            frame, joint = divmod(problem, NUM_JOINTS)
            a, b = frames.truth_first[frame : frame + 2]
            c, d = frames.found_first[frame : frame + 2]
            rows = frames.truth.present[a:b, joint].sum()
            return int(rows), int(frames.found.present[c:d, joint].sum())

        return choose_pairs(
            frames.truth.frame[pairs.truth] * NUM_JOINTS + pairs.joint,
            self.truth_rank[pairs.truth, pairs.joint],
            self.found_rank[pairs.found, pairs.joint],
            pairs.distance,
            shape,
            lambda cost, size: 2 * min(size) * (float(cost.max()) + 1) + 1,
        )


def _rank(
    present: Bool[np.ndarray, "N J"], first: Int[np.ndarray, "F+1"], frame: Int[np.ndarray, "N"]
) -> Int[np.ndarray, "N J"]:
    """Place of every joint among the frame's joints of its kind."""
    before = np.concatenate([np.zeros((1, NUM_JOINTS), np.int64), np.cumsum(present, axis=0)])
    return before[:-1] - before[first[frame]]


def _counts(
    frames: ScoredFrames,
    used: Bool[np.ndarray, "F"],
    in_full: bool,
    pairs: ClosePairs,
    matched: Bool[np.ndarray, "n"],
    switch: Bool[np.ndarray, "n"],
    extra_rows: Float[np.ndarray, "n"],
) -> MotCounts:
    shape = (len(frames.sequences), NUM_JOINTS)
    num_truth, num_found = np.diff(frames.truth_first), np.diff(frames.found_first)
    one_sided = used & ((num_truth == 0) | (num_found == 0)) & (not in_full)
    both = used & ~one_sided
    dummies = np.bincount(frames.sequence[one_sided], minlength=shape[0])[:, None]
    sequence = frames.sequence[frames.truth.frame[pairs.truth]]
    key = sequence * NUM_JOINTS + pairs.joint

    def summed(weight: np.ndarray) -> Float[np.ndarray, "S J"]:
        return np.bincount(key, weight, shape[0] * NUM_JOINTS).reshape(shape)

    def joints(people_frame: np.ndarray, present: np.ndarray) -> Float[np.ndarray, "S J"]:
        counted = both[people_frame]
        sequence_of = frames.sequence[people_frame[counted]]
        return joints_by(sequence_of, present[counted], shape[0]).astype(float)

    truth = joints(frames.truth.frame, frames.truth.present)
    found = joints(frames.found.frame, frames.found.present)
    detections = summed(matched.astype(float))
    return MotCounts(
        objects=truth + dummies,
        misses=truth - detections + dummies,
        false_positives=found - detections + dummies,
        switches=summed(switch.astype(float)),
        detections=detections,
        distance=summed(pairs.distance * matched),
        distance_motmetrics=summed(pairs.distance * (1 + matched + extra_rows)),
    )


def joint_mot(counts: MotCounts, sequence: int | None = None) -> JointMot:
    """Rates of every joint, over the whole set or one sequence.

    A joint without objects has NaN for MOTA and recall, one without matches MOTP 0 (poseval).
    """
    c = counts.of(sequence)
    objects = np.where(c.objects > 0, c.objects, np.nan)
    shown = c.false_positives + c.detections
    errors = c.misses + c.switches + c.false_positives

    def motp(distance: Float[np.ndarray, "1 J"]) -> Float[np.ndarray, "J"]:
        mean = distance / np.where(c.detections > 0, c.detections, np.nan)
        return np.where(c.detections > 0, 100 * (1 - mean), 0.0)[0]

    return JointMot(
        mota=100 * (1 - errors / objects)[0],
        motp=motp(c.distance),
        motp_motmetrics=motp(c.distance_motmetrics),
        precision=100 * (c.detections / np.where(shown > 0, shown, np.nan))[0],
        recall=100 * (c.detections / objects)[0],
    )
