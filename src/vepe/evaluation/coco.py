"""Scores COCO and CrowdPose prediction files against ground truth files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError
from vepe.evaluation.coco_tables import CocoTables, ground_truth_table
from vepe.evaluation.oks import (
    AREA_PER_BOX,
    CocoResult,
    Joints,
    coco_oks_ap,
    count_people,
    paired_tables,
    run_cocoeval,
)
from vepe.formats.files import load_json
from vepe.skeleton import SKELETONS, Skeleton

EASY_BELOW, HARD_FROM = 0.2, 0.8
"""CrowdPose's classes: easy below the first crowd index, hard from the second on."""


def evaluate_coco(
    gt_file: str | Path,
    pred_file: str | Path,
    joints: Joints = "all",
    *,
    skeleton: str | None = None,
    sigmas: Mapping[str, float] | None = None,
) -> CocoResult:
    """OKS AP of a prediction file; arguments and result as `coco_oks_ap`, `skeleton` by name.

    Raises:
        VepeError: naming the file, where one is missing, broken or does not fit the other.
    """
    truth, found = read_json(gt_file), read_json(pred_file)
    with _named(gt_file, pred_file):
        return coco_oks_ap(truth, found, joints, skeleton=_skeleton(skeleton), sigmas=sigmas)


@dataclass(frozen=True)
class CrowdPoseResult:
    """CrowdPose's nine numbers in percent.

    `ap_easy`, `ap_medium` and `ap_hard` are rounded as the original does (four decimals of the
    fraction), and an empty class gives -100, because the original averages its -1 marks.
    """

    ap: float
    ap50: float
    ap75: float
    ar: float
    ar50: float
    ar75: float
    ap_easy: float
    ap_medium: float
    ap_hard: float
    images: int
    people: int
    predictions: int

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return asdict(self)


def evaluate_crowdpose(gt_file: str | Path, pred_file: str | Path) -> CrowdPoseResult:
    """CrowdPose's AP with its easy, medium and hard pictures.

    Rules (xtcocotools, iouType `keypoints_crowd`, `use_area=False`): area is 0.53 of the box, the
    14 CrowdPose sigmas, people with `num_keypoints` 0 (in CrowdPose: no keypoint with v = 2) are
    ignored, predictions whose keypoints all have a third value of 0 or less are left out.

    Raises:
        VepeError: where a file is missing or broken or pictures have no `crowdIndex`.
    """
    truth, found = read_json(gt_file), read_json(pred_file)
    with _named(gt_file, pred_file):
        return crowdpose_ap(truth, found)


def crowdpose_ap(ground_truth: Any, predictions: Any) -> CrowdPoseResult:
    """`evaluate_crowdpose` on data in memory."""
    if isinstance(ground_truth, dict):
        ground_truth = {**ground_truth, "annotations": _with_box_area(ground_truth)}
    tables = paired_tables(ground_truth, predictions, "all")
    kept = tuple(a for a in tables.predictions if max(a["keypoints"][2::3]) > 0)
    tables = CocoTables(tables.names, tables.sigmas, tables.images, tables.people, kept)
    missing = [i["id"] for i in tables.images if "crowdIndex" not in i]
    if missing:
        raise VepeError(f"Picture {missing[0]} of the ground truth has no 'crowdIndex'.")
    stats, _ = run_cocoeval(tables)
    index = {i["id"]: float(i["crowdIndex"]) for i in tables.images}
    classes = (
        [i for i, c in index.items() if c < EASY_BELOW],
        [i for i, c in index.items() if EASY_BELOW <= c < HARD_FROM],
        [i for i, c in index.items() if c >= HARD_FROM],
    )
    by_class = [_class_ap(tables, ids) for ids in classes]
    names = ("ap", "ap50", "ap75", "", "", "ar", "ar50", "ar75", "", "")
    overall = {n: float(100 * s) for n, s in zip(names, stats, strict=True) if n}
    return CrowdPoseResult(
        **overall,
        ap_easy=by_class[0],
        ap_medium=by_class[1],
        ap_hard=by_class[2],
        images=len(tables.images),
        people=count_people(tables),
        predictions=len(kept),
    )


def _class_ap(tables: CocoTables, image_ids: list[int]) -> float:
    if not image_ids:
        return -100.0
    _, precision = run_cocoeval(tables, image_ids)
    return 100 * round(float(np.mean(precision[:, :, 0, 0, :])), 4)


def _with_box_area(truth: dict[str, Any]) -> list[dict[str, Any]]:
    people = []
    for person in truth.get("annotations") or []:
        box = person.get("bbox")
        if not isinstance(box, list) or len(box) != 4:
            raise VepeError(f"Annotation {person.get('id')} of the ground truth has no 'bbox'.")
        people.append({**person, "area": AREA_PER_BOX * box[2] * box[3]})
    return people


def read_json(path: str | Path) -> Any:
    """Content of a JSON file. Raises VepeError that names the file where it cannot be read."""
    return load_json(Path(path))


def sigmas_by_name(text: str, gt_file: str | Path) -> dict[str, float]:
    """OKS sigmas written as '0.026,0.025,...' for the keypoints of a ground truth file, in order.

    Raises:
        VepeError: where these are no positive numbers, or not one for every keypoint.
    """
    names = ground_truth_table(read_json(gt_file), str(gt_file)).names
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise VepeError(f"--sigmas '{text}' is no list of numbers with commas.") from None
    if len(values) != len(names) or not all(0 < v < float("inf") for v in values):
        raise VepeError(
            f"--sigmas gives {len(values)} numbers; give one above 0 for each of the {len(names)} "
            f"keypoints of {gt_file}."
        )
    return dict(zip(names, values, strict=True))


def _skeleton(name: str | None) -> Skeleton | None:
    if name is None:
        return None
    if name not in SKELETONS:
        raise VepeError(f"There is no skeleton '{name}'; known are {', '.join(SKELETONS)}.")
    return SKELETONS[name]


@contextmanager
def _named(gt_file: str | Path, pred_file: str | Path) -> Iterator[None]:
    """Puts the two file names behind the message of a VepeError raised inside."""
    try:
        yield
    except VepeError as error:
        text = f"{error} (ground truth '{gt_file}', prediction '{pred_file}')"
        raise VepeError(text) from None
