"""PoseTrack's metrics: AP, MOTA and keypoint HOTA of predictions against ground truth.

`PoseTrackMatch` selects the frames of both protocols and computes every metric on them once. All
rules and their sources are listed in `docs/evaluation.md`. A new metric goes into a module of its
own that takes `ScoredFrames`, and is called from `PoseTrackMatch.result`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast, get_args

import numpy as np

from vepe.errors import VepeError, VepeWarning, counted
from vepe.evaluation.average_precision import JointLabels, joint_ap, label_joints
from vepe.evaluation.frames import ClosePairs, Protocol, ScoredFrames
from vepe.evaluation.hota import (
    HotaParts,
    HotaRule,
    HotaSums,
    hota_parts,
    hota_scores,
    joints_that_exist,
    sequence_hota,
    sum_assignments,
)
from vepe.evaluation.mota import MotCounts, count_mot, joint_mot
from vepe.evaluation.pairing import Source, paired_sequences
from vepe.evaluation.results import JointTable, PoseTrackResult, PoseTrackScores, ScoredCounts
from vepe.evaluation.selection import NO_SCORE, FrameSelection
from vepe.skeleton import POSETRACK15


def evaluate_posetrack(
    gt: Source,
    pred: Source,
    *,
    protocol: Protocol = "poseval",
    hota: HotaRule = "posetrack21",
) -> PoseTrackResult:
    """Scores predictions as PoseTrack's evaluators do.

    Args:
        gt: a folder of ground truth files (PoseTrack 2017, 2018 or 2021, detected), one file, or
            sequences in memory.
        pred: the same for predictions; files are paired by name, frames by position.
        protocol: the evaluator whose AP is computed. 'poseval': all frames with a record in the
            ground truth, all joints that a file lists. 'posetrack21': frames with `is_labeled`,
            joints with x and y above 0. MOTA always counts as poseval does; 'posetrack21'
            restricts it to frames with `is_labeled`.
        hota: 'posetrack21' counts as the PoseTrack21 kit does, including its bug; 'fixed' counts
            without the bug.

    Returns:
        All values in percent; NaN where undefined.

    Raises:
        VepeError: on input that cannot be scored; names the file and the frame.
    """
    return PoseTrackMatch.load(gt, pred, protocol=protocol).result(hota)


@dataclass(frozen=True, eq=False)
class PoseTrackMatch:
    """Ground truth and predictions under one protocol, and the metrics computed on them.

    Attributes:
        protocol: the evaluator whose AP is computed.
        poseval_frames, posetrack21_frames: the frames that each protocol scores.
        people_of: per sequence, ground truth people with a labelled joint in scored frames.
        notes: warnings of the input.
    """

    protocol: Protocol
    poseval_frames: ScoredFrames
    posetrack21_frames: ScoredFrames
    people_of: tuple[int, ...]
    notes: tuple[str, ...]

    @staticmethod
    def load(gt: Source, pred: Source, *, protocol: Protocol = "poseval") -> PoseTrackMatch:
        """Reads and pairs the sequences. Arguments and errors as `evaluate_posetrack`."""
        notes: list[str] = []
        poseval, posetrack21 = FrameSelection("poseval"), FrameSelection("posetrack21")
        selected = posetrack21 if protocol == "posetrack21" else poseval
        people = [0]
        for gt_sequence, pred_sequence in paired_sequences(gt, pred, notes):
            poseval.add(gt_sequence, pred_sequence)
            posetrack21.add(gt_sequence, pred_sequence)
            people.append(selected.people)
        if selected.flat_heads:
            notes.append(
                f"{selected.flat_heads} of {selected.people} people of the ground truth have a "
                "head box of size 0, so none of their joints can be matched; correct bbox_head."
            )
        per_sequence = tuple(int(n) for n in np.diff(people))
        match = PoseTrackMatch(
            protocol, poseval.frames(), posetrack21.frames(), per_sequence, tuple(notes)
        )
        if not len(match.frames):
            where = gt if isinstance(gt, str | Path) else "The ground truth"
            raise VepeError(
                f"{where} has no labelled frame; give the folder of the ground truth, not that of "
                "unlabelled results."
            )
        return match

    @cached_property
    def frames(self) -> ScoredFrames:
        """The frames that AP is computed on."""
        return self.posetrack21_frames if self.protocol == "posetrack21" else self.poseval_frames

    @cached_property
    def mot_frames(self) -> ScoredFrames:
        """The frames that MOTA is computed on: poseval's, with 'posetrack21' only labelled ones."""
        frames = self.poseval_frames
        return frames.where(frames.labelled) if self.protocol == "posetrack21" else frames

    @cached_property
    def labels(self) -> JointLabels:
        """Correctness of every predicted joint, for AP."""
        return label_joints(self.frames)

    @cached_property
    def mot(self) -> tuple[MotCounts, ClosePairs]:
        """Counts and matched joints of CLEAR MOT."""
        return count_mot(self.mot_frames)

    @cached_property
    def _hota_sums(self) -> HotaSums:
        return sum_assignments(self.posetrack21_frames)

    def hota(self, rule: HotaRule) -> HotaParts:
        """What HOTA is computed from; on the frames of 'posetrack21' under every protocol."""
        return hota_parts(self.posetrack21_frames, rule, self._hota_sums)

    @cached_property
    def has_tracks(self) -> bool:
        """Whether tracking can be scored: all people have a track id.

        Raises:
            VepeError: if some predictions have one and others do not.
        """
        frame_sets = (self.mot_frames, self.posetrack21_frames)
        sides = [side for frames in frame_sets for side in (frames.gt, frames.pred)]
        if not any((side.track < 0).any() for side in sides):
            return True
        for frames in frame_sets:
            missing = frames.pred.track < 0
            if missing.any() and not missing.all():
                frame = int(frames.pred.frame[np.flatnonzero(missing)[0]])
                raise VepeError(
                    f"Prediction of {frames.sequences[frames.sequence[frame]]}, frame "
                    f"{frames.position[frame]} ({frames.names[frame]}): a person has no track_id, "
                    "others have; give every person one, or none."
                )
        return False

    def result(self, hota: HotaRule = "posetrack21") -> PoseTrackResult:
        """All scores; `hota` as for `evaluate_posetrack`."""
        hota = current_rule(hota)
        parts = self.hota(hota) if self.has_tracks else None
        total = self._scores(None, parts, hota)
        names = self.frames.sequences
        scored = np.bincount(self.frames.sequence, minlength=len(names)) > 0
        return PoseTrackResult(
            **{k: getattr(total, k) for k in total.__dataclass_fields__},
            protocol=self.protocol,
            hota_rule=hota,
            sequences={n: self._scores(i, parts, hota) for i, n in enumerate(names) if scored[i]},
            warnings=(*self.notes, *self._warnings(hota)),
        )

    def _scores(
        self, sequence: int | None, parts: HotaParts | None, rule: HotaRule
    ) -> PoseTrackScores:
        ap = joint_ap(self.frames, self.labels, sequence=sequence, protocol=self.protocol)
        mot = joint_mot(self.mot[0], sequence) if self.has_tracks else None
        hota = None
        if parts is not None:
            hota = hota_scores(parts) if sequence is None else sequence_hota(parts, sequence, rule)
        return PoseTrackScores(
            counts=self._counts(sequence),
            ap=JointTable.of(ap.ap),
            precision=JointTable.of(ap.precision),
            recall=JointTable.of(ap.recall),
            mota=JointTable.of(mot.mota) if mot else None,
            motp=JointTable.of(mot.motp) if mot else None,
            motp_motmetrics=JointTable.of(mot.motp_motmetrics) if mot else None,
            mot_precision=JointTable.of(mot.precision) if mot else None,
            mot_recall=JointTable.of(mot.recall) if mot else None,
            hota={k: float(v[-1]) for k, v in hota.items()} if hota else None,
            hota_joints=_by_joint(hota) if hota else None,
        )

    def _counts(self, sequence: int | None) -> ScoredCounts:
        if sequence is None:
            return ScoredCounts(
                len(np.unique(self.frames.sequence)), len(self.frames), sum(self.people_of)
            )
        frames = int((self.frames.sequence == sequence).sum())
        return ScoredCounts(1, frames, self.people_of[sequence])

    def _warnings(self, hota: HotaRule) -> list[str]:
        """Warnings that need the selected frames."""
        result = []
        present = self.frames.pred.present
        scores = self.frames.pred.scores[present]
        if (scores == NO_SCORE).any():
            result.append(
                f"{counted(int((scores == NO_SCORE).sum()), 'predicted joint')} without a score: "
                "they rank last, so AP depends on their order in the files."
            )
        if not self.has_tracks:
            result.append("People have no track ids, so MOTA and HOTA are left out.")
            return result
        lengths = np.bincount(self.mot_frames.sequence, minlength=len(self.mot_frames.sequences))
        single = [n for n, c in zip(self.mot_frames.sequences, lengths, strict=True) if c == 1]
        if single:
            result.append(
                f"{counted(len(single), 'sequence')} with one labelled frame "
                f"({', '.join(single[:3])}): poseval leaves the last frame of every sequence out "
                "of MOTA and fails on these; here the frame counts."
            )
        if hota == "posetrack21":
            result += self._warn_of_hota_bug()
        return result

    def _warn_of_hota_bug(self) -> list[str]:
        """A warning if the bug of the PoseTrack21 kit changes HOTA on these frames."""
        frames = self.posetrack21_frames
        one_sided = int(frames.one_sided.sum())
        lacking = (~joints_that_exist(frames)[np.unique(frames.sequence)]).any(axis=1)
        if not one_sided and not lacking.any():
            return []
        kit, fixed = (hota_scores(self.hota(r))["HOTA"][-1] for r in get_args(HotaRule))
        if abs(kit - fixed) < 1e-9:
            return []
        reasons = []
        if lacking.any():
            sequences = counted(int(lacking.sum()), "sequence")
            reasons.append(f"joints that never occur in a sequence are association 0 ({sequences})")
        if one_sided:
            reasons.append(
                f"for each of {counted(one_sided, 'labelled frame')} with people on one side only, "
                "the joints of the whole sequence are added to the errors"
            )
        return [
            f"HOTA is {kit:.2f} as the PoseTrack21 kit counts, {fixed:.2f} with --hota fixed. In "
            f"the kit, {', and '.join(reasons)}."
        ]


def current_rule(rule: str) -> HotaRule:
    """The HOTA rule by its present name; the former name 'kit' gives a warning.

    Raises:
        VepeError: on an unknown rule.
    """
    if rule == "kit":
        warnings.warn("HOTA rule 'kit' is now called 'posetrack21'.", VepeWarning, stacklevel=3)
        return "posetrack21"
    if rule not in get_args(HotaRule):
        raise VepeError(f"There is no HOTA rule '{rule}'; use {' or '.join(get_args(HotaRule))}.")
    return cast("HotaRule", rule)


def _by_joint(hota: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    names = POSETRACK15.keypoints
    return {k: dict(zip(names, map(float, v[:-1]), strict=True)) for k, v in hota.items()}
