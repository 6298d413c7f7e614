"""Selects what a protocol scores: frames, people and joints. Nothing is dropped elsewhere.

Sources: poseval's `load_data_dir`, `cleanupData` and `removeIgnoredPoints`; the PoseTrack21 kit's
`datasets/posetrack.py`. Both test ignore regions with shapely's `Polygon.contains(Point)`; the
even-odd rule without the boundary gives the same result, also for self-intersecting polygons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from vepe.errors import VepeError
from vepe.evaluation.frames import NUM_JOINTS, Protocol, ScoredFrames, ScoredPeople
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person, frame_place

NO_SCORE = -9999.0
"""Score of joints without one (poseval and the kit)."""
HEAD_FACTOR = 0.6
"""Head size is this fraction of the head box's diagonal (poseval)."""


def inside_any(
    points: Float[np.ndarray, "*n 2"], polygons: Sequence[Float[np.ndarray, "V 2"]]
) -> Bool[np.ndarray, "*n"]:
    """Whether points lie strictly inside at least one polygon; an empty polygon has no inside.

    Raises:
        ValueError: on a polygon with one or two corners (shapely raises as well).
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
        raise ValueError(f"a polygon needs three corners, this one has {len(polygon)}")
    x, y = points[..., 0, None], points[..., 1, None]  # (*n, 1) against V edges
    x1, y1 = polygon[:, 0], polygon[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    # Twice the area of the triangle of edge and point; 0 if the point lies on the edge's line.
    area = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)  # (*n, V)
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


class FrameSelection:
    """Collects the frames that a protocol scores, sequence by sequence.

    Attributes:
        people: ground truth people with a labelled joint so far.
        flat_heads: ground truth people with a head box of size 0 so far; none of their joints can
            be matched.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.people = 0
        self.flat_heads = 0
        self._names: list[str] = []
        self._sequence: list[int] = []
        self._position: list[int] = []
        self._labelled: list[bool] = []
        self._images: list[str] = []
        self._gt = _SideBuilder()
        self._pred = _SideBuilder()

    def add(self, gt: AnnotatedSequence, pred: AnnotatedSequence) -> None:
        """Adds a sequence; both sides have the same frames, in the same order.

        Raises:
            VepeError: on a bad ignore region or a person without a head box in a scored frame.
        """
        index = len(self._names)
        self._names.append(gt.name)
        self._gt.start_sequence()
        self._pred.start_sequence()
        for position, (gt_frame, pred_frame) in enumerate(zip(gt.frames, pred.frames, strict=True)):
            if not self._is_scored(gt_frame):
                continue
            place = frame_place(gt.source, position, gt_frame.file_name)
            frame = len(self._sequence)
            self._sequence.append(index)
            self._position.append(position)
            self._labelled.append(gt_frame.is_labeled)
            self._images.append(gt_frame.file_name)
            people = self._people(gt_frame, gt_frame, place)
            heads = [_head_size(p, place) for p, _ in people]
            self.people += sum(bool(p.present.any()) for p in gt_frame.people)
            self.flat_heads += sum(
                h == 0 and bool(p.present.any()) for h, (p, _) in zip(heads, people, strict=True)
            )
            self._gt.add(frame, people, heads)
            self._pred.add(frame, self._people(pred_frame, gt_frame, place))

    def frames(self) -> ScoredFrames:
        """All frames that were added."""
        return ScoredFrames(
            tuple(self._names),
            np.array(self._sequence, np.int64),
            np.array(self._position, np.int64),
            np.array(self._labelled, bool),
            tuple(self._images),
            self._gt.build(),
            self._pred.build(),
        )

    def _is_scored(self, frame: AnnotatedFrame) -> bool:
        return frame.is_labeled if self.protocol == "posetrack21" else frame.has_annotations

    def _people(
        self, frame: AnnotatedFrame, gt: AnnotatedFrame, place: str
    ) -> list[tuple[Person, Bool[np.ndarray, "J"]]]:
        """The people of a frame that count, with the joints that exist.

        Args:
            gt: the ground truth of the frame, whose ignore regions hold for both sides.
        """
        people = list(frame.people)
        if self.protocol == "poseval":
            people = [p for p in people if p.has_points]
        if not people:
            return []
        xy = np.stack([p.keypoints_px for p in people])  # (P, J, 2)
        if self.protocol == "posetrack21":
            present = (xy[:, :, 0] > 0) & (xy[:, :, 1] > 0)
        else:
            present = np.stack([p.present for p in people])
        if not gt.ignore_regions_px:
            return list(zip(people, present, strict=True))
        ignored = _ignored(xy, gt, place)
        present = present & ~ignored
        if self.protocol == "posetrack21":
            # The kit deletes a person only if every slot is ignored or has no positive coordinate.
            counts = ((xy > 0).any(axis=2) & ~ignored).any(axis=1)
        else:
            counts = present.any(axis=1)
        return [(people[i], present[i]) for i in np.flatnonzero(counts)]


def _ignored(
    xy: Float[np.ndarray, "P J 2"], gt: AnnotatedFrame, place: str
) -> Bool[np.ndarray, "P J"]:
    try:
        return inside_any(xy, gt.ignore_regions_px)
    except ValueError as error:
        raise VepeError(
            f"{place}: an ignore region cannot be used ({error}); fix or remove it."
        ) from None


def _head_size(person: Person, place: str) -> float:
    box = person.head_box_xyxy_px
    if box is None:
        if person.present.any():
            raise VepeError(
                f"{place}: a person of the ground truth (track {person.track_id}) has joints but "
                "no head box, so distances cannot be measured; add bbox_head, or use `vepe "
                "evaluate tracks`, which needs none."
            )
        return float("nan")
    return HEAD_FACTOR * float(np.hypot(box[2] - box[0], box[3] - box[1]))


class _SideBuilder:
    """Collects the people of one side."""

    def __init__(self) -> None:
        self._frame: list[int] = []
        self._xy: list[np.ndarray] = []
        self._present: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []
        self._head: list[float] = []
        self._track: list[int] = []
        self._ids: dict[int, int] = {}
        self._tracks = 0

    def start_sequence(self) -> None:
        """Forgets track ids: those of the next sequence are different tracks."""
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

    def build(self) -> ScoredPeople:
        """The arrays of all people."""
        n = len(self._frame)
        scores = np.array(self._scores, np.float64).reshape(n, NUM_JOINTS)
        return ScoredPeople(
            frame=np.array(self._frame, np.int64),
            xy=np.array(self._xy, np.float64).reshape(n, NUM_JOINTS, 2),
            present=np.array(self._present, bool).reshape(n, NUM_JOINTS),
            track=np.array(self._track, np.int64),
            head_px=np.array(self._head, np.float64),
            scores=np.nan_to_num(scores, nan=NO_SCORE),
        )
