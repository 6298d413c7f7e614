"""Annotated sequences as typed values: what every reader returns and every writer takes.

Richer than `PoseTracks`: they also hold labels (visibility, head boxes, ignore regions,
unlabelled frames), and keep all other fields of a format in `extra`, so that a round trip loses
nothing. Numbers are exactly those of the file, in float64; no rule of any evaluator has been
applied. Dimension letters: K keypoints, V corners of a polygon.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from vepe.config.skeleton import mirror_pairs, usual_sigmas
from vepe.skeleton import SKELETONS, Skeleton

FormatName = Literal["posetrack17", "posetrack18", "posetrack21", "coco"]


@dataclass(frozen=True, eq=False, slots=True)
class Person:
    """One person in one frame, as the file has it.

    Attributes:
        keypoints_px: (K, 2) x, y in pixels; (0, 0) if the file has no point.
        present: (K,) whether the point is in the file. PoseTrack17: it is listed. PoseTrack18
            and 21: not all of x, y and v are 0 (poseval's rule). COCO: v > 0.
        visibility: (K,) as in the file: `is_visible` or `v`; NaN if the file does not say;
            0 if the point is not present.
        keypoint_scores: (K,) confidence of every keypoint, NaN if the file has none.
        score: confidence of the person, or None.
        track_id: identity in this sequence, or None.
        head_box_xyxy_px: (4,) head box as x1, y1, x2, y2, or None.
        box_xywh_px: (4,) body box as x, y, width, height, or None.
        has_points: whether the record has a list of points at all, even an empty one. (poseval
            drops a record without a list, and keeps a record with an empty one.)
        annotation_id: the record's own id, or None.
        extra: all other fields of the record, by the format's own names.
    """

    keypoints_px: Float[np.ndarray, "K 2"]
    present: Bool[np.ndarray, "K"]
    visibility: Float[np.ndarray, "K"]
    keypoint_scores: Float[np.ndarray, "K"]
    score: float | None = None
    track_id: int | None = None
    head_box_xyxy_px: Float[np.ndarray, "4"] | None = None
    box_xywh_px: Float[np.ndarray, "4"] | None = None
    has_points: bool = True
    annotation_id: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class AnnotatedFrame:
    """One frame of a sequence; its position in `AnnotatedSequence.frames` is that in the file.

    Attributes:
        index: number of the frame in its video, from 0.
        file_name: name of the frame's image, as in the file.
        image_id: the file's id of the image, or None.
        is_labeled: as in the file; if it does not say, whether there are annotations.
        states_labeled: whether the file says so for this frame.
        has_annotations: whether the file has at least one record of a person for this frame.
        people: in the file's order.
        ignore_regions_px: polygons (V, 2) in pixels, as in the file (V may be under 3).
        width, height: size of the image in pixels, or None.
        time_s: timestamp in seconds, or None.
        extra: all other fields of the frame's record, by the format's own names.
    """

    index: int
    file_name: str
    image_id: int | None
    is_labeled: bool
    has_annotations: bool
    people: tuple[Person, ...]
    ignore_regions_px: tuple[Float[np.ndarray, "V 2"], ...] = ()
    width: int | None = None
    height: int | None = None
    time_s: float | None = None
    states_labeled: bool = True
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class AnnotatedSequence:
    """One annotated video.

    Attributes:
        name: name of the sequence (usually the file's, without its suffix).
        frames: all frames, in the file's order.
        skeleton: the keypoints of every person here; `POSETRACK15` for all PoseTrack formats.
        source: the file it was read from, for messages.
        format: the format it was read from.
        extra: all other fields of the file, by the format's own names.
    """

    name: str
    frames: tuple[AnnotatedFrame, ...]
    skeleton: Skeleton
    source: Path
    format: FormatName
    extra: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)

    def people_count(self) -> int:
        """Number of person records over all frames."""
        return sum(len(frame.people) for frame in self.frames)


def frame_place(source: Path, position: int, file_name: str) -> str:
    """How every message names a frame: file, position in it (from 0) and image."""
    name = f" ({file_name})" if file_name else ""
    return f"{source}, frame {position}{name}"


def skeleton_named(names: Sequence[str], edges: Iterable[tuple[int, int]] = ()) -> Skeleton:
    """The known skeleton with these keypoints in this order, or a new one called 'custom'.

    A new skeleton pairs `left_` with `right_` and takes the sigmas of known keypoints by name.

    Raises:
        VepeError: if a name is repeated, or there are more than a skeleton can have.
    """
    for known in SKELETONS.values():
        if known.keypoints == tuple(names):
            return known
    return Skeleton(
        name="custom",
        keypoints=tuple(names),
        edges=tuple(edges),
        flip_pairs=mirror_pairs(names),
        sigmas=usual_sigmas(names),
    )
