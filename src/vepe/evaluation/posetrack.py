"""PoseTrack's numbers: AP, MOTA and keypoint HOTA of predictions against ground truth.

The rules, with their sources, stand in `docs/evaluation.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vepe.errors import VepeError
from vepe.evaluation.average_precision import JointLabels, joint_ap, label_joints
from vepe.evaluation.frames import ScoredFrames
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
from vepe.evaluation.mota import MotCounts, MotEvents, count_mot, joint_mot
from vepe.evaluation.pairing import Source, paired_sequences
from vepe.evaluation.results import (
    Counts,
    JointTable,
    PoseTrackResult,
    PoseTrackScores,
    Protocol,
)
from vepe.evaluation.selection import NO_SCORE, FrameSelection
from vepe.skeleton import POSETRACK15


def evaluate_posetrack(
    gt: Source,
    pred: Source,
    *,
    protocol: Protocol = "poseval",
    hota: HotaRule = "kit",
) -> PoseTrackResult:
    """Scores predictions as PoseTrack's evaluators do.

    Args:
        gt: folder of ground truth files (PoseTrack 2017, 2018 or 2021, detected), one file, or
            sequences in memory.
        pred: the same for predictions; files are paired by name, frames by their place.
        protocol: whose AP it is. 'poseval': every frame with a record in the ground truth, every
            joint that a file holds. 'posetrack21': frames with `is_labeled`, joints with x and y
            above 0. MOTA is poseval's in both, with 'posetrack21' on frames with `is_labeled`.
        hota: 'kit' counts as the PoseTrack21 kit, with its bug; 'fixed' without it.

    Returns:
        All values in percent; undefined ones are NaN.

    Raises:
        VepeError: on input that cannot be scored; names the file and the frame.
    """
    return PoseTrackMatch.load(gt, pred, protocol=protocol).result(hota)


@dataclass(frozen=True, eq=False)
class PoseTrackMatch:
    """Ground truth and predictions under one protocol, with everything that is counted on them.

    Attributes:
        protocol: whose rules select frames and joints.
        poseval_frames, kit_frames: what poseval and the PoseTrack21 kit score.
        people_of: people of the ground truth with a labelled joint in scored frames, by sequence.
        notes: warnings so far.
    """

    protocol: Protocol
    poseval_frames: ScoredFrames
    kit_frames: ScoredFrames
    people_of: tuple[int, ...]
    notes: tuple[str, ...]

    @staticmethod
    def load(gt: Source, pred: Source, *, protocol: Protocol = "poseval") -> PoseTrackMatch:
        """Reads, pairs and selects. Raises VepeError as `evaluate_posetrack`."""
        warnings: list[str] = []
        poseval, kit = FrameSelection("poseval"), FrameSelection("kit")
        people = [0]
        for truth, found in paired_sequences(gt, pred, warnings):
            poseval.add(truth, found)
            kit.add(truth, found)
            people.append(kit.people if protocol == "posetrack21" else poseval.people)
        per_sequence = tuple(int(n) for n in np.diff(people))
        match = PoseTrackMatch(
            protocol, poseval.frames(), kit.frames(), per_sequence, tuple(warnings)
        )
        if not len(match.frames):
            where = gt if isinstance(gt, str | Path) else "The ground truth"
            raise VepeError(
                f"{where} has no labelled frame; name the folder of the ground truth, not of "
                "unlabelled results."
            )
        return match

    @cached_property
    def frames(self) -> ScoredFrames:
        """The frames that AP is scored on."""
        return self.kit_frames if self.protocol == "posetrack21" else self.poseval_frames

    @cached_property
    def mot_frames(self) -> ScoredFrames:
        """The frames that MOTA is scored on: poseval's, with 'posetrack21' only labelled ones."""
        frames = self.poseval_frames
        return frames.where(frames.labelled) if self.protocol == "posetrack21" else frames

    @cached_property
    def labels(self) -> JointLabels:
        """Every predicted joint, judged for AP."""
        return label_joints(self.frames)

    @cached_property
    def mot(self) -> tuple[MotCounts, MotEvents]:
        """CLEAR MOT's counts and matches."""
        return count_mot(self.mot_frames)

    @cached_property
    def _hota_sums(self) -> HotaSums:
        return sum_assignments(self.kit_frames)

    def hota(self, rule: HotaRule) -> HotaParts:
        """What HOTA is computed from, on the PoseTrack21 kit's frames under every protocol."""
        return hota_parts(self.kit_frames, rule, self._hota_sums)

    @cached_property
    def has_tracks(self) -> bool:
        """Whether tracking can be scored: all people have an identity.

        Raises:
            VepeError: where some predictions have one and others have not.
        """
        sides = [s for f in (self.mot_frames, self.kit_frames) for s in (f.truth, f.found)]
        if not any((side.track < 0).any() for side in sides):
            return True
        for frames in (self.mot_frames, self.kit_frames):
            missing = frames.found.track < 0
            if missing.any() and not missing.all():
                frame = int(frames.found.frame[np.flatnonzero(missing)[0]])
                raise VepeError(
                    f"Prediction of {frames.sequences[frames.sequence[frame]]}, frame "
                    f"{frames.position[frame]} ({frames.names[frame]}): a person has no track_id, "
                    "others have; give every person one, or none."
                )
        return False

    def result(self, hota: HotaRule = "kit") -> PoseTrackResult:
        """Everything that is reported."""
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
        kit = self.protocol == "posetrack21"
        ap = joint_ap(self.frames, self.labels, sequence=sequence, kit=kit)
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

    def _counts(self, sequence: int | None) -> Counts:
        if sequence is None:
            return Counts(
                len(np.unique(self.frames.sequence)), len(self.frames), sum(self.people_of)
            )
        return Counts(1, int((self.frames.sequence == sequence).sum()), self.people_of[sequence])

    def _warnings(self, hota: HotaRule) -> list[str]:
        """Warnings that need the selected frames."""
        result = []
        present = self.frames.found.present
        scores = self.frames.found.scores[present]
        if (scores == NO_SCORE).any():
            result.append(
                f"{(scores == NO_SCORE).sum()} predicted joints have no score; they rank last, "
                "and AP is then a matter of their order in the files."
            )
        if not self.has_tracks:
            result.append("People have no track ids, so MOTA and HOTA are left out.")
            return result
        lengths = np.bincount(self.mot_frames.sequence, minlength=len(self.mot_frames.sequences))
        single = [n for n, c in zip(self.mot_frames.sequences, lengths, strict=True) if c == 1]
        if single:
            result.append(
                f"{len(single)} sequences have one labelled frame ({', '.join(single[:3])}); "
                "poseval leaves the last frame of every sequence out of MOTA and stops on these, "
                "here it is kept."
            )
        if hota == "kit":
            result += self._kit_trouble()
        return result

    def _kit_trouble(self) -> list[str]:
        """Warns where the kit's counting changes HOTA on these frames."""
        frames = self.kit_frames
        alone = (np.diff(frames.truth_first) == 0) != (np.diff(frames.found_first) == 0)
        lacking = (~joints_that_exist(frames)[np.unique(frames.sequence)]).any(axis=1)
        if not alone.any() and not lacking.any():
            return []
        kit, fixed = (hota_scores(self.hota(rule))["HOTA"][-1] for rule in ("kit", "fixed"))
        if abs(kit - fixed) < 1e-9:
            return []
        return [
            f"HOTA is {kit:.2f} by the PoseTrack21 kit's counting, {fixed:.2f} with --hota fixed: "
            f"for each of {int(alone.sum())} labelled frames with people on one side alone the "
            "kit adds the joints of the whole sequence to the errors, and it takes the association "
            f"of joints that a sequence lacks for 0 ({int(lacking.sum())} sequences)."
        ]


def _by_joint(hota: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    names = POSETRACK15.keypoints
    return {k: dict(zip(names, map(float, v[:-1]), strict=True)) for k, v in hota.items()}
