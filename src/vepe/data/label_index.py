"""The labels of a data set as a few flat arrays, so that workers and processes share them.

Python objects would be copied into every worker as soon as it reads them (their reference counts
are stored next to them); arrays are not, and can be mapped from a file. Here, too, labels get what
training needs and files may lack: boxes, areas, and boxes that cover ignore regions.

Dimension letters: F frames, N people, K keypoints, R ignore boxes, all of the whole data set.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vepe.data.clip import People
from vepe.errors import VepeError, VepeWarning
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.geometry import coco_visibility, xywh_to_xyxy
from vepe.skeleton import keypoint_difference

UNKNOWN, NO, YES = -1, 0, 1
"""Values of `LabelIndex.complete`."""
AREA_OF_BOX = 0.53
"""Area of COCO's segments relative to their boxes, as CrowdPose's and PoseTrack18's tools assume
(`area = 0.53 * width * height` in xtcocotools)."""
BOX_OF_POINTS = 1.3
"""Side of a body box relative to the extent of its keypoints, as in PoseTrack18's files."""
MIN_BOX_PX = 2.0
"""A box with a shorter side is a placeholder if the person's keypoints extend further."""
MAX_BANDS = 8
"""Largest number of horizontal bands into which a polygon is cut."""
BAND_PX = 32
"""Minimum height of a band; small polygons stay one box."""
_GRID = 256


@dataclass(frozen=True)
class LabelIndex:
    """All frames of a data set, in the order of its files.

    Attributes:
        keypoints: K names, in the order of the data set's own skeleton.
        places: folders that image names are relative to, or tar files that contain the images.
        text, name_ends: image names, UTF-8, concatenated; name i ends at `name_ends[i]`.
        place: (F,) index into `places`.
        offsets, sizes: (F,) position of an image's bytes in a tar; -1 for plain files.
        video: (F,) number of the video; -1 for a single image.
        frame_index: (F,) number of the frame in its video.
        time_s: (F,) timestamp, NaN where unknown.
        labelled: (F,) whether the people of this frame are labelled.
        complete: (F,) YES or NO where the data set says whether everybody in view is labelled,
            else UNKNOWN.
        stretched: (F,) whether the image was resized to a square, so that its aspect is unknown.
        size_wh_px: (F, 2) of the image, 0 where unknown.
        people_ends, ignore_ends: (F,) where the people and ignore boxes of frame i end.
        keypoints_px, visibility, boxes_xyxy_px, areas_px, track_ids, head_boxes_xyxy_px: (N, ...)
            as in `People`; head boxes are NaN where unknown.
        ignore_xyxy_px: (R, 4).
    """

    keypoints: tuple[str, ...]
    places: tuple[str, ...]
    text: UInt8[np.ndarray, "bytes"]
    name_ends: Int[np.ndarray, "F"]
    place: Int[np.ndarray, "F"]
    offsets: Int[np.ndarray, "F"]
    sizes: Int[np.ndarray, "F"]
    video: Int[np.ndarray, "F"]
    frame_index: Int[np.ndarray, "F"]
    time_s: Float[np.ndarray, "F"]
    labelled: Bool[np.ndarray, "F"]
    complete: Int[np.ndarray, "F"]
    stretched: Bool[np.ndarray, "F"]
    size_wh_px: Int[np.ndarray, "F 2"]
    people_ends: Int[np.ndarray, "F"]
    ignore_ends: Int[np.ndarray, "F"]
    keypoints_px: Float[np.ndarray, "N K 2"]
    visibility: UInt8[np.ndarray, "N K"]
    boxes_xyxy_px: Float[np.ndarray, "N 4"]
    areas_px: Float[np.ndarray, "N"]
    track_ids: Int[np.ndarray, "N"]
    head_boxes_xyxy_px: Float[np.ndarray, "N 4"]
    ignore_xyxy_px: Float[np.ndarray, "R 4"]

    def __len__(self) -> int:
        return len(self.place)

    def name(self, frame: int) -> str:
        """The image's name, relative to its place."""
        return bytes(self.text[_span(self.name_ends, frame)]).decode()

    def people_counts(self) -> Int[np.ndarray, "F"]:
        """Number of labelled people in every frame."""
        return np.diff(self.people_ends, prepend=0)

    def people(self, frame: int) -> People:
        """The people of a frame, in the data set's own skeleton."""
        span = _span(self.people_ends, frame)
        return People(
            keypoints_px=np.array(self.keypoints_px[span]),
            visibility=self.visibility[span].astype(np.int64),
            boxes_xyxy_px=np.array(self.boxes_xyxy_px[span]),
            areas_px=np.array(self.areas_px[span]),
            track_ids=np.array(self.track_ids[span]),
            ignore_boxes_xyxy_px=np.array(self.ignore_xyxy_px[_span(self.ignore_ends, frame)]),
            head_boxes_xyxy_px=np.array(self.head_boxes_xyxy_px[span]),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        return {f.name: getattr(self, f.name) for f in fields(LabelIndex) if f.name not in _NAMES}

    def digest(self) -> str:
        """A short hash of the labels; does not depend on where the files are."""
        sha = hashlib.sha256(repr(self.keypoints).encode())
        for name, array in self.arrays().items():
            if name not in ("place", "offsets"):
                sha.update(np.ascontiguousarray(array).view(np.uint8).data)
        return sha.hexdigest()[:16]


_NAMES = ("keypoints", "places")


def _span(ends: np.ndarray, row: int) -> slice:
    return slice(int(ends[row - 1]) if row else 0, int(ends[row]))


@dataclass(frozen=True)
class Located:
    """A sequence and where its images are.

    Attributes:
        sequence: the labels.
        place: folder or tar file of the images.
        single: the images are no video.
        members: offset and size of each image (by its name in `sequence`) in a tar; None for
            plain files.
    """

    sequence: AnnotatedSequence
    place: str
    single: bool
    members: dict[str, tuple[int, int]] | None = None


def build_index(sequences: Iterable[Located]) -> LabelIndex:
    """Puts annotated sequences, all with the same keypoints, into one index.

    People without keypoints and crowds become ignore boxes. Keypoints at exactly (0, 0) are
    unlabelled, whatever their flag: some tools write them for missing ones. Missing areas are
    `AREA_OF_BOX` of the body box. Boxes that are far too small for their keypoints are replaced,
    with a warning.

    Raises:
        VepeError: if two sequences differ in their keypoints, or there is none.
    """
    columns: dict[str, list[Any]] = {f.name: [] for f in fields(LabelIndex)}
    keypoints: tuple[str, ...] | None = None
    places: dict[str, int] = {}
    placeholders = outside = 0
    for number, located in enumerate(sequences):
        names = located.sequence.skeleton.keypoints
        if keypoints is not None and names != keypoints:
            raise VepeError(
                f"{located.sequence.source} has other keypoints than the files before it "
                f"({keypoint_difference(names, keypoints)}); give each skeleton a source of "
                "its own."
            )
        keypoints = names
        place = places.setdefault(located.place, len(places))
        for frame in located.sequence.frames:
            placeholders += sum(has_placeholder_box(person) for person in frame.people)
            outside += sum(_is_outside(person, frame) for person in frame.people)
            _add_frame(columns, frame, located, place, -1 if located.single else number)
    if keypoints is None:
        raise VepeError("These files contain no sequence; check the annotations.")
    if placeholders:
        _warn(
            f"The boxes of {placeholders} people are narrower than {MIN_BOX_PX:g} px although "
            "their keypoints are not; boxes around the keypoints are used instead."
        )
    if outside:
        _warn(
            f"All keypoints of {outside} people are outside their images, so they are not used; "
            "check the keypoints and the image sizes."
        )
    return _to_arrays(columns, keypoints, tuple(places))


def _warn(message: str) -> None:
    warnings.warn(message, VepeWarning, stacklevel=3)


def _encoded(name: str, sequence: AnnotatedSequence) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise VepeError(
            f"{sequence.source}: the file name '{name}' is not valid Unicode; rename the file."
        ) from None


def _add_frame(
    columns: dict[str, list[Any]],
    frame: AnnotatedFrame,
    located: Located,
    place: int,
    video: int,
) -> None:
    offset, size = -1, -1
    if located.members is not None:
        offset, size = located.members[frame.file_name]
    complete = frame.extra.get("complete")
    row = {
        "text": _encoded(frame.file_name, located.sequence),
        "place": place,
        "offsets": offset,
        "sizes": size,
        "video": video,
        "frame_index": frame.index,
        "time_s": np.nan if frame.time_s is None else frame.time_s,
        # A COCO image without annotations is labelled: there are no people in it.
        "labelled": frame.is_labeled
        or bool(complete)
        or (located.single and located.sequence.format == "coco"),
        "complete": UNKNOWN if complete is None else int(bool(complete)),
        "stretched": bool(frame.extra.get("square_stretched", False)),
        "size_wh_px": (frame.width or 0, frame.height or 0),
    }
    for name, value in row.items():
        columns[name].append(value)
    size_wh = (frame.width, frame.height) if frame.width and frame.height else None
    ignored = [box for region in frame.ignore_regions_px for box in ignore_boxes(region)]
    for person in frame.people:
        box = body_box(person)
        if box is None:
            continue
        if person.extra.get("iscrowd") or not len(_labelled_points(person)):
            ignored.append(cut_box(box, size_wh))
            continue
        head = person.head_box_xyxy_px
        columns["keypoints_px"].append(person.keypoints_px)
        columns["visibility"].append(coco_visibility(person, located.sequence.format))
        columns["boxes_xyxy_px"].append(cut_box(box, size_wh))
        columns["areas_px"].append(person_area(person, box))
        columns["track_ids"].append(-1 if person.track_id is None else person.track_id)
        columns["head_boxes_xyxy_px"].append(np.full(4, np.nan) if head is None else head)
    columns["ignore_xyxy_px"] += ignored
    columns["people_ends"].append(len(columns["track_ids"]))
    columns["ignore_ends"].append(len(columns["ignore_xyxy_px"]))


def _to_arrays(
    columns: dict[str, list[Any]], keypoints: tuple[str, ...], places: Sequence[str]
) -> LabelIndex:
    """The index of columns that `_add_frame` filled."""
    k, texts = len(keypoints), columns["text"]
    visibility = np.asarray(columns["visibility"], np.uint8).reshape(-1, k)
    points = np.asarray(columns["keypoints_px"], np.float32).reshape(-1, k, 2)
    visibility = np.where(points.any(axis=-1), visibility, 0).astype(np.uint8)
    integers = {
        name: np.asarray(columns[name], np.int64)
        for name in ("offsets", "sizes", "frame_index", "people_ends", "ignore_ends", "track_ids")
    }
    return LabelIndex(
        keypoints=keypoints,
        places=tuple(places),
        text=np.frombuffer(b"".join(texts), np.uint8),
        name_ends=np.cumsum([len(t) for t in texts], dtype=np.int64),
        place=np.asarray(columns["place"], np.int32),
        video=np.asarray(columns["video"], np.int32),
        time_s=np.asarray(columns["time_s"], np.float64),
        labelled=np.asarray(columns["labelled"], bool),
        complete=np.asarray(columns["complete"], np.int8),
        stretched=np.asarray(columns["stretched"], bool),
        size_wh_px=np.asarray(columns["size_wh_px"], np.int32).reshape(-1, 2),
        keypoints_px=np.where(visibility[..., None] > 0, points, 0).astype(np.float32),
        visibility=visibility,
        boxes_xyxy_px=np.asarray(columns["boxes_xyxy_px"], np.float32).reshape(-1, 4),
        areas_px=np.asarray(columns["areas_px"], np.float32),
        head_boxes_xyxy_px=np.asarray(columns["head_boxes_xyxy_px"], np.float32).reshape(-1, 4),
        ignore_xyxy_px=np.asarray(columns["ignore_xyxy_px"], np.float32).reshape(-1, 4),
        **integers,
    )


def _labelled_points(person: Person) -> Float[np.ndarray, "L 2"]:
    """The keypoints that are present and not at exactly (0, 0)."""
    return person.keypoints_px[person.present & person.keypoints_px.any(axis=1)]


def has_placeholder_box(person: Person) -> bool:
    """Whether the file's box is a placeholder, such as 0 x 0 or 1 x 1, next to real keypoints."""
    box = person.box_xywh_px
    points = _labelled_points(person)
    if box is None or (box[2:] >= MIN_BOX_PX).all() or not len(points):
        return False
    extent = np.ptp(points, axis=0)
    return bool(((box[2:] < MIN_BOX_PX) & (extent >= 2 * MIN_BOX_PX)).any())


def _is_outside(person: Person, frame: AnnotatedFrame) -> bool:
    """Whether a person has keypoints, and all of them are outside the image."""
    points = _labelled_points(person)
    if not (frame.width and frame.height and len(points)):
        return False
    return not ((points >= 0) & (points <= (frame.width, frame.height))).all(axis=1).any()


def body_box(person: Person) -> Float[np.ndarray, "4"] | None:
    """The body box as x1, y1, x2, y2: the file's, else around keypoints and head, else None.

    Placeholder boxes of the file (see `has_placeholder_box`) are ignored.
    """
    if person.box_xywh_px is not None and not has_placeholder_box(person):
        return xywh_to_xyxy(person.box_xywh_px)
    head = person.head_box_xyxy_px
    corners = [] if head is None else [head[:2], head[2:]]
    points = _labelled_points(person)
    if len(points):
        low, high = points.min(axis=0), points.max(axis=0)
        margin = (high - low) * (BOX_OF_POINTS - 1) / 2
        corners += [low - margin, high + margin]
    if not corners:
        return None
    return np.concatenate([np.min(corners, axis=0), np.max(corners, axis=0)])


def cut_box(
    box_xyxy: Float[np.ndarray, "4"], size_wh: tuple[int, int] | None
) -> Float[np.ndarray, "4"]:
    """The box cut at the image border, if the image size is known."""
    if size_wh is None:
        return box_xyxy
    return np.clip(box_xyxy, 0, np.tile(np.asarray(size_wh, np.float64), 2))


def person_area(person: Person, box_xyxy: Float[np.ndarray, "4"]) -> float:
    """Area in square pixels on the scale of COCO's segments: the file's, else from the box."""
    area = person.extra.get("area")
    if isinstance(area, int | float) and area > 0 and not has_placeholder_box(person):
        return float(area)
    return max(AREA_OF_BOX * float(np.prod(box_xyxy[2:] - box_xyxy[:2])), 1.0)


def ignore_boxes(polygon_px: Float[np.ndarray, "V 2"]) -> list[Float[np.ndarray, "4"]]:
    """Boxes (x1, y1, x2, y2) that cover a polygon more tightly than its bounding box.

    The polygon is cut into horizontal bands; in each, every interval that it covers becomes a box.
    Fewer than three corners give none.
    """
    if len(polygon_px) < 3:
        return []
    low, high = polygon_px.min(axis=0), polygon_px.max(axis=0)
    unit = np.maximum(high - low, 1e-6) / _GRID
    cells = np.rint((polygon_px - low) / unit).astype(np.int32)
    mask = np.zeros((_GRID + 1, _GRID + 1), np.uint8)
    cv2.fillPoly(mask, [cells], 1)
    bands = int(np.clip((high[1] - low[1]) // BAND_PX, 1, MAX_BANDS))
    edges = np.linspace(0, _GRID, bands + 1).astype(int)
    boxes: list[np.ndarray] = []
    for top, bottom in pairwise(edges.tolist()):
        # An edge of the polygon that runs along a border belongs to the band on its inner side.
        covered = mask[top + 1 : bottom].any(axis=0).astype(np.int8)
        turns = np.flatnonzero(np.diff(covered, prepend=0, append=0)).reshape(-1, 2)
        for left, right in turns:
            corner = low + unit * (left, top)
            boxes.append(np.concatenate([corner, low + unit * (min(right, _GRID), bottom)]))
    return boxes
