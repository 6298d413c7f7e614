"""Reads COCO keypoint annotations and results, and checks every record that scores depend on.

Errors are one sentence that names the file and the record. The rest of the package only sees the
checked records.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from vepe.errors import VepeError, VepeWarning
from vepe.formats.records import box_of, is_finite_number, number_or_none, whole_or_none
from vepe.skeleton import Skeleton

ImageId = int | str
Record = Mapping[str, Any]

MAX_COORDINATE = 1e7
"""Coordinates and sizes beyond this are errors of the file; they would overflow OKS."""


@dataclass(frozen=True)
class CocoSide:
    """The checked people of one side.

    Attributes:
        names: their keypoints.
        people: records with `image_id` and `keypoints` (K, 3), and `score` or the fields of
            `_read_person`; image ids are numbers from 0.
        image_ids: the file's image id -> its number (ground truth only, as all below).
        images: image records with the numbers as ids.
        sigmas: OKS falloffs that the category states.
        other_categories: ids of the other categories, whose records are left out.
    """

    names: tuple[str, ...]
    people: tuple[dict[str, Any], ...]
    image_ids: dict[ImageId, int] = field(default_factory=dict)
    images: tuple[Record, ...] = ()
    sigmas: Mapping[str, float] = field(default_factory=dict)
    other_categories: tuple[Any, ...] = ()


def ground_truth_keypoints(gt: Any, source: str) -> tuple[str, ...]:
    """Keypoint names of a COCO annotation file. Raises VepeError if there are none."""
    return tuple(
        _keypoint_category(_list_of_records(gt, "categories", source), source)["keypoints"]
    )


def read_ground_truth(data: Any, source: str, skeleton: Skeleton | None) -> CocoSide:
    """The people of the keypoint category of an annotation file.

    Args:
        data: content of the file.
        source: how messages name it.
        skeleton: decides between several categories with keypoints if none is named 'person'.

    Raises:
        VepeError: on a missing list, or a record with a wrong type, length or range.
    """
    images = _list_of_records(data, "images", source)
    records = _list_of_records(data, "annotations", source)
    categories = _list_of_records(data, "categories", source)
    if not images:
        raise VepeError(f"{source} lists no images.")
    category = _keypoint_category(categories, source, skeleton)
    names = tuple(category["keypoints"])
    image_ids, images = _number_images(images, source)
    own_id, num_others = category.get("id"), 0
    people: list[dict[str, Any]] = []
    for index, record in enumerate(records):
        if record.get("category_id", own_id) != own_id:
            num_others += 1
            continue
        place = f"{source}, annotation {record.get('id', index)}"
        image_id = _image_id(record.get("image_id"), place)
        if image_id not in image_ids:
            raise VepeError(f"{place} names image {image_id}, which is not listed.")
        person = _read_person(record, len(names), place)
        # Ids start at 1: pycocotools takes a match with annotation id 0 for no match.
        person |= {"id": len(people) + 1, "image_id": image_ids[image_id], "category_id": 1}
        people.append(person)
    if num_others:
        warn(
            f"{source}: {num_others} annotations of other categories than "
            f"'{category.get('name')}' are left out."
        )
    return CocoSide(
        names,
        tuple(people),
        image_ids,
        images,
        sigmas=_category_sigmas(category, source),
        other_categories=_other_ids(categories, category),
    )


def _read_person(record: Record, num_keypoints: int, place: str) -> dict[str, Any]:
    """The checked fields of a ground truth annotation that scores depend on."""
    box = box_of(record.get("bbox"), "bbox", place)
    if box is not None and not ((box[2:] >= 0).all() and np.abs(box).max() <= MAX_COORDINATE):
        raise VepeError(f"{place}: bbox is {record['bbox']}; give x, y, width and height in px.")
    area = number_or_none(record.get("area"), "area", place)
    if area is not None and not 0 <= area <= MAX_COORDINATE**2:
        raise VepeError(f"{place}: area is {area:g}; give the area of the person in square px.")
    crowd = record.get("iscrowd")
    if not isinstance(crowd, bool):
        crowd = whole_or_none(crowd, "iscrowd", place)
    return {
        "place": place,
        "keypoints": _keypoints(record.get("keypoints"), num_keypoints, place, optional=True),
        "num_keypoints": whole_or_none(record.get("num_keypoints"), "num_keypoints", place),
        "iscrowd": int(crowd or 0),
        "bbox": None if box is None else box.tolist(),
        "area": area,
    }


def read_predictions(data: Any, gt: CocoSide, skeleton: Skeleton | None, source: str) -> CocoSide:
    """Predicted people on the image numbers of the ground truth.

    Args:
        data: what `vepe predict` writes, or a list of COCO results.
        gt: the ground truth.
        skeleton: keypoints of the predictions; default: those of the file's category, else of the
            ground truth.
        source: how messages name the file.

    Raises:
        VepeError: on an unknown image, or a record with a wrong type, length or range.
    """
    names, others = (skeleton.keypoints if skeleton else gt.names), gt.other_categories
    image_ids: Mapping[ImageId, int | None] = gt.image_ids
    if isinstance(data, Mapping):
        records = _list_of_records(data, "annotations", source)
        if skeleton is None and data.get("categories"):
            categories = _list_of_records(data, "categories", source)
            category = _keypoint_category(categories, source)
            names, others = tuple(category["keypoints"]), _other_ids(categories, category)
        if data.get("images"):
            image_ids = _pair_images(_list_of_records(data, "images", source), gt, source)
    else:
        records = _records(data, f"{source} is not a list of COCO results")
    people = []
    for index, record in enumerate(records):
        if record.get("category_id") in others:
            continue
        place = f"{source}, person {index} (image {record.get('image_id')})"
        image_id = _image_id(record.get("image_id"), place)
        if image_id not in image_ids:
            raise VepeError(f"{place}: the ground truth has no such image.")
        if image_ids[image_id] is None:
            continue
        score: Any = record.get("score")
        if not is_finite_number(score):
            raise VepeError(f"{place}: its score is {_shown(score)}; give a finite number.")
        points = _keypoints(record.get("keypoints"), len(names), place)
        people.append(
            {
                "image_id": image_ids[image_id],
                "category_id": 1,
                "keypoints": points,
                "score": float(score),
            }
        )
    return CocoSide(names, tuple(people))


def _records(value: Any, message: str) -> Sequence[Record]:
    """The value, which has to be a list of JSON objects."""
    if not isinstance(value, list | tuple):
        raise VepeError(f"{message}; check what it is.")
    for index, record in enumerate(value):
        if not isinstance(record, Mapping):
            raise VepeError(f"{message}: entry {index} is {_shown(record)}, not an object.")
    return value


def _list_of_records(data: Any, part: str, source: str) -> Sequence[Record]:
    message = f"{source} has no list '{part}' of COCO records"
    return _records(data.get(part) if isinstance(data, Mapping) else None, message)


def _image_id(value: Any, place: str) -> ImageId:
    """An image id: a whole number (1.0 counts as 1), or a string."""
    image_id = value if isinstance(value, str) else whole_or_none(value, "image_id", place)
    if image_id is None:
        raise VepeError(f"{place} has no image id; add it.")
    return image_id


def _number_images(
    images: Sequence[Record], source: str
) -> tuple[dict[ImageId, int], tuple[Record, ...]]:
    """The rank of each image id, and the images with these as ids.

    pycocotools goes through images in order of id, which decides ties of scores between images.
    """
    by_id: dict[ImageId, Record] = {}
    for index, image in enumerate(images):
        image_id = _image_id(image.get("id"), f"{source}, image {index}")
        if image_id in by_id:
            raise VepeError(f"{source}: image id {image_id} is used twice; renumber the images.")
        by_id[image_id] = image
    ordered = sorted(by_id, key=lambda i: (isinstance(i, str), i))
    ranks = {image_id: rank for rank, image_id in enumerate(ordered)}
    return ranks, tuple({**by_id[image_id], "id": ranks[image_id]} for image_id in ordered)


def _pair_images(images: Sequence[Record], gt: CocoSide, source: str) -> dict[ImageId, int | None]:
    """Image id of the prediction file -> number of the ground truth's image, None without one.

    Images are paired by their whole file name, then by its last part. Ids count only where a file
    name is missing, because `vepe predict` numbers the images that it was given.
    """
    whole = {str(i["file_name"]): i["id"] for i in gt.images if i.get("file_name")}
    last: dict[str, list[int]] = {}
    for name, number in whole.items():
        last.setdefault(PurePosixPath(name).name, []).append(number)
    result: dict[ImageId, int | None] = {}
    for index, image in enumerate(images):
        image_id = _image_id(image.get("id"), f"{source}, image {index}")
        if image_id in result:
            raise VepeError(f"{source}: image id {image_id} is used twice; renumber the images.")
        name = str(image.get("file_name") or "")
        candidates = last.get(PurePosixPath(name).name, [])
        if name in whole:
            result[image_id] = whole[name]
        elif name and whole:
            if len(candidates) > 1:
                raise VepeError(
                    f"{source}: image '{name}' fits {len(candidates)} images of the ground truth; "
                    "write the file names as the ground truth does."
                )
            result[image_id] = candidates[0] if candidates else None
        else:
            result[image_id] = gt.image_ids.get(image_id)
    unknown = sum(v is None for v in result.values())
    if unknown == len(result):
        raise VepeError(f"{source} and the ground truth have no image in common.")
    if unknown:
        warn(f"{unknown} predicted images are not in the ground truth.")
    return result


def _keypoint_category(
    categories: Sequence[Record], source: str, skeleton: Skeleton | None = None
) -> Record:
    """The category whose people are scored.

    Among several with keypoints: the one named 'person', else the one with the given skeleton.
    """
    candidates = [c for c in categories if c.get("keypoints")]
    if not candidates:
        raise VepeError(f"{source} has no category with 'keypoints'; it is no keypoint file.")
    for category in candidates:
        names = category["keypoints"]
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise VepeError(f"{source}: 'keypoints' of a category is no list of names.")
        if len(set(names)) != len(names):
            raise VepeError(f"{source}: a category names a keypoint twice; names must be unique.")
    if len(candidates) > 1:
        given = list(skeleton.keypoints) if skeleton else None
        candidates = (
            [c for c in candidates if c.get("name") == "person"]
            or [c for c in candidates if c["keypoints"] == given]
            or candidates
        )
    if len(candidates) > 1:
        raise VepeError(
            f"{source} has several categories with keypoints and none named 'person'; name the "
            "one to score 'person', or choose it with --skeleton."
        )
    return candidates[0]


def _other_ids(categories: Sequence[Record], category: Record) -> tuple[Any, ...]:
    ids = (c["id"] for c in categories if c is not category and "id" in c)
    return tuple(i for i in ids if i is not None and i != category.get("id"))


def is_sigma(value: Any) -> bool:
    """Whether a value is a usable OKS falloff (COCO's lie between 0.025 and 0.107)."""
    return is_finite_number(value) and 1e-6 <= value <= 10


def _category_sigmas(category: Record, source: str) -> dict[str, float]:
    sigmas = category.get("sigmas") or ()
    if not isinstance(sigmas, list | tuple) or not all(map(is_sigma, sigmas)):
        raise VepeError(f"{source}: 'sigmas' of the category is no list of numbers in (0, 10].")
    return dict(zip(category["keypoints"], map(float, sigmas), strict=False))


_NUMBERS = {int, float}


def _keypoints(
    value: Any, count: int, place: str, *, optional: bool = False
) -> Float[np.ndarray, "K 3"]:
    """x, y and a third number of `count` keypoints; zeros for an `optional` one that is missing."""
    if not value and optional:
        return np.zeros((count, 3))
    if not isinstance(value, list) or len(value) != 3 * count:
        size = len(value) if isinstance(value, list) else "no"
        raise VepeError(f"{place} has {size} keypoint values; {3 * count} are expected.")
    if _NUMBERS.issuperset(map(type, value)):
        with suppress(OverflowError):
            numbers = np.array(value, np.float64)
            if (np.abs(numbers) <= MAX_COORDINATE).all():  # NaN is not
                return numbers.reshape(count, 3)
    for number in value:
        if not (is_finite_number(number) and abs(number) <= MAX_COORDINATE):
            raise VepeError(
                f"{place} has the keypoint value {_shown(number)}; give a finite number of pixels."
            )
    return np.asarray(value, np.float64).reshape(count, 3)


def _shown(value: Any) -> str:
    """The value as messages show it, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def warn(text: str) -> None:
    """A warning about the data, for the user."""
    warnings.warn(text, VepeWarning, stacklevel=3)
