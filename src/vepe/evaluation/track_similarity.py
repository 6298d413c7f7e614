"""From paired frames to scored people: OKS or box overlap of every pair, and who is ignored.

`coco_tables` aligns and checks the keypoints of both sides, so that OKS counts here as it does in
`vepe evaluate coco`. Dimension letters: G people of the ground truth in a frame, P predicted
people, K scored keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from vepe.errors import VepeError
from vepe.evaluation.coco_tables import AREA_PER_BOX, CocoTables, Joints, paired_tables
from vepe.evaluation.selection import inside_any
from vepe.evaluation.track_metrics import THRESHOLD, TrackedFrame
from vepe.evaluation.track_pairing import FramePair, SequencePair
from vepe.formats.annotations import AnnotatedSequence, Person
from vepe.formats.geometry import coco_visibility, person_box
from vepe.linear_assignment import linear_sum_assignment

Similarity = Literal["oks", "box"]
"""How alike two people are: COCO's object keypoint similarity, or intersection over union."""
Matrices = list[tuple[Float[np.ndarray, "G P"], Bool[np.ndarray, "G"]]]
"""Of each frame: the similarity of all pairs, and which people of the ground truth count."""


@dataclass(frozen=True, eq=False)
class ScoredVideo:
    """One sequence, ready to be counted.

    Attributes:
        name: of the sequence.
        frames: labelled frames, without ignored people and predictions of them.
        places: how messages name each frame.
        gt_ids: track id in the file by track number, None for a person without one.
    """

    name: str
    frames: list[TrackedFrame]
    places: list[str]
    gt_ids: list[int | None]


@dataclass(frozen=True, eq=False)
class ScoredVideos:
    """All sequences, and the tables that AP is computed from.

    Attributes:
        ignored: number of predictions left out, since they lie on ignored people or regions.
    """

    videos: list[ScoredVideo]
    tables: CocoTables
    ignored: int


def scored_videos(
    pairs: Sequence[SequencePair],
    similarity: Similarity,
    joints: Joints,
    sigmas: Mapping[str, float] | None = None,
) -> ScoredVideos:
    """Similarities of all people in all frames, without what is ignored.

    A prediction that matches nobody is left out if more than half of its keypoints (or the middle
    of its box) lie in an ignore region, or if it lies on an ignored person: a crowd (`iscrowd`),
    or, by keypoints, a person without a labelled one.

    Raises:
        VepeError: on people that cannot be scored; names the file and the frame.
    """
    frames = [frame for pair in pairs for frame in pair.frames]
    people = [(frame.gt.people, frame.pred.people if frame.pred else ()) for frame in frames]
    tables = (_box_tables if similarity == "box" else _keypoint_tables)(
        pairs, people, joints, sigmas
    )
    matrices = _matrices(tables, people, similarity)
    kept, in_region = [], []
    for frame, (matrix, counts) in zip(frames, matrices, strict=True):
        regions = _in_regions(frame)
        unmatched = ~_matched(matrix[counts])
        on_ignored = (matrix[~counts] >= THRESHOLD).any(axis=0)
        kept.append(~(unmatched & (regions | on_ignored)))
        in_region.append(regions & unmatched)
    gone = np.concatenate([np.zeros(0, bool), *in_region])
    predictions = tuple(p for p, g in zip(tables.predictions, gone, strict=True) if not g)
    videos, start = [], 0
    for pair in pairs:
        part = slice(start, start + len(pair.frames))
        start += len(pair.frames)
        videos.append(_scored_video(pair, matrices[part], kept[part]))
    return ScoredVideos(
        videos,
        CocoTables(tables.names, tables.sigmas, tables.images, tables.people, predictions),
        sum(int((~mask).sum()) for mask in kept),
    )


def _matched(matrix: Float[np.ndarray, "G P"]) -> Bool[np.ndarray, "P"]:
    """Predictions that an assignment gives a person of at least `THRESHOLD`."""
    score = np.where(matrix >= THRESHOLD, matrix, 0)
    rows, columns = linear_sum_assignment(-score)
    mask = np.zeros(matrix.shape[1], bool)
    mask[columns[score[rows, columns] > 0]] = True
    return mask


def _in_regions(frame: FramePair) -> Bool[np.ndarray, "P"]:
    people = frame.pred.people if frame.pred else ()
    if not frame.gt.ignore_regions_px:
        return np.zeros(len(people), bool)
    try:
        return np.array([_is_inside(person, frame) for person in people], bool)
    except ValueError as error:
        raise VepeError(
            f"{frame.place}: an ignore region cannot be used ({error}); fix or remove it."
        ) from None


def _is_inside(person: Person, frame: FramePair) -> bool:
    points = person.keypoints_px[person.present]
    box = person_box(person)
    if not len(points) and box is not None:
        points = (box[:2] + box[2:] / 2)[None]
    return len(points) > 0 and inside_any(points, frame.gt.ignore_regions_px).mean() > 0.5


def _scored_video(
    pair: SequencePair, matrices: Matrices, kept: list[Bool[np.ndarray, "P"]]
) -> ScoredVideo:
    gt_tracks, pred_tracks = _TrackNumbers(), _TrackNumbers()
    tracked = []
    for frame, (matrix, counts), keep in zip(pair.frames, matrices, kept, strict=True):
        gt = [p for p, c in zip(frame.gt.people, counts, strict=True) if c]
        people = frame.pred.people if frame.pred else ()
        pred = [p for p, k in zip(people, keep, strict=True) if k]
        tracked.append(
            TrackedFrame(
                gt_tracks.of(gt, frame.place),
                pred_tracks.of(pred, f"{pair.pred.source}, at {frame.place}"),
                matrix[counts][:, keep],
            )
        )
    return ScoredVideo(pair.gt.name, tracked, [f.place for f in pair.frames], gt_tracks.ids)


class _TrackNumbers:
    """Dense numbers of the tracks of one side; a person without an id is a track of its own."""

    def __init__(self) -> None:
        self.ids: list[int | None] = []
        self._number: dict[int, int] = {}

    def of(self, people: Sequence[Person], place: str) -> np.ndarray:
        numbers = []
        for person in people:
            if person.track_id is None or person.track_id not in self._number:
                self.ids.append(person.track_id)
                if person.track_id is not None:
                    self._number[person.track_id] = len(self.ids) - 1
                numbers.append(len(self.ids) - 1)
            else:
                numbers.append(self._number[person.track_id])
        if len(set(numbers)) < len(numbers):
            twice = next(n for k, n in enumerate(numbers) if n in numbers[:k])
            raise VepeError(
                f"{place}: track id {self.ids[twice]} is given twice; ids have to be unique within "
                "a frame."
            )
        return np.array(numbers, np.int64)


People = list[tuple[tuple[Person, ...], tuple[Person, ...]]]
"""Of each scored frame: the people of the ground truth and of the prediction."""


def _keypoint_tables(
    pairs: Sequence[SequencePair],
    people: People,
    joints: Joints,
    sigmas: Mapping[str, float] | None,
) -> CocoTables:
    """Both sides as COCO documents, reduced to the same keypoints."""
    gt, pred = _one_skeleton([p.gt for p in pairs]), _one_skeleton([p.pred for p in pairs])
    formats = [pair.gt.format for pair in pairs for _ in pair.frames]
    images = [{"id": i} for i in range(len(people))]
    gt_records = [
        {
            "id": n if person.annotation_id is None else person.annotation_id,
            "image_id": i,
            "keypoints": _gt_points(person, formats[i]),
            "iscrowd": person.extra.get("iscrowd", 0),
            **_box_and_area(person, formats[i] == "coco"),
        }
        for i, (side, _) in enumerate(people)
        for n, person in enumerate(side)
    ]
    pred_records = [
        {
            "image_id": i,
            "score": _score(person),
            "keypoints": np.c_[person.keypoints_px, np.ones(len(person.present))].ravel().tolist(),
        }
        for i, (_, side) in enumerate(people)
        for person in side
    ]
    category = {"id": 1, "name": "person"}
    return paired_tables(
        {
            "images": images,
            "annotations": gt_records,
            "categories": [{**category, "keypoints": list(gt.skeleton.keypoints), **_sigmas(gt)}],
        },
        {
            "annotations": pred_records,
            "categories": [{**category, "keypoints": list(pred.skeleton.keypoints)}],
        },
        joints,
        sigmas=sigmas,
        gt_source=_source([p.gt for p in pairs], "The ground truth"),
        pred_source=_source([p.pred for p in pairs], "The prediction"),
    )


def _one_skeleton(sequences: list[AnnotatedSequence]) -> AnnotatedSequence:
    """The first sequence. Raises VepeError if others have other keypoints, or nobody has any."""
    first = sequences[0]
    for sequence in sequences:
        if sequence.skeleton.keypoints != first.skeleton.keypoints:
            raise VepeError(
                f"{sequence.source} has other keypoints than {first.source}; score them apart."
            )
    everybody = [p for s in sequences for f in s.frames for p in f.people]
    if everybody and not any(p.has_points for p in everybody):
        raise VepeError(f"{first.source} has boxes, but no keypoints; use --similarity box.")
    return first


def _source(sequences: list[AnnotatedSequence], name: str) -> str:
    sources = {str(s.source) for s in sequences}
    return sources.pop() if len(sources) == 1 else name


def _sigmas(sequence: AnnotatedSequence) -> dict[str, Any]:
    """The OKS falloffs that the file's category states."""
    categories = sequence.extra.get("categories", ())
    for category in categories if isinstance(categories, list) else ():
        names = category.get("keypoints") if isinstance(category, dict) else None
        if names == list(sequence.skeleton.keypoints) and category.get("sigmas"):
            return {"sigmas": category["sigmas"]}
    return {}


def _gt_points(person: Person, kind: Any) -> list[float]:
    points = np.where(person.present[:, None], person.keypoints_px, 0.0)
    return np.c_[points, coco_visibility(person, kind)].ravel().tolist()


def _box_and_area(person: Person, is_coco: bool) -> dict[str, Any]:
    """The box, or the extent of the keypoints; an area only where COCO's field is not expected."""
    box = person_box(person)
    area = person.extra.get("area")
    if area is None and not is_coco and box is not None:
        area = AREA_PER_BOX * float(box[2] * box[3])
    return {"bbox": None if box is None else box.tolist(), "area": area}


def _score(person: Person) -> float:
    """The person's score, or the mean of its keypoints', or 1."""
    if person.score is not None:
        return person.score
    known = person.keypoint_scores[~np.isnan(person.keypoint_scores)]
    return float(known.mean()) if len(known) else 1.0


def _box_tables(
    pairs: Sequence[SequencePair],
    people: People,
    joints: Joints,
    sigmas: Mapping[str, float] | None,
) -> CocoTables:
    """Boxes of both sides; a prediction without box and keypoints has an empty box."""
    gt: list[dict[str, Any]] = []
    pred: list[dict[str, Any]] = []
    for i, (gt_people, pred_people) in enumerate(people):
        for person in gt_people:
            box = _box(person)
            crowd = int(bool(person.extra.get("iscrowd", 0)))
            gt.append({"id": len(gt) + 1, "iscrowd": crowd, "num_keypoints": 1, **box})
            gt[-1] |= {"image_id": i, "category_id": 1}
        for person in pred_people:
            pred.append({"image_id": i, "category_id": 1, "score": _score(person), **_box(person)})
    images = tuple({"id": i} for i in range(len(people)))
    return CocoTables((), np.zeros(0), images, tuple(gt), tuple(pred))


def _box(person: Person) -> dict[str, Any]:
    box = person_box(person)
    box = np.zeros(4) if box is None else box
    return {"bbox": box.tolist(), "area": float(box[2] * box[3])}


Records = Sequence[Mapping[str, Any]]
"""People of one frame and one side, as `CocoTables` has them."""


def _matrices(tables: CocoTables, people: People, similarity: Similarity) -> Matrices:
    """Frame by frame, from tables that hold the people of all frames in order."""
    compare = _compare_boxes if similarity == "box" else _compare_keypoints
    matrices: Matrices = []
    g = p = 0
    for gt_people, pred_people in people:
        gt = tables.people[g : g + len(gt_people)]
        pred = tables.predictions[p : p + len(pred_people)]
        g, p = g + len(gt), p + len(pred)
        counts = np.array([bool(a["num_keypoints"]) and not a["iscrowd"] for a in gt], bool)
        matrices.append((compare(gt, pred, tables), counts))
    return matrices


def _compare_keypoints(gt: Records, pred: Records, tables: CocoTables) -> Float[np.ndarray, "G P"]:
    k = len(tables.names)
    return oks(
        np.array([a["keypoints"] for a in gt]).reshape(-1, k, 3),
        np.array([a["area"] for a in gt], float),
        _boxes_xywh(gt),
        np.array([a["keypoints"][:, :2] for a in pred]).reshape(-1, k, 2),
        tables.sigmas,
    )


def _compare_boxes(gt: Records, pred: Records, tables: CocoTables) -> Float[np.ndarray, "G P"]:
    return box_iou(_boxes_xywh(gt), _boxes_xywh(pred))


def _boxes_xywh(people: Records) -> Float[np.ndarray, "N 4"]:
    return np.array([a["bbox"] for a in people], float).reshape(-1, 4)


def oks(
    gt: Float[np.ndarray, "G K 3"],
    areas: Float[np.ndarray, "G"],
    boxes_xywh: Float[np.ndarray, "G 4"],
    pred: Float[np.ndarray, "P K 2"],
    sigmas: Float[np.ndarray, "K"],
) -> Float[np.ndarray, "G P"]:
    """Object keypoint similarity of all pairs, as `COCOeval.computeOks` has it.

    To a person without labelled keypoints, the distance of a keypoint is that to the box, extended
    by its size on each side.
    """
    labelled = np.asarray(gt[..., 2] > 0)  # (G, K)
    low = (boxes_xywh[:, :2] - boxes_xywh[:, 2:])[:, None, None]
    high = (boxes_xywh[:, :2] + 2 * boxes_xywh[:, 2:])[:, None, None]
    points = pred[None]  # (1, P, K, 2)
    to_box = np.maximum(0, low - points) + np.maximum(0, points - high)  # (G, P, K, 2)
    has_points = np.asarray(labelled.any(axis=1))
    offset = np.where(has_points[:, None, None, None], points - gt[:, None, :, :2], to_box)
    error = (offset**2).sum(axis=-1) / (2 * sigmas) ** 2
    error = error / (areas + np.spacing(1))[:, None, None] / 2
    used = labelled | ~has_points[:, None]  # (G, K)
    return (np.exp(-error) * used[:, None]).sum(axis=2) / used.sum(axis=1)[:, None]


def box_iou(
    gt: Float[np.ndarray, "G 4"], pred: Float[np.ndarray, "P 4"]
) -> Float[np.ndarray, "G P"]:
    """Intersection over union of all pairs of boxes x, y, width, height; 0 for empty ones."""
    low = np.maximum(gt[:, None, :2], pred[None, :, :2])
    high = np.minimum((gt[:, :2] + gt[:, 2:])[:, None], (pred[:, :2] + pred[:, 2:])[None])
    both = np.prod(np.maximum(high - low, 0), axis=2)
    union = np.prod(gt[:, 2:], axis=1)[:, None] + np.prod(pred[:, 2:], axis=1)[None] - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)
