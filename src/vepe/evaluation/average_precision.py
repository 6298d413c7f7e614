"""PoseTrack's average precision per joint.

Source: poseval's `assignGTmulti` and `evaluateAP` (leonid-pishchulin/poseval) and the PoseTrack21
kit's `PosemAP`; the two differ in which joints exist and in the treatment of joints that are
never annotated. Ours: a stable sort by score, where the originals leave ties to chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.evaluation.frames import MATCH_DISTANCE, NUM_JOINTS, ScoredFrames, joints_by


@dataclass(frozen=True, eq=False)
class JointLabels:
    """Every predicted joint judged, and what there was to find.

    Attributes:
        correct: (P, J) predicted joints that lie on the ground truth joint of their person.
        partner: (P,) ground truth person that a prediction was given, -1 for none.
        sequence: (P,) sequence of every predicted person.
        annotated: (S, J) number of annotated joints in every sequence.
    """

    correct: Bool[np.ndarray, "P J"]
    partner: Int[np.ndarray, "P"]
    sequence: Int[np.ndarray, "P"]
    annotated: Int[np.ndarray, "S J"]


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision over recall of one joint, best score first; both as fractions."""

    recall: Float[np.ndarray, "n"]
    precision: Float[np.ndarray, "n"]


@dataclass(frozen=True)
class JointAP:
    """AP, precision and recall of every joint in percent: three arrays (J,); NaN: not defined."""

    ap: Float[np.ndarray, "J"]
    precision: Float[np.ndarray, "J"]
    recall: Float[np.ndarray, "J"]


def label_joints(frames: ScoredFrames) -> JointLabels:
    """Gives predicted people to ground truth people and judges their joints.

    A pair's worth is the share of the ground truth person's annotated joints that the prediction
    hits. Every prediction keeps its best ground truth person, every ground truth person then its
    best prediction (first in the file where equal); scores play no part. Predicted joints
    without an annotated counterpart are wrong.
    """
    pairs = frames.pairs.select(frames.pairs.distance <= MATCH_DISTANCE)
    partner = np.full(len(frames.found), -1)
    correct = np.zeros((len(frames.found), NUM_JOINTS), bool)
    if len(pairs):
        key = pairs.truth * len(frames.found) + pairs.found
        people, hits = np.unique(key, return_counts=True)
        truth, found = np.divmod(people, len(frames.found))
        worth = hits / frames.truth.present.sum(axis=1)[truth]
        best = _first_best(found, worth, truth)
        truth, found, worth = truth[best], found[best], worth[best]
        best = _first_best(truth, worth, found)
        partner[found[best]] = truth[best]
        hit = partner[pairs.found] == pairs.truth
        correct[pairs.found[hit], pairs.joint[hit]] = True
    truth_sequence = frames.sequence[frames.truth.frame]
    annotated = joints_by(truth_sequence, frames.truth.present, len(frames.sequences))
    return JointLabels(correct, partner, frames.sequence[frames.found.frame], annotated)


def _first_best(
    group: Int[np.ndarray, "n"], worth: Float[np.ndarray, "n"], rank: Int[np.ndarray, "n"]
) -> Int[np.ndarray, "g"]:
    """Index of the entry of greatest worth in every group; of the lowest rank where equal."""
    order = np.lexsort((rank, -worth, group))
    return order[np.flatnonzero(np.diff(group[order], prepend=-1))]


def joint_ap(
    frames: ScoredFrames,
    labels: JointLabels,
    *,
    sequence: int | None = None,
    kit: bool = False,
) -> JointAP:
    """AP, precision and recall of all joints, over the whole set or one sequence.

    Args:
        kit: the PoseTrack21 kit's rule for joints that are never annotated (AP 0); poseval
            gives NaN for them, or 0 where they are never predicted either.

    Returns:
        Precision and recall are those of the curve's last point, as the originals report them.
    """
    ap, precision, recall = (np.zeros(NUM_JOINTS) for _ in range(3))
    for joint in range(NUM_JOINTS):
        curve = precision_recall(frames, labels, joint, sequence=sequence, kit=kit)
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
    kit: bool = False,
) -> Curve:
    """The curve of one joint; empty where it is never predicted."""
    if sequence is None:
        people, annotated = slice(None), labels.annotated[:, joint].sum()
    else:
        people = slice(*np.searchsorted(labels.sequence, [sequence, sequence + 1]))
        annotated = labels.annotated[sequence, joint]
    chosen = frames.found.present[people, joint]
    order = np.argsort(-frames.found.scores[people, joint][chosen], kind="stable")
    hits = np.cumsum(labels.correct[people, joint][chosen][order])
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / (max(annotated, 1) if kit else annotated)
    return Curve(recall, hits / np.arange(1, len(hits) + 1))


def area_under(curve: Curve) -> float:
    """Area under the curve's monotone envelope (Pascal VOC after 2010), in 0..1."""
    recall = np.concatenate([[0.0], curve.recall, [1.0]])
    precision = np.concatenate([[0.0], curve.precision, [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    rises = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[rises] - recall[rises - 1]) * envelope[rises]))
