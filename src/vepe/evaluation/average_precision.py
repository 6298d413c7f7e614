"""PoseTrack's average precision per joint.

Source: poseval's `assignGTmulti` and `evaluateAP` (leonid-pishchulin/poseval) and the PoseTrack21
kit's `PosemAP`. The two differ in which joints exist and in how they treat joints that are never
annotated. One difference from both: scores are sorted with a stable sort, whereas the originals
leave the order of ties undefined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.evaluation.frames import MATCH_DISTANCE, NUM_JOINTS, Protocol, ScoredFrames, joints_by


@dataclass(frozen=True, eq=False)
class JointLabels:
    """Whether each predicted joint is correct, and the number of annotated joints.

    Attributes:
        correct: (P, J) predicted joints that match a joint of the assigned ground truth person.
        partner: (P,) ground truth person assigned to each predicted person, -1 for none.
        sequence: (P,) sequence of each predicted person.
        annotated: (S, J) number of annotated joints per sequence.
    """

    correct: Bool[np.ndarray, "P J"]
    partner: Int[np.ndarray, "P"]
    sequence: Int[np.ndarray, "P"]
    annotated: Int[np.ndarray, "S J"]


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision over recall of one joint, highest score first; both in 0..1."""

    recall: Float[np.ndarray, "n"]
    precision: Float[np.ndarray, "n"]


@dataclass(frozen=True)
class JointAP:
    """AP, precision and recall per joint in percent, (J,) each; NaN where undefined."""

    ap: Float[np.ndarray, "J"]
    precision: Float[np.ndarray, "J"]
    recall: Float[np.ndarray, "J"]


def label_joints(frames: ScoredFrames) -> JointLabels:
    """Assigns predicted people to ground truth people and marks correct joints.

    The overlap of a pair is the fraction of the ground truth person's annotated joints that the
    prediction hits. Each prediction keeps its best ground truth person, then each ground truth
    person keeps its best prediction (ties: first in the file); scores are not used. Predicted
    joints without an annotated counterpart are wrong.
    """
    pairs = frames.pairs.select(frames.pairs.distance <= MATCH_DISTANCE)
    partner = np.full(len(frames.pred), -1)
    correct = np.zeros((len(frames.pred), NUM_JOINTS), bool)
    if len(pairs):
        key = pairs.gt * len(frames.pred) + pairs.pred
        people, hits = np.unique(key, return_counts=True)
        gt, pred = np.divmod(people, len(frames.pred))
        overlap = hits / frames.gt.present.sum(axis=1)[gt]
        best = _best_of_group(pred, overlap, gt)
        gt, pred, overlap = gt[best], pred[best], overlap[best]
        best = _best_of_group(gt, overlap, pred)
        partner[pred[best]] = gt[best]
        hit = partner[pairs.pred] == pairs.gt
        correct[pairs.pred[hit], pairs.joint[hit]] = True
    gt_sequence = frames.sequence[frames.gt.frame]
    annotated = joints_by(gt_sequence, frames.gt.present, len(frames.sequences))
    return JointLabels(correct, partner, frames.sequence[frames.pred.frame], annotated)


def _best_of_group(
    group: Int[np.ndarray, "n"], value: Float[np.ndarray, "n"], rank: Int[np.ndarray, "n"]
) -> Int[np.ndarray, "g"]:
    """Index of the highest value in each group; ties go to the lowest rank."""
    order = np.lexsort((rank, -value, group))
    return order[np.flatnonzero(np.diff(group[order], prepend=-1))]


def joint_ap(
    frames: ScoredFrames,
    labels: JointLabels,
    *,
    sequence: int | None = None,
    protocol: Protocol = "poseval",
) -> JointAP:
    """AP, precision and recall of all joints, over the whole set or one sequence.

    Args:
        protocol: decides the value of a joint that is never annotated: 'posetrack21' gives AP 0;
            'poseval' gives NaN, or 0 where the joint is never predicted either.

    Returns:
        Precision and recall are those of the last point of the curve, as in the originals.
    """
    ap, precision, recall = (np.zeros(NUM_JOINTS) for _ in range(3))
    for joint in range(NUM_JOINTS):
        curve = precision_recall(frames, labels, joint, sequence=sequence, protocol=protocol)
        if len(curve.recall):
            ap[joint] = 100 * area_under(curve)
            precision[joint] = 100 * curve.precision[-1]
            recall[joint] = 100 * curve.recall[-1]
    return JointAP(ap, precision, recall)


def precision_recall(
    frames: ScoredFrames,
    labels: JointLabels,
    joint: int,
    *,
    sequence: int | None = None,
    protocol: Protocol = "poseval",
) -> Curve:
    """Precision-recall curve of one joint; empty if it is never predicted."""
    if sequence is None:
        people, annotated = slice(None), labels.annotated[:, joint].sum()
    else:
        people = slice(*np.searchsorted(labels.sequence, [sequence, sequence + 1]))
        annotated = labels.annotated[sequence, joint]
    present = frames.pred.present[people, joint]
    order = np.argsort(-frames.pred.scores[people, joint][present], kind="stable")
    hits = np.cumsum(labels.correct[people, joint][present][order])
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / (max(annotated, 1) if protocol == "posetrack21" else annotated)
    return Curve(recall, hits / np.arange(1, len(hits) + 1))


def area_under(curve: Curve) -> float:
    """Area under the monotone envelope of the curve (Pascal VOC since 2010), in 0..1."""
    recall = np.concatenate([[0.0], curve.recall, [1.0]])
    precision = np.concatenate([[0.0], curve.precision, [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    rises = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[rises] - recall[rises - 1]) * envelope[rises]))
