"""Where this evaluator and others count differently, measured on the files at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vepe.evaluation.average_precision import JointLabels, joint_ap, label_joints
from vepe.evaluation.frames import ScoredFrames
from vepe.evaluation.hota import hota_scores
from vepe.evaluation.mota import count_mot, joint_mot
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.evaluation.results import JointTable, PoseTrackResult


@dataclass(frozen=True)
class Difference:
    """One rule on which evaluators differ.

    Attributes:
        rule: what differs.
        here, other: both ways of counting, with what they give on these files.
        matters: whether the two give different numbers here.
    """

    rule: str
    here: str
    other: str
    matters: bool


def differences(match: PoseTrackMatch, result: PoseTrackResult) -> list[Difference]:
    """All rules on which evaluators are known to differ, each with its effect on these files."""
    rows = [*_ap_rows(match, result), _ties(match, result)]
    if match.has_tracks:
        rows += [*_mot_rows(match, result), _hota_row(match, result)]
    return rows


def _row(rule: str, here: tuple[str, float], other: tuple[str, float]) -> Difference:
    a, b = here[1], other[1]
    same = a == b or abs(a - b) < 1e-9 or (np.isnan(a) and np.isnan(b))
    return Difference(rule, f"{here[0]}: {a:.3f}", f"{other[0]}: {b:.3f}", not same)


def _ap_rows(match: PoseTrackMatch, result: PoseTrackResult) -> list[Difference]:
    poseval, kit = match.poseval_frames, match.kit_frames
    ap = {
        "poseval": _total_ap(poseval, label_joints(poseval), kit=False),
        "posetrack21": _total_ap(kit, label_joints(kit), kit=True) if len(kit) else np.nan,
    }
    mine = match.protocol
    other = "poseval" if mine == "posetrack21" else "posetrack21"
    frames = {"poseval": len(poseval), "posetrack21": len(kit)}
    return [
        Difference(
            "Which frames are scored: those with a record (poseval), or with is_labeled (kit)",
            f"{mine}: {frames[mine]} frames",
            f"{other}: {frames[other]} frames",
            frames[mine] != frames[other],
        ),
        _row(
            "AP: joints exist as the file holds them (poseval), or where x and y are above 0 (kit)",
            (mine, result.ap.total),
            (other, ap[other]),
        ),
        _row(
            "AP total: mean over 15 joints, or over 16 slots of which one is 0 (poseval from "
            "November 2017 to June 2018)",
            ("15 joints", result.ap.total),
            ("16 slots", result.ap.total * 15 / 16),
        ),
    ]


def _total_ap(frames: ScoredFrames, labels: JointLabels, *, kit: bool) -> float:
    return JointTable.of(joint_ap(frames, labels, kit=kit).ap).total


def _ties(match: PoseTrackMatch, result: PoseTrackResult) -> Difference:
    """AP with equal scores ordered for the best and for the worst."""
    found, labels = match.frames.found, match.labels
    kit = match.protocol == "posetrack21"
    totals = []
    for sign in (1, -1):
        # A nudge smaller than any gap between scores orders equal ones by their correctness.
        scores = np.empty_like(found.scores)
        for joint in range(scores.shape[1]):
            _, rank = np.unique(found.scores[:, joint], return_inverse=True)
            scores[:, joint] = rank + sign * 0.5 * labels.correct[:, joint]
        nudged = replace(match.frames, found=replace(found, scores=scores))
        totals.append(_total_ap(nudged, labels, kit=kit))
    return Difference(
        "AP with equal scores: in the order of the files (here), or as the sort falls (originals)",
        f"stable: {result.ap.total:.3f}",
        f"any order: {totals[1]:.3f} to {totals[0]:.3f}",
        abs(totals[0] - totals[1]) > 1e-9,
    )


def _mot_rows(match: PoseTrackMatch, result: PoseTrackResult) -> list[Difference]:
    def mota(frames: ScoredFrames, **options: bool) -> float:
        if not len(frames):
            return float("nan")
        return JointTable.of(joint_mot(count_mot(frames, **options)[0]).mota).total

    assert result.mota is not None
    assert result.motp is not None
    assert result.motp_motmetrics is not None
    frames, poseval = match.mot_frames, match.poseval_frames
    here = result.mota.total
    alone = (np.diff(frames.truth_first) == 0) != (np.diff(frames.found_first) == 0)
    other_frames = poseval if match.protocol == "posetrack21" else poseval.where(poseval.labelled)
    names = ("all with a record", "is_labeled alone")
    names = names[::-1] if match.protocol == "posetrack21" else names
    return [
        _row(
            "MOTA: frames with is_labeled false that hold records",
            (names[0], here),
            (names[1], mota(other_frames)),
        ),
        _row(
            f"MOTA: the last labelled frame of every sequence ({int(frames.is_last.sum())} frames)",
            ("left out (poseval)", here),
            ("counted", mota(frames, keep_last=True)),
        ),
        _row(
            f"MOTA: a frame with people on one side alone ({int(alone.sum())} frames)",
            ("1 object, 1 miss, 1 false positive a joint (poseval)", here),
            ("everybody in it", mota(frames, in_full=True)),
        ),
        _row(
            "MOTP: sum over matches (motmetrics 1.0.2, poseval's own), or over all rows of the "
            "event table (1.1 and newer)",
            ("original", result.motp.total),
            ("newer motmetrics", result.motp_motmetrics.total),
        ),
    ]


def _hota_row(match: PoseTrackMatch, result: PoseTrackResult) -> Difference:
    rules = ("kit", "fixed") if result.hota_rule == "kit" else ("fixed", "kit")
    values = [
        float(hota_scores(match.hota(r))["HOTA"][-1])  # type: ignore[arg-type]
        for r in rules
    ]
    return _row(
        "HOTA: a frame with people on one side alone adds the joints of its whole sequence (kit), "
        "or its own (fixed); joints that a sequence lacks count 0 (kit), or not (fixed)",
        (rules[0], values[0]),
        (rules[1], values[1]),
    )
