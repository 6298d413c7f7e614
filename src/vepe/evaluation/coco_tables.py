"""COCO keypoint annotations and results, checked and brought to one form before they are scored."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from vepe.errors import VepeError
from vepe.skeleton import Skeleton


@dataclass(frozen=True)
class KeypointTable:
    """People of one side: `names` of their keypoints, pictures, annotations, sigmas where given."""

    names: tuple[str, ...]
    images: tuple[Mapping[str, Any], ...]
    people: tuple[Mapping[str, Any], ...]
    sigmas: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CocoTables:
    """Both sides on the same keypoints, as pycocotools wants them (category 1, ids from 1)."""

    names: tuple[str, ...]
    sigmas: Float[np.ndarray, "K"]
    images: tuple[Mapping[str, Any], ...]
    people: tuple[Mapping[str, Any], ...]
    predictions: tuple[Mapping[str, Any], ...]


def ground_truth_table(data: Mapping[str, Any], source: str = "The ground truth") -> KeypointTable:
    """People of a COCO annotation file. Raises VepeError where a part is missing or not finite."""
    for part in ("images", "annotations", "categories"):
        if not isinstance(data, Mapping) or not isinstance(data.get(part), list):
            raise VepeError(f"{source} has no list '{part}'; it is no COCO keypoint file.")
    if not data["images"]:
        raise VepeError(f"{source} lists no pictures.")
    category = _person_category(data["categories"], source)
    names = tuple(str(n) for n in category["keypoints"])
    sigmas = dict(zip(names, category.get("sigmas") or (), strict=False))
    known = {i["id"] for i in data["images"]}
    people: list[dict[str, Any]] = []
    for k, person in enumerate(data["annotations"]):
        if person.get("category_id", category["id"]) != category["id"]:
            continue
        where = f"{source}, annotation {person.get('id', k)}"
        if person.get("image_id") not in known:
            raise VepeError(f"{where} names picture {person.get('image_id')}, which is not listed.")
        keypoints = _keypoints(person, len(names), where, blank=True)
        # Ids start at 1: pycocotools takes a match with annotation id 0 for no match.
        entry = {**person, "id": len(people) + 1, "source_id": person.get("id", k)}
        entry |= {"category_id": 1, "keypoints": keypoints, "iscrowd": person.get("iscrowd", 0)}
        entry.setdefault("bbox", _extent(keypoints))
        people.append(entry)
    return KeypointTable(names, tuple(data["images"]), tuple(people), sigmas)


def prediction_table(
    data: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    truth: KeypointTable,
    skeleton: Skeleton | None = None,
    source: str = "The prediction",
) -> KeypointTable:
    """Predicted people on the ground truth's picture ids.

    Raises VepeError on unknown pictures, wrong lengths and numbers that are not finite; warns of
    pictures that the ground truth does not have, whose people are left out.
    """
    if isinstance(data, Mapping):
        if not isinstance(data.get("annotations"), list):
            raise VepeError(f"{source} has no list 'annotations'; give COCO results.")
        annotations = data["annotations"]
        if skeleton is None and data.get("categories"):
            category = _person_category(data["categories"], source)
            names, category_id = tuple(str(n) for n in category["keypoints"]), category["id"]
        else:
            names, category_id = (skeleton.keypoints if skeleton else truth.names), None
        image_ids = _image_ids(data.get("images") or [], truth, source)
    else:
        annotations, category_id = data, None
        names = skeleton.keypoints if skeleton else truth.names
        image_ids = {i["id"]: i["id"] for i in truth.images}
    people = []
    for k, person in enumerate(annotations):
        if category_id is not None and person.get("category_id", category_id) != category_id:
            continue
        where = f"{source}, person {k} (picture {person.get('image_id')})"
        if person.get("image_id") not in image_ids:
            raise VepeError(f"{where}: the ground truth has no such picture.")
        image_id = image_ids[person["image_id"]]
        if image_id is None:
            continue
        score = person.get("score")
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise VepeError(f"{where}: its score is {score!r}; give a finite number.")
        keypoints = _keypoints(person, len(names), where)
        people.append(
            {"image_id": image_id, "category_id": 1, "keypoints": keypoints, "score": float(score)}
        )
    return KeypointTable(names, truth.images, tuple(people))


def _person_category(categories: Sequence[Mapping[str, Any]], source: str) -> Mapping[str, Any]:
    """The category with keypoints; the one named 'person' where there are several."""
    found = [c for c in categories if c.get("keypoints")]
    person = [c for c in found if c.get("name") == "person"] or found
    if not person:
        raise VepeError(f"{source} has no category with 'keypoints'; it is no keypoint file.")
    if len(person) > 1:
        raise VepeError(f"{source} has several categories with keypoints and none named 'person'.")
    return person[0]


def _image_ids(
    images: Sequence[Mapping[str, Any]], truth: KeypointTable, source: str
) -> dict[Any, Any]:
    """Picture id of the prediction file -> the ground truth's, or None where that has no such one.

    Pictures are paired by their whole file name, then by the last part of it; ids count only where
    a file name is missing, because `vepe predict` numbers the pictures it was given.
    """
    if not images:
        return {i["id"]: i["id"] for i in truth.images}
    whole = {str(i["file_name"]): i["id"] for i in truth.images if i.get("file_name")}
    last: dict[str, list[Any]] = {}
    for name, image_id in whole.items():
        last.setdefault(PurePosixPath(name).name, []).append(image_id)
    known = {i["id"] for i in truth.images}
    result: dict[Any, Any] = {}
    for image in images:
        name = str(image.get("file_name") or "")
        short = last.get(PurePosixPath(name).name, [])
        if name in whole:
            result[image["id"]] = whole[name]
        elif name and whole:
            if len(short) > 1:
                raise VepeError(
                    f"{source}: picture '{name}' fits {len(short)} pictures of the ground truth; "
                    "write the file names as the ground truth does."
                )
            result[image["id"]] = short[0] if short else None
        else:
            result[image["id"]] = image["id"] if image["id"] in known else None
    strangers = sum(v is None for v in result.values())
    if strangers == len(result):
        raise VepeError(f"{source} and the ground truth have no picture in common.")
    if strangers:
        warnings.warn(f"{strangers} predicted pictures are not in the ground truth.", stacklevel=2)
    return result


def _keypoints(
    person: Mapping[str, Any], count: int, where: str, *, blank: bool = False
) -> list[float]:
    """Flat x, y, third of `count` keypoints; `blank` lets people without any through as zeros."""
    value = person.get("keypoints")
    if not value and blank:
        return [0.0] * (3 * count)
    if not isinstance(value, list) or len(value) != 3 * count:
        size = len(value) if isinstance(value, list) else "no"
        raise VepeError(f"{where} has {size} keypoint values; {3 * count} are expected.")
    if not np.isfinite(np.asarray(value, np.float64)).all():
        raise VepeError(f"{where} has keypoints that are not finite numbers.")
    return value


def _extent(keypoints: Sequence[float]) -> list[float]:
    """Box x, y, w, h around the labelled keypoints; zeros where there are none."""
    points = np.asarray(keypoints, np.float64).reshape(-1, 3)
    points = points[points[:, 2] > 0, :2]
    if not len(points):
        return [0.0, 0.0, 0.0, 0.0]
    low, high = points.min(0), points.max(0)
    return [*low.tolist(), *(high - low).tolist()]
