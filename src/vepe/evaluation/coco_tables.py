"""Aligns COCO ground truth and predictions: the same keypoints on both sides, areas and counts.

Keypoints are paired by name, so predictions of one skeleton can be scored on the ground truth of
another. The result goes to pycocotools without further checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from vepe.errors import VepeError
from vepe.evaluation.coco_records import (
    Record,
    is_sigma,
    read_ground_truth,
    read_predictions,
    warn,
)
from vepe.skeleton import SKELETONS, Skeleton

Joints = Literal["all", "shared"]

GT_SOURCE, PRED_SOURCE = "The ground truth", "The prediction"
AREA_PER_BOX = 0.53
"""Fraction of its box that a person covers; replaces a missing area (CrowdPose's rule)."""


@dataclass(frozen=True)
class CocoTables:
    """Both sides on the same keypoints, in the form that pycocotools expects.

    Attributes:
        names: the scored keypoints.
        sigmas: their OKS falloffs.
        images: records of the ground truth; `id` is the rank of the file's own id.
        people: ground truth, category 1, ids from 1.
        predictions: predicted people, category 1.
    """

    names: tuple[str, ...]
    sigmas: Float[np.ndarray, "K"]
    images: tuple[Record, ...]
    people: tuple[Record, ...]
    predictions: tuple[Record, ...]

    @property
    def num_people(self) -> int:
        """People that count: no crowds, at least one labelled scored keypoint."""
        return sum(1 for a in self.people if a["num_keypoints"] and not a["iscrowd"])


def paired_tables(
    gt: Any,
    pred: Any,
    joints: Joints = "all",
    *,
    skeleton: Skeleton | None = None,
    sigmas: Mapping[str, float] | None = None,
    crowdpose: bool = False,
    gt_source: str = GT_SOURCE,
    pred_source: str = PRED_SOURCE,
) -> CocoTables:
    """Ground truth and predictions, checked and reduced to the same keypoints.

    Args:
        gt, pred, joints, skeleton, sigmas: as for `coco_oks_ap`.
        crowdpose: CrowdPose's rules: the area is taken from the box, and `num_keypoints` is used
            as stated (it counts only some of the labelled keypoints).
        gt_source, pred_source: how messages name the two sides.

    Raises:
        VepeError: on a record that cannot be scored, or sides that do not fit together.
    """
    gt_side = read_ground_truth(gt, gt_source, skeleton)
    pred_side = read_predictions(pred, gt_side, skeleton, pred_source)
    names = _scored_names(gt_side.names, pred_side.names, joints)
    whole = names == gt_side.names
    people = _reduced(gt_side.people, gt_side.names, names)
    _settle_counts(people, recount=not (crowdpose and whole), compare=whole and not crowdpose)
    _settle_areas(people, from_box=crowdpose)
    tables = CocoTables(
        names=names,
        sigmas=_sigmas(names, {**gt_side.sigmas, **(sigmas or {})}),
        images=gt_side.images,
        people=tuple(people),
        predictions=tuple(_reduced(pred_side.people, pred_side.names, names)),
    )
    if not tables.num_people:
        warn(f"{gt_source} has no person with a labelled keypoint, so AP is undefined.")
    return tables


def _scored_names(gt: tuple[str, ...], pred: tuple[str, ...], joints: Joints) -> tuple[str, ...]:
    if joints == "shared":
        names = tuple(n for n in gt if n in pred)
        if not names:
            raise VepeError(
                "Prediction and ground truth share no keypoint by name: "
                f"{', '.join(pred)} against {', '.join(gt)}."
            )
        return names
    if set(gt) != set(pred):
        unknown = ", ".join(sorted(set(gt) ^ set(pred)))
        raise VepeError(
            f"Predictions have other keypoints than the ground truth ({unknown}); use --joints "
            "shared to score those that both have."
        )
    return gt


def _sigmas(names: tuple[str, ...], stated: Mapping[str, float]) -> Float[np.ndarray, "K"]:
    """OKS falloffs: as stated, else those of the known skeletons."""
    known = {n: s for k in SKELETONS.values() for n, s in zip(k.keypoints, k.sigmas, strict=True)}
    wrong = [n for n, s in stated.items() if not is_sigma(s)]
    if wrong:
        raise VepeError(f"The OKS sigma of keypoint {wrong[0]} is not a number in (0, 10].")
    known |= stated
    unknown = [n for n in names if n not in known]
    if unknown:
        raise VepeError(
            f"No OKS sigma is known for keypoint {', '.join(unknown)}; put 'sigmas' into the "
            "category of the ground truth or give --sigmas."
        )
    return np.array([known[n] for n in names], np.float64)


def _reduced(
    people: Iterable[dict[str, Any]], source: tuple[str, ...], names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Copies of the people with only the keypoints `names`, in that order."""
    if names == source:
        return [person.copy() for person in people]
    index = [source.index(n) for n in names]
    return [{**person, "keypoints": person["keypoints"][index]} for person in people]


def _settle_counts(people: list[dict[str, Any]], *, recount: bool, compare: bool) -> None:
    """Sets `num_keypoints`; warns of people whose stated number contradicts their keypoints."""
    wrong = []
    for person in people:
        labelled = int((person["keypoints"][:, 2] > 0).sum())
        stated = person["num_keypoints"]
        if compare and stated not in (None, labelled):
            wrong.append(person["place"])
        if recount or stated is None:
            person["num_keypoints"] = labelled
    if wrong:
        warn(
            f"num_keypoints contradicts the keypoints of {len(wrong)} people (first: {wrong[0]}); "
            "the labelled keypoints are counted instead."
        )


def _settle_areas(people: list[dict[str, Any]], *, from_box: bool) -> None:
    """Sets `bbox` and `area` where they are missing or must come from the box; warns of this."""
    replaced, flat = [], []
    for person in people:
        if from_box and person["bbox"] is None:
            raise VepeError(f"{person['place']} has no 'bbox', which CrowdPose's area comes from.")
        if person["bbox"] is None:
            person["bbox"] = _extent(person["keypoints"])
        if from_box:
            person["area"] = _area(person["bbox"])
            if not person["area"] and person["num_keypoints"]:
                flat.append(person["place"])
        elif person["area"] is None or (person["area"] == 0 and person["num_keypoints"]):
            replaced.append(person["place"])
            person["area"] = _area(person["bbox"]) or _area(_extent(person["keypoints"]))
    if flat:
        warn(
            f"{len(flat)} people of the ground truth have a box of size 0 (first: {flat[0]}), so "
            "they cannot be matched."
        )
    if replaced:
        warn(
            f"{len(replaced)} people of the ground truth have no area, or 0 (first: "
            f"{replaced[0]}); {AREA_PER_BOX} of the box is used."
        )


def _area(box_xywh: list[float]) -> float:
    return AREA_PER_BOX * box_xywh[2] * box_xywh[3]


def _extent(keypoints: Float[np.ndarray, "K 3"]) -> list[float]:
    """Box x, y, w, h around the labelled keypoints; zeros without any."""
    points = keypoints[keypoints[:, 2] > 0, :2]
    if not len(points):
        return [0.0, 0.0, 0.0, 0.0]
    low, high = points.min(0), points.max(0)
    return [*low.tolist(), *(high - low).tolist()]
