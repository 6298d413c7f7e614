"""Result types of the PoseTrack evaluation. All values are percentages at full precision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from vepe.evaluation.frames import Protocol
from vepe.evaluation.hota import HotaRule
from vepe.skeleton import POSETRACK15

JOINTS = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    *("head_bottom", "nose", "head_top"),
)
"""Joints in poseval's order, which is also that of the report."""

COLUMNS = {
    "Head": ("head_top", "head_bottom", "nose"),
    "Shou": ("right_shoulder", "left_shoulder"),
    "Elb": ("right_elbow", "left_elbow"),
    "Wri": ("right_wrist", "left_wrist"),
    "Hip": ("right_hip", "left_hip"),
    "Knee": ("right_knee", "left_knee"),
    "Ankl": ("right_ankle", "left_ankle"),
}
"""The seven columns of papers: plain means of these joints."""

HOTA_VALUES = ("HOTA", "DetA", "AssA", "LocA", "FA-HOTA", "DetRe", "DetPr", "AssRe", "AssPr")


@dataclass(frozen=True)
class ScoredCounts:
    """Number of scored sequences and frames, and of people with at least one labelled joint."""

    sequences: int
    frames: int
    people: int


@dataclass(frozen=True)
class JointTable:
    """One metric: a value per joint, ordered as `JOINTS`, and their mean without undefined ones."""

    joints: Mapping[str, float]
    total: float

    @staticmethod
    def of(values: Float[np.ndarray, "J"]) -> JointTable:
        """From values in the order of `POSETRACK15`."""
        known = values[~np.isnan(values)]
        by_name = dict(zip(POSETRACK15.keypoints, map(float, values), strict=True))
        total = float(known.mean()) if len(known) else math.nan
        return JointTable({name: by_name[name] for name in JOINTS}, total)

    def columns(self) -> dict[str, float]:
        """The seven columns and Total. A column with an undefined joint is undefined (NaN)."""
        seven = {c: float(np.mean([self.joints[j] for j in js])) for c, js in COLUMNS.items()}
        return {**seven, "Total": self.total}

    def to_dict(self) -> dict[str, float | None]:
        """`{joint: value, ..., "total": value}`; None where undefined."""
        return {k: _number(v) for k, v in {**self.joints, "total": self.total}.items()}


@dataclass(frozen=True)
class PoseTrackScores:
    """Scores of a whole set or one sequence.

    Tracking scores (CLEAR MOT and HOTA) are None if people have no track ids.

    Attributes:
        counts: what was scored.
        ap, precision, recall: average precision of joints; precision and recall over all
            predicted joints.
        mota, motp, mot_precision, mot_recall: CLEAR MOT; `motp` by the original definition.
        motp_motmetrics: MOTP as computed from newer versions of motmetrics.
        hota: values of keypoint HOTA over all joints, by name (`HOTA_VALUES` and a few more).
        hota_joints: the same by joint.
    """

    counts: ScoredCounts
    ap: JointTable
    precision: JointTable
    recall: JointTable
    mota: JointTable | None
    motp: JointTable | None
    motp_motmetrics: JointTable | None
    mot_precision: JointTable | None
    mot_recall: JointTable | None
    hota: Mapping[str, float] | None
    hota_joints: Mapping[str, Mapping[str, float]] | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; None where undefined."""
        tables = ("ap", "precision", "recall", "mota", "motp")
        more = ("motp_motmetrics", "mot_precision", "mot_recall")
        values: dict[str, Any] = {"counts": asdict(self.counts)}
        values |= {name: _table(getattr(self, name)) for name in tables}
        hota = self.hota
        values["hota"] = None if hota is None else {k: _number(hota[k]) for k in HOTA_VALUES}
        values |= {name: _table(getattr(self, name)) for name in more}
        return values


@dataclass(frozen=True)
class PoseTrackResult(PoseTrackScores):
    """Scores of a whole set and of each of its sequences.

    Attributes:
        protocol, hota_rule: the rules that were used.
        sequences: scores by sequence name.
        warnings: messages about the data that affect the scores.
    """

    protocol: Protocol = "poseval"
    hota_rule: HotaRule = "posetrack21"
    sequences: Mapping[str, PoseTrackScores] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON values of the whole result."""
        return {
            "protocol": self.protocol,
            "hota_rule": self.hota_rule,
            **super().to_dict(),
            "sequences": {name: s.to_dict() for name, s in self.sequences.items()},
            "warnings": list(self.warnings),
        }


def _table(table: JointTable | None) -> dict[str, float | None] | None:
    return None if table is None else table.to_dict()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
