"""CLEAR MOT per joint, as poseval counts it.

Source: poseval's `evaluateTracking` on top of motmetrics' accumulator (Bernardin and Stiefelhagen,
2008). The original definition of MOTP is that of motmetrics 1.0.2, poseval's submodule. All
sequences and joints are processed together, one scored frame at a time.
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
    """Counts per sequence and joint, (S, J) each.

    Attributes:
        objects, misses, false_positives, switches, detections: the counts of CLEAR MOT;
            detections are matches and switches.
        distance: sum of the distances of detections, in head sizes.
        distance_motmetrics: sum over all rows of the event table of newer motmetrics, which also
            has a row for every allowed pair and for every transfer, ascent and migration.
    """

    objects: Float[np.ndarray, "S J"]
    misses: Float[np.ndarray, "S J"]
    false_positives: Float[np.ndarray, "S J"]
    switches: Float[np.ndarray, "S J"]
    detections: Float[np.ndarray, "S J"]
    distance: Float[np.ndarray, "S J"]
    distance_motmetrics: Float[np.ndarray, "S J"]

    def of(self, sequence: int | None) -> MotCounts:
        """The counts of one sequence, or the sum over all if None; (1, J) each."""
        result = {}
        for f in fields(self):
            value = getattr(self, f.name)
            result[f.name] = value.sum(0, keepdims=True) if sequence is None else value[[sequence]]
        return MotCounts(**result)


@dataclass(frozen=True)
class JointMot:
    """MOTA, both MOTPs, precision and recall per joint in percent, (J,) each."""

    mota: Float[np.ndarray, "J"]
    motp: Float[np.ndarray, "J"]
    motp_motmetrics: Float[np.ndarray, "J"]
    precision: Float[np.ndarray, "J"]
    recall: Float[np.ndarray, "J"]


def count_mot(frames: ScoredFrames) -> tuple[MotCounts, ClosePairs]:
    """Runs CLEAR MOT on every sequence and joint.

    As in poseval, the last scored frame of each sequence is left out, and a frame with people on
    at most one side counts as one object, one miss and one false positive for every joint. The
    only scored frame of a sequence is counted (poseval fails on such a sequence).

    Returns:
        The counts, and the matched joints in order of frame.
    """
    used = frames.in_mota
    state = _State.new(frames)
    allowed = frames.pairs.distance <= MATCH_DISTANCE
    pairs = frames.pairs.select(allowed & used[frames.gt.frame[frames.pairs.gt]])
    rank = frames.rank[frames.gt.frame[pairs.gt]]
    order = np.argsort(rank, kind="stable")
    pairs = pairs.select(order)
    bounds = np.searchsorted(rank[order], np.arange(int(rank.max(initial=-1)) + 2))
    events = np.concatenate(
        [np.zeros((0, 4), bool)]
        + [state.advance(pairs.select(np.arange(a, b))) for a, b in pairwise(bounds)]
    )
    return _counts(frames, used, pairs, events), pairs.select(events[:, 0])


@dataclass(frozen=True, eq=False)
class _State:
    """CLEAR MOT's memory of every track and joint; `advance` updates the arrays in place.

    Attributes:
        partner: (T, J) predicted track of each object's latest match, -1 for none.
        owner: (U, J) ground truth track that last got the predicted track in an assignment, -1
            for none.
        matched: (U, J) whether the predicted track was ever matched.
        gt_rank, pred_rank: row or column of each joint in the assignment matrix of its frame.
    """

    frames: ScoredFrames
    partner: Int[np.ndarray, "T J"]
    owner: Int[np.ndarray, "U J"]
    matched: Bool[np.ndarray, "U J"]
    gt_rank: Int[np.ndarray, "N J"]
    pred_rank: Int[np.ndarray, "P J"]

    @staticmethod
    def new(frames: ScoredFrames) -> _State:
        gt_tracks = int(frames.gt.track.max(initial=-1)) + 1
        pred_tracks = int(frames.pred.track.max(initial=-1)) + 1
        return _State(
            frames,
            np.full((gt_tracks, NUM_JOINTS), -1),
            np.full((pred_tracks, NUM_JOINTS), -1),
            np.zeros((pred_tracks, NUM_JOINTS), bool),
            _rank(frames.gt.present, frames.gt_first, frames.gt.frame),
            _rank(frames.pred.present, frames.pred_first, frames.pred.frame),
        )

    def advance(self, pairs: ClosePairs) -> Bool[np.ndarray, "n 4"]:
        """Processes one frame of all sequences.

        First, each object continues with the predicted track of its latest match, however long
        ago, if that pair is allowed (the first object in the file wins a conflict). The others
        are assigned: as many pairs as possible, then the smallest sum of distances.

        Returns:
            Flags of every pair: matched, switch, transfer, migrate or ascend (never both).
        """
        frames, joint = self.frames, pairs.joint
        gt, pred = frames.gt.track[pairs.gt], frames.pred.track[pairs.pred]
        continued = np.flatnonzero(self.partner[gt, joint] == pred)
        key = pred[continued] * NUM_JOINTS + joint[continued]
        continued = continued[np.unique(key, return_index=True)[1]]
        free_gt = np.ones(self.partner.shape, bool)
        free_pred = np.ones(self.owner.shape, bool)
        free_gt[gt[continued], joint[continued]] = False
        free_pred[pred[continued], joint[continued]] = False
        free = np.flatnonzero(free_gt[gt, joint] & free_pred[pred, joint])
        assigned = free[self._assign(pairs.select(free))]

        before, owner = self.partner[gt, joint], self.owner[pred, joint]
        is_assigned = np.zeros(len(pairs), bool)
        is_assigned[assigned] = True
        switch = is_assigned & (before >= 0) & (before != pred)
        transfer = is_assigned & (owner >= 0) & (owner != gt)
        ascend = switch & ~self.matched[pred, joint]
        migrate = transfer & (before < 0)
        matched = is_assigned.copy()
        matched[continued] = True
        self.matched[pred[matched], joint[matched]] = True
        self.partner[gt[matched], joint[matched]] = pred[matched]
        self.owner[pred[assigned], joint[assigned]] = gt[assigned]
        return np.stack([matched, switch, transfer, ascend | migrate], axis=1)

    def _assign(self, pairs: ClosePairs) -> Bool[np.ndarray, "n"]:
        frames = self.frames

        def shape(problem: int) -> tuple[int, int]:
            frame, joint = divmod(problem, NUM_JOINTS)
            a, b = frames.gt_first[frame : frame + 2]
            c, d = frames.pred_first[frame : frame + 2]
            rows = frames.gt.present[a:b, joint].sum()
            return int(rows), int(frames.pred.present[c:d, joint].sum())

        return choose_pairs(
            frames.gt.frame[pairs.gt] * NUM_JOINTS + pairs.joint,
            self.gt_rank[pairs.gt, pairs.joint],
            self.pred_rank[pairs.pred, pairs.joint],
            pairs.distance,
            shape,
            lambda cost, size: 2 * min(size) * (float(cost.max()) + 1) + 1,
        )


def _rank(
    present: Bool[np.ndarray, "N J"], first: Int[np.ndarray, "F+1"], frame: Int[np.ndarray, "N"]
) -> Int[np.ndarray, "N J"]:
    """Position of each joint among the joints of its kind in the frame."""
    before = np.concatenate([np.zeros((1, NUM_JOINTS), np.int64), np.cumsum(present, axis=0)])
    return before[:-1] - before[first[frame]]


def _counts(
    frames: ScoredFrames,
    used: Bool[np.ndarray, "F"],
    pairs: ClosePairs,
    events: Bool[np.ndarray, "n 4"],
) -> MotCounts:
    """Sums the events per sequence and joint."""
    shape = (len(frames.sequences), NUM_JOINTS)
    two_sided = (np.diff(frames.gt_first) > 0) & (np.diff(frames.pred_first) > 0) & used
    # (S, 1): frames that count as one object, one miss and one false positive.
    dummies = np.bincount(frames.sequence[used & ~two_sided], minlength=shape[0])[:, None]
    sequence = frames.sequence[frames.gt.frame[pairs.gt]]
    key = sequence * NUM_JOINTS + pairs.joint

    def summed(weight: np.ndarray) -> Float[np.ndarray, "S J"]:
        return np.bincount(key, weight, shape[0] * NUM_JOINTS).reshape(shape)

    def joints(people_frame: np.ndarray, present: np.ndarray) -> Float[np.ndarray, "S J"]:
        counted = two_sided[people_frame]
        sequence_of = frames.sequence[people_frame[counted]]
        return joints_by(sequence_of, present[counted], shape[0]).astype(float)

    matched = events[:, 0]
    rows = 1 + events[:, [0, 2, 3]].sum(axis=1)
    gt = joints(frames.gt.frame, frames.gt.present)
    pred = joints(frames.pred.frame, frames.pred.present)
    detections = summed(matched.astype(float))
    return MotCounts(
        objects=gt + dummies,
        misses=gt - detections + dummies,
        false_positives=pred - detections + dummies,
        switches=summed(events[:, 1].astype(float)),
        detections=detections,
        distance=summed(pairs.distance * matched),
        distance_motmetrics=summed(pairs.distance * rows),
    )


def joint_mot(counts: MotCounts, sequence: int | None = None) -> JointMot:
    """Rates per joint, over the whole set or one sequence.

    A joint without objects has NaN for MOTA and recall; one without matches has MOTP 0 (poseval).
    """
    c = counts.of(sequence)
    objects = np.where(c.objects > 0, c.objects, np.nan)
    predicted = c.false_positives + c.detections
    errors = c.misses + c.switches + c.false_positives

    def motp(distance: Float[np.ndarray, "1 J"]) -> Float[np.ndarray, "J"]:
        mean = distance / np.where(c.detections > 0, c.detections, np.nan)
        return np.where(c.detections > 0, 100 * (1 - mean), 0.0)[0]

    return JointMot(
        mota=100 * (1 - errors / objects)[0],
        motp=motp(c.distance),
        motp_motmetrics=motp(c.distance_motmetrics),
        precision=100 * (c.detections / np.where(predicted > 0, predicted, np.nan))[0],
        recall=100 * (c.detections / objects)[0],
    )
