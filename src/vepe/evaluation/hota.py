"""Keypoint HOTA as the PoseTrack21 kit defines it, and the same with its counting bug mended.

Source: `HOTAeypoints` of the kit (anDoer/PoseTrack21) on the ground of HOTA (Luiten et al., IJCV
2020). Joints are assigned per frame and joint, without HOTA's global alignment. Letters: A the 19
thresholds, S sequences, J joints; a last column (J + 1) holds the total.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from vepe.evaluation.frames import NUM_JOINTS, ScoredFrames, joints_by
from vepe.evaluation.hota_assignments import HotaSums, sum_assignments

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
