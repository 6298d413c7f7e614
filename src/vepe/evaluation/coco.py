"""COCO's and CrowdPose's OKS average precision, for any skeleton; pycocotools does the matching.

Sources: the COCO keypoint evaluation (https://cocodataset.org/#keypoints-eval) through
`pycocotools.cocoeval`; CrowdPose's rules as in xtcocotools. `coco_records` reads the files,
`coco_tables` aligns both sides.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError
from vepe.evaluation.coco_records import ground_truth_keypoints, is_sigma
from vepe.evaluation.coco_tables import GT_SOURCE, PRED_SOURCE, CocoTables, Joints, paired_tables
from vepe.formats.files import load_json
from vepe.formats.records import is_finite_number
from vepe.skeleton import SKELETONS, Skeleton

EASY_BELOW, HARD_FROM = 0.2, 0.8
"""Crowd indices that separate CrowdPose's easy, medium and hard images."""


@dataclass(frozen=True)
class CocoResult:
    """COCO's ten numbers in percent (-1 where a size class has no people), and what was counted.

    Attributes:
        ap, ap50, ap75, ap_medium, ap_large: average precision over OKS 0.50 to 0.95, at 0.50,
            at 0.75, and for people of 32^2 to 96^2 px and above.
        ar, ar50, ar75, ar_medium, ar_large: average recall with 20 detections per image.
        joints: names of the scored keypoints.
        images: number of images.
        people: number of people that count: no crowds, at least one labelled scored keypoint.
        predictions: number of predicted people.
    """

    ap: float
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    ar50: float
    ar75: float
    ar_medium: float
    ar_large: float
    joints: tuple[str, ...]
    images: int
    people: int
    predictions: int

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "joints": list(self.joints)}


@dataclass(frozen=True)
class CrowdPoseResult:
    """CrowdPose's nine numbers in percent, and what was counted.

    `ap_easy`, `ap_medium` and `ap_hard` are rounded as in the original (four decimals of the
    fraction). A class without images gives -100, because the original averages its -1 marks.
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
        """JSON values."""
        return asdict(self)


def coco_oks_ap(
    ground_truth: Mapping[str, Any],
    predictions: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    joints: Joints = "all",
    *,
    skeleton: Skeleton | None = None,
    sigmas: Mapping[str, float] | None = None,
    sources: tuple[str, str] = (GT_SOURCE, PRED_SOURCE),
) -> CocoResult:
    """OKS AP of predictions in memory; the arguments are not changed.

    Args:
        ground_truth: content of a COCO keypoint annotation file.
        predictions: what `vepe predict` writes (`images`, `annotations`, `categories`), or a plain
            COCO results list, whose keypoints are those of `skeleton`, by default the ground
            truth's.
        joints: 'all' requires the same keypoints on both sides; 'shared' scores the keypoints that
            both have by name. People without a labelled scored keypoint are ignored, as in COCO.
        skeleton: keypoints of a plain results list.
        sigmas: OKS falloff by keypoint name; default: the `sigmas` of the ground truth's category,
            else those of the known skeletons.
        sources: how messages name the two sides.

    Returns:
        Percentages. The file's `area` is used; people without one (or with 0) get 0.53 of the box.

    Raises:
        VepeError: on a record that cannot be scored, or if images or keypoints do not match.
    """
    tables = paired_tables(
        ground_truth,
        predictions,
        joints,
        skeleton=skeleton,
        sigmas=sigmas,
        gt_source=sources[0],
        pred_source=sources[1],
    )
    stats, _ = run_cocoeval(tables)
    names = (f.name for f in fields(CocoResult)[: len(stats)])
    percent = {n: float(100 * s) if s >= 0 else -1.0 for n, s in zip(names, stats, strict=True)}
    return CocoResult(
        **percent,
        joints=tables.names,
        images=len(tables.images),
        people=tables.num_people,
        predictions=len(tables.predictions),
    )


def crowdpose_ap(
    ground_truth: Any, predictions: Any, sources: tuple[str, str] = (GT_SOURCE, PRED_SOURCE)
) -> CrowdPoseResult:
    """CrowdPose's AP of predictions in memory, with its easy, medium and hard images.

    Rules (xtcocotools, iouType `keypoints_crowd`, `use_area=False`): area is 0.53 of the box, the
    14 CrowdPose sigmas, people with `num_keypoints` 0 (in CrowdPose: no keypoint with v = 2) are
    ignored, predictions without a third value above 0 are left out.

    Args:
        ground_truth, predictions, sources: as for `coco_oks_ap`.

    Raises:
        VepeError: as `coco_oks_ap`, or if images have no `crowdIndex`.
    """
    tables = paired_tables(
        ground_truth, predictions, crowdpose=True, gt_source=sources[0], pred_source=sources[1]
    )
    predicted = tuple(a for a in tables.predictions if (a["keypoints"][:, 2] > 0).any())
    tables = replace(tables, predictions=predicted)
    for image in tables.images:
        if not is_finite_number(image.get("crowdIndex")):
            name = image.get("file_name", image["id"])
            raise VepeError(f"{sources[0]}: image {name} has no number 'crowdIndex'.")
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
        people=tables.num_people,
        predictions=len(predicted),
    )


def _class_ap(tables: CocoTables, image_ids: list[int]) -> float:
    if not image_ids:
        return -100.0
    _, precision = run_cocoeval(tables, image_ids)  # (thresholds, recalls, 1, areas, 1)
    return 100 * round(float(np.mean(precision[:, :, 0, 0, :])), 4)


def evaluate_coco(
    gt_file: str | Path,
    pred_file: str | Path,
    joints: Joints = "all",
    *,
    skeleton: str | None = None,
    sigmas: Mapping[str, float] | None = None,
) -> CocoResult:
    """OKS AP of a prediction file; as `coco_oks_ap`, with `skeleton` by name.

    Raises:
        VepeError: names the file that is missing, broken or does not fit the other.
    """
    if skeleton is not None and skeleton not in SKELETONS:
        raise VepeError(f"There is no skeleton '{skeleton}'; known are {', '.join(SKELETONS)}.")
    return coco_oks_ap(
        load_json(Path(gt_file)),
        load_json(Path(pred_file)),
        joints,
        skeleton=None if skeleton is None else SKELETONS[skeleton],
        sigmas=sigmas,
        sources=(str(gt_file), str(pred_file)),
    )


def evaluate_crowdpose(gt_file: str | Path, pred_file: str | Path) -> CrowdPoseResult:
    """CrowdPose's AP of a prediction file; rules as `crowdpose_ap`.

    Raises:
        VepeError: names the file that is missing, broken or does not fit the other.
    """
    gt, pred = load_json(Path(gt_file)), load_json(Path(pred_file))
    return crowdpose_ap(gt, pred, sources=(str(gt_file), str(pred_file)))


def sigmas_by_name(text: str, gt_file: str | Path) -> dict[str, float]:
    """Parses OKS sigmas '0.026,0.025,...' for the keypoints of a ground truth file, in order.

    Raises:
        VepeError: unless there is one number in (0, 10] per keypoint.
    """
    names = ground_truth_keypoints(load_json(Path(gt_file)), str(gt_file))
    return parse_sigmas(text, names, str(gt_file))


def parse_sigmas(text: str, names: Sequence[str], source: str) -> dict[str, float]:
    """Parses OKS sigmas of the keypoints `names` of a source; errors as `sigmas_by_name`."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise VepeError(f"--sigmas '{text}' is no list of numbers separated by commas.") from None
    if len(values) != len(names) or not all(map(is_sigma, values)):
        raise VepeError(
            f"--sigmas gives {len(values)} numbers; give one in (0, 10] for each of the "
            f"{len(names)} keypoints of {source}."
        )
    return dict(zip(names, values, strict=True))


def run_cocoeval(
    tables: CocoTables, image_ids: Sequence[int] | None = None, *, boxes: bool = False
) -> tuple[Any, Any]:
    """Runs pycocotools without its output.

    Args:
        image_ids: images to score, all if None.
        boxes: whether to compare `bbox` instead of `keypoints`.

    Returns:
        The ten statistics of keypoints (or twelve of boxes) as fractions (only over all images),
        and the precision array (10 thresholds, 101 recalls, 1 category, areas, detections).
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        gt, pred = COCO(), COCO()
        shared = {
            "images": [{"id": i["id"]} for i in tables.images],
            "categories": [{"id": 1, "name": "person"}],
        }
        gt.dataset = {**shared, "annotations": [_flat(a) for a in tables.people]}
        gt.createIndex()
        if tables.predictions:
            pred = gt.loadRes([_flat(a) for a in tables.predictions])
        else:  # loadRes fails on an empty list
            pred.dataset = {**shared, "annotations": []}
            pred.createIndex()
        evaluation = COCOeval(gt, pred, "bbox" if boxes else "keypoints")
        if not boxes:
            evaluation.params.kpt_oks_sigmas = tables.sigmas
        if image_ids is not None:
            evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        if image_ids is None:
            evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"]


def _flat(person: Mapping[str, Any]) -> dict[str, Any]:
    """The record as pycocotools stores it, with a flat list of keypoint values."""
    if "keypoints" not in person:
        return dict(person)
    return {**person, "keypoints": person["keypoints"].ravel().tolist()}
