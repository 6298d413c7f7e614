"""Fields that all COCO-like files share, read with errors that name the file and the frame."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vepe.errors import VepeError, VepeWarning
from vepe.formats.annotations import AnnotatedFrame, Person


class NoPosesError(VepeError):
    """A readable file that holds something else than poses: lists, settings, captions.

    Readers of folders skip such a file with a warning.
    """


_IMAGE_KEYS = frozenset({
    "id", "file_name", "is_labeled", "width", "height", "time_s",
    "ignore_regions_x", "ignore_regions_y",
})  # fmt: skip

ANNOTATION_KEYS = frozenset({
    "id", "image_id", "track_id", "bbox", "keypoints", "scores", "score",
})  # fmt: skip
"""Keys of an annotation that have their own field in `Person`; others go to `extra`."""


def keypoint_names(data: Any, source: Path) -> list[str]:
    """Names of the keypoints, from the category 'person' or the first one with keypoints.

    Raises:
        VepeError: if the document is no COCO-like file, or no category has keypoints.
    """
    names = _keypoint_category(data, source)["keypoints"]
    if not isinstance(names, list) or len(set(map(str, names))) != len(names):
        raise VepeError(f"{source}: the category's keypoint names must be a list of unique names.")
    return [str(name) for name in names]


def _keypoint_category(data: Any, source: Path) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise NoPosesError(f"{source} is not a JSON object with 'images'; check what it is.")
    categories = data.get("categories")
    if not isinstance(categories, list) or not categories:
        raise VepeError(f"{source} has no 'categories'; add the category with its keypoint names.")
    candidates = [c for c in categories if isinstance(c, dict) and c.get("keypoints")]
    candidates = [c for c in candidates if c.get("name") == "person"] or candidates
    if not candidates:
        raise NoPosesError(f"{source}: no category has keypoint names; add them to 'categories'.")
    category: dict[str, Any] = candidates[0]
    return category


def _other_categories(data: dict[str, Any], source: Path) -> list[Any]:
    """Ids of the other categories with keypoints; their people have another skeleton."""
    own = _keypoint_category(data, source)
    able = [c for c in data["categories"] if isinstance(c, dict) and c.get("keypoints")]
    return [c["id"] for c in able if c.get("id") not in (None, own.get("id"))]


def image_table(data: dict[str, Any], source: Path) -> list[dict[str, Any]]:
    """The list `images`, each with a unique integer `id` (1.0 becomes 1).

    Raises:
        VepeError: if there is no such list, or an id is missing, too large or used twice.
    """
    images = data.get("images")
    if not isinstance(images, list):
        raise VepeError(f"{source} has no list 'images'; write the file again.")
    used_ids: set[int] = set()
    for i, image in enumerate(images):
        image_id: Any = image.get("id") if isinstance(image, dict) else None
        if not is_finite_number(image_id) or image_id != int(image_id):
            raise VepeError(f"{source}, frame {i}: the image has no integer 'id'; add one.")
        if abs(image_id) >= 2**63:
            raise VepeError(
                f"{source}, frame {i}: image id {image_id} has more than 63 bits; renumber."
            )
        image["id"] = image_id = int(image_id)
        if image_id in used_ids:
            raise VepeError(f"{source}, frame {i}: image id {image_id} is used twice; renumber.")
        used_ids.add(image_id)
    return images


def annotation_table(
    data: dict[str, Any], source: Path, images: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[int]]:
    """The annotations of the keypoint category, and for each the position of its image.

    Annotations of another category with keypoints are left out, with a warning.

    Raises:
        VepeError: if there is no such list, or an annotation refers to a missing image.
    """
    annotations = data.get("annotations")
    if not isinstance(annotations, list):
        raise VepeError(f"{source} has no list 'annotations'; write the file again.")
    others = _other_categories(data, source)
    if others:
        every = annotations
        annotations = [
            r for r in every if not (isinstance(r, dict) and r.get("category_id") in others)
        ]
        if len(annotations) < len(every):
            warnings.warn(
                f"{source}: {len(every) - len(annotations)} annotations of other categories with "
                "keypoints are left out.",
                VepeWarning,
                stacklevel=2,
            )
    position_of = {image["id"]: i for i, image in enumerate(images)}
    positions = []
    for i, record in enumerate(annotations):
        image_id = record.get("image_id") if isinstance(record, dict) else None
        if not is_finite_number(image_id) or image_id not in position_of:
            raise VepeError(
                f"{source}: annotation {i} refers to image {image_id!r}, which is not in 'images'; "
                "add the image or remove the annotation."
            )
        positions.append(position_of[image_id])
    return annotations, positions


def keypoint_array(
    records: list[dict[str, Any]], num_keypoints: int, where: list[str]
) -> Float[np.ndarray, "N K 3"]:
    """x, y and v of every record; zeros if a record has no keypoints.

    Args:
        where: how messages name each record.

    Raises:
        VepeError: if a list has another length, or a value is not a finite number.
    """
    zeros = [0.0] * (3 * num_keypoints)
    array = _array([r.get("keypoints") or zeros for r in records], 3 * num_keypoints, where,
                   f"keypoints (x, y, v for {num_keypoints})")  # fmt: skip
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise VepeError(
            f"{where[row]}: keypoint {column // 3} has the coordinate {array[row, column]}; "
            "give a finite number, or 0, 0, 0 for a missing point."
        )
    return array.reshape(-1, num_keypoints, 3)


def score_array(
    records: list[dict[str, Any]], num_keypoints: int, where: list[str]
) -> Float[np.ndarray, "N K"]:
    """Keypoint scores, NaN if a record has none (`scores` missing, empty or null inside)."""
    nan = [np.nan] * num_keypoints
    lists = [r.get("scores") or nan for r in records]
    array = _array(lists, num_keypoints, where, "scores")
    bad = ~np.isfinite(array)
    if bad.any():
        for row in np.flatnonzero(bad.any(axis=1)):
            scores = lists[row]
            if scores is not nan and not all(s is None or is_finite_number(s) for s in scores):
                raise VepeError(f"{where[row]}: a keypoint's score is not finite; give a number.")
    return array


def _array(
    lists: list[Any], length: int, where: list[str], what: str
) -> Float[np.ndarray, "N length"]:
    if not lists:
        return np.zeros((0, length))
    try:
        array = np.asarray(lists, np.float64).reshape(len(lists), -1)
        if array.shape[1] == length:
            return array.reshape(len(lists), length)
    except (TypeError, ValueError, OverflowError):
        pass
    for row, values in enumerate(lists):
        if not isinstance(values, list) or len(values) != length:
            count = len(values) if isinstance(values, list) else "no list of"
            raise VepeError(
                f"{where[row]}: {count} numbers in {what} instead of {length}; fix the record."
            )
        for value in values:
            if not (value is None or isinstance(value, float) or is_finite_number(value)):
                shown = repr(value)[:40]
                raise VepeError(f"{where[row]}: {what} contain {shown}, not a number; fix it.")
    raise VepeError(f"{where[0]}: {what} cannot be read as numbers; write the file again.")


def is_finite_number(value: Any) -> bool:
    """Whether a JSON value is a number (no boolean) that float64 can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def number_or_none(value: Any, what: str, place: str) -> float | None:
    """A finite number, or None for a missing one. Raises VepeError otherwise."""
    if value is None:
        return None
    if not is_finite_number(value):
        shown = repr(value)[:40]
        raise VepeError(f"{place}: {what} is {shown}; give a finite number or leave it out.")
    return float(value)


def whole_or_none(value: Any, what: str, place: str) -> int | None:
    """An integer, or None for a missing one. Raises VepeError otherwise."""
    if value is None or (type(value) is int and abs(value) < 2**63):
        return value
    number = number_or_none(value, what, place)
    if number is None or number != int(number) or abs(number) >= 2**63:
        raise VepeError(f"{place}: {what} is {value!r}; give an integer or leave it out.")
    return int(number)


def _side_or_none(value: Any, what: str, place: str) -> int | None:
    """A side of an image in px, or None for a missing one. Raises VepeError otherwise."""
    side = whole_or_none(value, what, place)
    if side is not None and abs(side) >= 2**31:
        raise VepeError(f"{place}: {what} is {side}; give the image's size in pixels.")
    return side


def flag_or_none(value: Any, what: str, place: str) -> bool | None:
    """True or false (or a number for it), or None for a missing one. Raises VepeError otherwise."""
    if value is None or isinstance(value, bool | int | float | np.number | np.bool_):
        return None if value is None else bool(value)
    raise VepeError(f"{place}: {what} is {value!r}; give true or false.")


def track_id_or_none(value: Any, place: str) -> int | None:
    """A track id; None if it is missing, null or -1 (our results' value for none)."""
    track_id = whole_or_none(value, "track_id", place)
    return None if track_id == -1 else track_id


def box_of(value: Any, what: str, place: str) -> Float[np.ndarray, "4"] | None:
    """A box of four finite numbers, or None for a missing or empty one. Raises otherwise."""
    if value is None or value == []:
        return None
    try:
        box = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        box = np.zeros(0)
    if box.shape != (4,) or not np.isfinite(box).all():
        shown = repr(value)[:60]
        raise VepeError(f"{place}: {what} is {shown}; give x, y, width and height.")
    return box


def ignore_regions(image: dict[str, Any], place: str) -> tuple[Float[np.ndarray, "V 2"], ...]:
    """Polygons from `ignore_regions_x` and `ignore_regions_y` (lists of lists, or one list).

    Raises:
        VepeError: if the two differ in length or a value is not a number.
    """
    xs, ys = image.get("ignore_regions_x") or [], image.get("ignore_regions_y") or []
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise VepeError(f"{place}: ignore_regions_x and _y differ in length; fix the record.")
    if xs and not isinstance(xs[0], list):
        xs, ys = [xs], [ys]
    polygons = []
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        try:
            polygon = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], axis=1)
        except (TypeError, ValueError, OverflowError):
            polygon = np.full((1, 2), np.nan)
        if not np.isfinite(polygon).all():
            raise VepeError(f"{place}: ignore region {i} has uneven or wrong numbers; fix it.")
        polygons.append(polygon)
    return tuple(polygons)


def read_frame(
    image: dict[str, Any], index: int, people: list[Person], place: str
) -> AnnotatedFrame:
    """One record of `images` with its people.

    Args:
        image: the record; keys without their own field go to `extra`.
        index: frame number in its video, from 0.
        people: the people of this frame.
        place: file and frame, for messages.
    """
    labeled = flag_or_none(image.get("is_labeled"), "is_labeled", place)
    return AnnotatedFrame(
        index=index,
        file_name=str(image.get("file_name", "")),
        image_id=image["id"],
        is_labeled=bool(people) if labeled is None else labeled,
        has_annotations=bool(people),
        people=tuple(people),
        ignore_regions_px=ignore_regions(image, place),
        width=_side_or_none(image.get("width"), "width", place),
        height=_side_or_none(image.get("height"), "height", place),
        time_s=number_or_none(image.get("time_s"), "time_s", place),
        states_labeled=labeled is not None,
        extra={k: v for k, v in image.items() if k not in _IMAGE_KEYS},
    )
