"""Which points lie in PoseTrack's ignore regions.

Source: poseval and the PoseTrack21 kit ask shapely's `Polygon.contains(Point)`. The even-odd
rule with the boundary left out gives the same answer, for polygons that cross themselves too.

What each protocol scores of a pair of sequences: which frames, people and joints.

Sources: poseval's `load_data_dir`, `cleanupData` and `removeIgnoredPoints`; the PoseTrack21 kit's
`datasets/posetrack.py`. Nothing is dropped elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from vepe.errors import VepeError
from vepe.evaluation.frames import NUM_JOINTS, People, ScoredFrames
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person, frame_place


def inside_any(
    points: Float[np.ndarray, "*n 2"], polygons: Sequence[Float[np.ndarray, "V 2"]]
) -> Bool[np.ndarray, "*n"]:
    """Whether points lie strictly inside at least one polygon. Polygons without corners hold none.

    Raises:
        ValueError: on a polygon of one or two corners, which no evaluator can read.
    """
    result = np.zeros(points.shape[:-1], bool)
    for polygon in polygons:
        if len(polygon):
            result |= _inside(points, np.asarray(polygon, np.float64))
    return result


def _inside(
    points: Float[np.ndarray, "*n 2"], polygon: Float[np.ndarray, "V 2"]
) -> Bool[np.ndarray, "*n"]:
    if len(polygon) < 3:
        raise ValueError(f"a polygon needs three corners, this has {len(polygon)}")
    x, y = points[..., 0, None], points[..., 1, None]
    x1, y1 = polygon[:, 0], polygon[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    # Twice the area of the triangle that an edge and the point span; 0 where it lies on the line.
    area = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
    crosses = (y1 > y) != (y2 > y)
    right = np.where(y2 > y1, area > 0, area < 0)
    odd = (crosses & right).sum(axis=-1) % 2 == 1
    within = (
        (np.minimum(x1, x2) <= x)
        & (x <= np.maximum(x1, x2))
        & (np.minimum(y1, y2) <= y)
        & (y <= np.maximum(y1, y2))
    )
    on_edge = ((area == 0) & within).any(axis=-1)
    return odd & ~on_edge


Rule = Literal["poseval", "kit"]
"""'poseval': frames with at least one record in the ground truth; joints that the file holds.
'kit': frames with `is_labeled`; joints with x and y above 0 (PoseTrack21 AP and HOTA)."""

NO_SCORE = -9999.0
"""Score of joints without one (poseval and the kit)."""
HEAD_SHARE = 0.6
"""Head size is this part of the head box's diagonal (poseval)."""


class FrameSelection:
    """Collects the scored frames of one rule, sequence by sequence; `frames()` gives the arrays."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._names: list[str] = []
        self._sequence: list[int] = []
        self._position: list[int] = []
        self._labelled: list[bool] = []
        self._pictures: list[str] = []
        self._truth = _Side()
        self._found = _Side()
        self.people = 0

    def add(self, truth: AnnotatedSequence, found: AnnotatedSequence) -> None:
        """Adds a sequence; both have the same frames, in the same order.

        Raises:
            VepeError: where a scored frame has a bad ignore region or a person without head box.
        """
        index = len(self._names)
        self._names.append(truth.name)
        self._truth.start_sequence()
        self._found.start_sequence()
        for position, (a, b) in enumerate(zip(truth.frames, found.frames, strict=True)):
            if not self._scored(a):
                continue
            place = frame_place(truth.source, position, a.file_name)
            frame = len(self._sequence)
            self._sequence.append(index)
            self._position.append(position)
            self._labelled.append(a.is_labeled)
            self._pictures.append(a.file_name)
            people = self._people(a, a, place)
            self.people += sum(bool(p.present.any()) for p in a.people)
            self._truth.add(frame, people, [_head_size(p, place) for p, _ in people])
            self._found.add(frame, self._people(b, a, place))

    def frames(self) -> ScoredFrames:
        """All that was added."""
        return ScoredFrames(
            tuple(self._names),
            np.array(self._sequence, np.int64),
            np.array(self._position, np.int64),
            np.array(self._labelled, bool),
            tuple(self._pictures),
            self._truth.people(),
            self._found.people(),
        )

    def _scored(self, frame: AnnotatedFrame) -> bool:
        return frame.is_labeled if self.rule == "kit" else frame.has_annotations

    def _people(
        self, frame: AnnotatedFrame, truth: AnnotatedFrame, place: str
    ) -> list[tuple[Person, Bool[np.ndarray, "J"]]]:
        """The frame's people that count, with the joints that exist."""
        people = list(frame.people)
        if self.rule != "kit":
            people = [p for p in people if p.has_points]
        if not people:
            return []
        xy = np.stack([p.keypoints_px for p in people])
        present = _positive(xy) if self.rule == "kit" else np.stack([p.present for p in people])
        if not truth.ignore_regions_px:
            return list(zip(people, present, strict=True))
        ignored = _ignored(xy, truth, place)
        present = present & ~ignored
        if self.rule == "kit":
            # The kit deletes a person only where every slot is ignored or not positive.
            kept = (((xy > 0).any(axis=2)) & ~ignored).any(axis=1)
        else:
            kept = present.any(axis=1)
        return [(people[i], present[i]) for i in np.flatnonzero(kept)]


def _positive(xy: Float[np.ndarray, "P J 2"]) -> Bool[np.ndarray, "P J"]:
    return (xy[:, :, 0] > 0) & (xy[:, :, 1] > 0)


def _ignored(
    xy: Float[np.ndarray, "P J 2"], truth: AnnotatedFrame, place: str
) -> Bool[np.ndarray, "P J"]:
    try:
        return inside_any(xy, truth.ignore_regions_px)
    except ValueError as error:
        raise VepeError(
            f"{place}: an ignore region cannot be used ({error}); mend or remove it."
        ) from None


def _head_size(person: Person, place: str) -> float:
    box = person.head_box_xyxy_px
    if box is None:
        if person.present.any():
            raise VepeError(
                f"{place}: a person of the ground truth (track {person.track_id}) has joints but "
                "no head box, so distances cannot be measured; add bbox_head."
            )
        return float("nan")
    return HEAD_SHARE * float(np.hypot(box[2] - box[0], box[3] - box[1]))


@dataclass
class _Side:
    """One side's people while they are collected."""

    def __post_init__(self) -> None:
        self._frame: list[int] = []
        self._xy: list[np.ndarray] = []
        self._present: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []
        self._head: list[float] = []
        self._track: list[int] = []
        self._ids: dict[int, int] = {}
        self._tracks = 0

    def start_sequence(self) -> None:
        """Identities of the next sequence are others, whatever their numbers."""
        self._ids = {}

    def add(
        self,
        frame: int,
        people: Iterable[tuple[Person, Bool[np.ndarray, "J"]]],
        head: list[float] | None = None,
    ) -> None:
        """Appends the people of a frame."""
        for i, (person, present) in enumerate(people):
            self._frame.append(frame)
            self._xy.append(person.keypoints_px)
            self._present.append(present)
            self._scores.append(person.keypoint_scores)
            self._head.append(float("nan") if head is None else head[i])
            self._track.append(self._track_index(person.track_id))

    def _track_index(self, track_id: int | None) -> int:
        if track_id is None:
            return -1
        if track_id not in self._ids:
            self._ids[track_id] = self._tracks
            self._tracks += 1
        return self._ids[track_id]

    def people(self) -> People:
        """The arrays."""
        n = len(self._frame)
        scores = np.array(self._scores, np.float64).reshape(n, NUM_JOINTS)
        return People(
            frame=np.array(self._frame, np.int64),
            xy=np.array(self._xy, np.float64).reshape(n, NUM_JOINTS, 2),
            present=np.array(self._present, bool).reshape(n, NUM_JOINTS),
            track=np.array(self._track, np.int64),
            head_px=np.array(self._head, np.float64),
            scores=np.nan_to_num(scores, nan=NO_SCORE),
        )
