"""OKS average precision of COCO, for any skeleton, with pycocotools doing the matching.

Source: the COCO keypoint evaluation (https://cocodataset.org/#keypoints-eval), through
`pycocotools.cocoeval`. Ours are only the two steps before it: keypoints are paired by name, so
that predictions of one skeleton can be scored on the ground truth of another, and pictures are
paired by file name where the prediction file lists its pictures.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from vepe.errors import VepeError
from vepe.evaluation.coco_tables import (
    CocoTables,
    ground_truth_table,
    prediction_table,
)
from vepe.skeleton import SKELETONS, Skeleton

Joints = Literal["all", "shared"]
AREA_PER_BOX = 0.53
"""Part of a box that its person fills: stands in for a missing area (CrowdPose's rule)."""


@dataclass(frozen=True)
class CocoResult:
    """COCO's ten numbers in percent (-1 where a size class holds nobody), and what was counted.

    Attributes:
        ap, ap50, ap75, ap_medium, ap_large: average precision over OKS 0.50 to 0.95, at 0.50,
            at 0.75, and for people of 32^2 to 96^2 px and above.
        ar, ar50, ar75, ar_medium, ar_large: average recall with 20 detections a picture.
        joints: names of the keypoints that were scored.
        images, people, predictions: pictures, people that count (not crowds, at least one
            labelled scored keypoint), and predicted people.
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
        """Plain numbers and lists, for JSON."""
        return {**asdict(self), "joints": list(self.joints)}


def coco_oks_ap(
    ground_truth: Mapping[str, Any],
    predictions: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    joints: Joints = "all",
    *,
    skeleton: Skeleton | None = None,
    sigmas: Mapping[str, float] | None = None,
) -> CocoResult:
    """OKS AP of predictions in memory; nothing is read or written, the arguments stay as they are.

    Args:
        ground_truth: a COCO keypoint annotation file's content.
        predictions: what `vepe predict` writes (`images`, `annotations`, `categories`), or a plain
            COCO results list, whose keypoints are then `skeleton`'s, by default the ground truth's.
        joints: 'all' asks for the same keypoints on both sides; 'shared' scores the keypoints that
            both have by name. People without a labelled scored keypoint are ignored, as COCO does.
        skeleton: the keypoints of a plain results list.
        sigmas: OKS falloff by keypoint name; default: the `sigmas` of the ground truth's category,
            else those of the known skeletons.

    Returns:
        Percentages; `area` of the ground truth is used as it stands.

    Raises:
        VepeError: if pictures, keypoints or numbers do not fit together.
    """
    tables = paired_tables(ground_truth, predictions, joints, skeleton=skeleton, sigmas=sigmas)
    stats, _ = run_cocoeval(tables)
    names = (f.name for f in fields(CocoResult)[: len(stats)])
    percent = {n: float(100 * s) if s >= 0 else -1.0 for n, s in zip(names, stats, strict=True)}
    return CocoResult(
        **percent,
        joints=tables.names,
        images=len(tables.images),
        people=count_people(tables),
        predictions=len(tables.predictions),
    )


def count_people(tables: CocoTables) -> int:
    """People that count: no crowds, at least one labelled scored keypoint."""
    return sum(1 for a in tables.people if a["num_keypoints"] and not a["iscrowd"])


def paired_tables(
    ground_truth: Mapping[str, Any],
    predictions: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    joints: Joints,
    *,
    skeleton: Skeleton | None = None,
    sigmas: Mapping[str, float] | None = None,
) -> CocoTables:
    """Ground truth and predictions reduced to the same keypoints, ready for pycocotools."""
    truth = ground_truth_table(ground_truth)
    found = prediction_table(predictions, truth, skeleton)
    if joints == "shared":
        names = tuple(n for n in truth.names if n in found.names)
        if not names:
            raise VepeError(
                "Prediction and ground truth share no keypoint by name: "
                f"{', '.join(found.names)} against {', '.join(truth.names)}."
            )
    else:
        names = truth.names
        if set(names) != set(found.names):
            raise VepeError(
                f"Predictions have other keypoints than the ground truth ({len(found.names)} "
                f"against {len(names)}); use --joints shared to score those that both have."
            )
    keypoint_sigmas = {**_known_sigmas(), **truth.sigmas, **(sigmas or {})}
    unknown = [n for n in names if n not in keypoint_sigmas]
    if unknown:
        raise VepeError(
            f"No OKS sigma is known for keypoint {', '.join(unknown)}; put 'sigmas' into the "
            "category of the ground truth or give --sigmas."
        )
    bare = [a["source_id"] for a in truth.people if "area" not in a]
    if bare:
        warnings.warn(
            f"{len(bare)} people of the ground truth have no area (first: annotation {bare[0]}); "
            f"{AREA_PER_BOX} of the box is used.",
            stacklevel=2,
        )
    recount = joints == "shared" and names != truth.names
    return CocoTables(
        names=names,
        sigmas=np.array([keypoint_sigmas[n] for n in names], np.float64),
        images=truth.images,
        people=tuple(_reduced_person(a, truth.names, names, recount) for a in truth.people),
        predictions=tuple(_reduced(a, found.names, names) for a in found.people),
    )


def run_cocoeval(tables: CocoTables, image_ids: Sequence[int] | None = None) -> tuple[Any, Any]:
    """Runs pycocotools silently: (ten stats as fractions, the precision array)."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [dict(i) for i in tables.images],
            "annotations": [dict(a) for a in tables.people],
            "categories": [{"id": 1, "name": "person"}],
        }
        truth.createIndex()
        found = truth.loadRes([dict(a) for a in tables.predictions]) if tables.predictions else None
        if found is None:
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "keypoints")
        evaluation.params.kpt_oks_sigmas = tables.sigmas
        if image_ids is not None:
            evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        if image_ids is None:
            evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"]


def _known_sigmas() -> dict[str, float]:
    return {n: s for k in SKELETONS.values() for n, s in zip(k.keypoints, k.sigmas, strict=True)}


def _reduced(person: Mapping[str, Any], source: tuple[str, ...], names: tuple[str, ...]) -> Any:
    """The annotation with only the keypoints `names`, in that order."""
    if source == names:
        return dict(person)
    index = [source.index(n) for n in names]
    keypoints = np.asarray(person["keypoints"], np.float64).reshape(-1, 3)[index]
    return {**person, "keypoints": keypoints.ravel().tolist()}


def _reduced_person(
    person: Mapping[str, Any], source: tuple[str, ...], names: tuple[str, ...], recount: bool
) -> dict[str, Any]:
    """A ground truth person as pycocotools wants it: keypoints reduced and counted, an area."""
    result = _reduced(person, source, names)
    labelled = sum(1 for v in result["keypoints"][2::3] if v > 0)
    result["num_keypoints"] = labelled if recount else result.get("num_keypoints", labelled)
    result["iscrowd"] = int(result.get("iscrowd", 0))
    if "area" not in result:
        result["area"] = AREA_PER_BOX * result["bbox"][2] * result["bbox"][3]
    return result
