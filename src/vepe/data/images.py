"""The labelled images of one or several indices as a sequence in one skeleton.

Labels are arrays that all workers share; an image is read and decoded when a clip needs it.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vepe.data.clip import People
from vepe.data.label_index import NO, YES, LabelIndex
from vepe.errors import VepeError, VepeWarning
from vepe.formats.data_paths import path_inside
from vepe.formats.image_files import is_cut_off
from vepe.image_header import image_header
from vepe.skeleton import CROWDPOSE14, Skeleton

SAME_JOINT = {CROWDPOSE14.keypoints: {"head": "head_top", "neck": "head_bottom"}}
"""Keypoints of a data set (the key lists all its names) that other sets call by another name.

CrowdPose took head and neck over from MPII's top of the head and upper neck, which are PoseTrack's
head_top and head_bottom.
"""


class UnreadableImageError(VepeError):
    """An image file that is missing, truncated or not an image."""


@dataclass(frozen=True)
class ImageRecord:
    """One labelled image.

    Attributes:
        place: folder that `name` is relative to, or the tar file that contains the image.
        offset, size: position of its bytes in the tar; -1 for a plain file.
        name: file name.
        people: labels in the index's skeleton; `track_ids` is -1 where unknown.
        background_weight: see `Clip`.
        square_stretched: the image was resized to a square, so its aspect is unknown.
        labelled: whether its people are labelled at all.
        size_wh_px: width and height according to the labels, 0 where unknown.
        time_s: time in its video.
    """

    place: Path
    offset: int
    size: int
    name: str
    people: People
    background_weight: float
    square_stretched: bool
    labelled: bool = True
    size_wh_px: tuple[int, int] = (0, 0)
    time_s: float = 0.0

    def num_bytes(self) -> int:
        """Size of the image file; 0 if it is missing."""
        if self.offset >= 0:
            return self.size
        path = path_inside(self.place, self.name)
        return path.stat().st_size if path.is_file() else 0

    def changed_s(self) -> float:
        """When the image file, or the shard with it, was changed; 0 if it is missing."""
        path = self.place if self.offset >= 0 else path_inside(self.place, self.name)
        return path.stat().st_mtime if path.is_file() else 0.0

    def raw(self) -> bytes:
        """The bytes of the image file.

        Raises:
            UnreadableImageError: if they cannot be read.
            VepeError: if the name leads out of its folder.
        """
        try:
            if self.offset < 0:
                return path_inside(self.place, self.name).read_bytes()
            with self.place.open("rb") as file:
                file.seek(self.offset)
                return file.read(self.size)
        except OSError as error:
            raise UnreadableImageError(
                f"Image '{self.name}' in '{self.place}' cannot be read ({error.strerror}); "
                "restore it."
            ) from error

    def image(self) -> UInt8[np.ndarray, "H W 3"]:
        """The decoded RGB image.

        Raises:
            UnreadableImageError: if it cannot be read, is too large, or is of another format than
                `vepe.image_header.IMAGE_FORMATS`.
        """
        raw = self.raw()
        header = image_header(raw)
        if isinstance(header, str):
            raise UnreadableImageError(
                f"Image '{self.name}' in '{self.place}' {header}; replace it."
            )
        image = None
        if not is_cut_off(raw):
            with suppress(cv2.error, MemoryError):
                image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise UnreadableImageError(
                f"Image '{self.name}' in '{self.place}' is damaged; copy it again."
            )
        self._check_size((image.shape[1], image.shape[0]))
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)

    def _check_size(self, actual_wh_px: tuple[int, int]) -> None:
        """Warns, once per folder or shard, of labels that state another size than the image has."""
        stated = self.size_wh_px
        if 0 in stated or stated == actual_wh_px or self.square_stretched:
            return
        if self.place not in _warned_places:
            _warned_places.add(self.place)
            warnings.warn(
                f"Image '{self.name}' in '{self.place}' is {actual_wh_px[0]}x{actual_wh_px[1]}, "
                f"but its labels state {stated[0]}x{stated[1]}; if they were made for that size, "
                "they lie in the wrong place. List such images with `vepe data check`.",
                VepeWarning,
                stacklevel=3,
            )


_warned_places: set[Path] = set()
"""Folders and shards with an image of another size than its labels state, as warned of."""


@dataclass(frozen=True)
class LabelPolicy:
    """How the labels of a data set are to be understood.

    Attributes:
        complete, incomplete: background weight of images that say whether everybody in view is
            labelled (`complete` true or false in the file).
        unmarked: background weight of images that do not say.
        fps: frame rate of videos without timestamps.
        joints: data set keypoint -> keypoint of the skeleton; None drops one. Others are matched
            by name.
    """

    complete: float = 1.0
    incomplete: float = 0.0
    unmarked: float = 1.0
    fps: float = 25.0
    joints: Mapping[str, str | None] | None = None


class ImageIndex(Sequence[ImageRecord]):
    """The images of several label indices, one after the other.

    Keypoints that a data set lacks are unlabelled.

    Args:
        indices: labels, each in its data set's own skeleton.
        skeleton: the skeleton of the records.
        policy: how the labels are to be understood.

    Raises:
        VepeError: if a data set shares no keypoint with the skeleton.
    """

    def __init__(
        self, indices: Sequence[LabelIndex], skeleton: Skeleton, policy: LabelPolicy | None = None
    ) -> None:
        self.indices, self.skeleton = list(indices), skeleton
        self.policy = policy or LabelPolicy()
        self.joints = [
            _joint_pairs(i.keypoints, skeleton, self.policy.joints) for i in self.indices
        ]
        self.first = np.cumsum([0, *(len(index) for index in self.indices)])
        self.rows: Int[np.ndarray, "F"] = np.arange(self.first[-1])

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> ImageRecord: ...

    @overload
    def __getitem__(self, index: slice) -> list[ImageRecord]: ...

    def __getitem__(self, index: int | slice) -> ImageRecord | list[ImageRecord]:
        """Record `index`, or the list of a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = int(self.rows[index])
        part = int(np.searchsorted(self.first, row, side="right")) - 1
        return self._record(part, row - int(self.first[part]))

    def _record(self, part: int, frame: int) -> ImageRecord:
        labels, policy = self.indices[part], self.policy
        weights = {YES: policy.complete, NO: policy.incomplete}
        time_s = float(labels.time_s[frame])
        if np.isnan(time_s):
            time_s = float(labels.frame_index[frame]) / policy.fps
        width, height = labels.size_wh_px[frame]
        return ImageRecord(
            place=Path(labels.places[labels.place[frame]]),
            offset=int(labels.offsets[frame]),
            size=int(labels.sizes[frame]),
            name=labels.name(frame),
            people=_in_skeleton(labels.people(frame), self.joints[part], len(self.skeleton)),
            background_weight=weights.get(int(labels.complete[frame]), policy.unmarked),
            square_stretched=bool(labels.stretched[frame]),
            labelled=bool(labels.labelled[frame]),
            size_wh_px=(int(width), int(height)),
            time_s=time_s,
        )

    def select(self, mask: Bool[np.ndarray, "F"]) -> ImageIndex:
        """The images where `mask` is true; the labels are shared, not copied."""
        result = ImageIndex(self.indices, self.skeleton, self.policy)
        result.rows = self.rows[mask]
        return result

    def labelled(self) -> ImageIndex:
        """The images whose people are labelled."""
        mask = self.column("labelled")
        return self if mask.all() else self.select(mask)

    def column(self, name: str) -> np.ndarray:
        """A per-frame array of the label indices, such as `labelled`, for the selected images."""
        whole = np.concatenate([getattr(index, name) for index in self.indices])
        return whole[self.rows]

    def videos(self) -> Int[np.ndarray, "F"]:
        """Number of each image's video, unique over all indices; -1 for single images."""
        parts, first = [], 0
        for index in self.indices:
            parts.append(np.where(index.video >= 0, index.video + first, -1))
            first += int(index.video.max(initial=-1)) + 1
        return np.concatenate(parts)[self.rows]

    def times_s(self) -> Float[np.ndarray, "F"]:
        """Time of each image in its video, from the frame rate where the labels have no times."""
        times = self.column("time_s")
        return np.where(np.isnan(times), self.column("frame_index") / self.policy.fps, times)

    def people_counts(self) -> Int[np.ndarray, "F"]:
        """Number of labelled people in each image."""
        return np.concatenate([index.people_counts() for index in self.indices])[self.rows]

    def drop_missing(self, *, strict: bool, title: str) -> ImageIndex:
        """The images whose files exist; warns once with the number of the others.

        Raises:
            VepeError: if all are missing, or any is and `strict` is set.
        """
        exist = np.concatenate([_exist(index) for index in self.indices])[self.rows]
        missing = int((~exist).sum())
        if not missing:
            return self
        row = int(np.flatnonzero(~exist)[0])
        first = self[row]
        text = f"{title}: {missing} of {len(self)} images are missing (first: {first.name})"
        if strict or missing == len(self):
            raise VepeError(
                f"{text}; they were searched below '{first.place}', so check `images` and run "
                "`vepe data check`."
            )
        warnings.warn(f"{text}; they are skipped.", VepeWarning, stacklevel=2)
        return self.select(exist)

    def digest(self) -> str:
        """A short hash of the labels; does not depend on where the files are."""
        return "-".join(index.digest() for index in self.indices)


def _exist(index: LabelIndex) -> Bool[np.ndarray, "F"]:
    """Which images exist. Each folder is listed once, which is fast on network disks."""
    result = np.ones(len(index), bool)
    by_folder: defaultdict[Path, list[tuple[int, str]]] = defaultdict(list)
    for frame in np.flatnonzero(index.offsets < 0).tolist():
        path = Path(index.places[index.place[frame]], index.name(frame))
        by_folder[path.parent].append((frame, path.name))
    for folder, files in by_folder.items():
        try:
            names = {path.name for path in folder.iterdir()}
        except OSError:
            names = set()
        for frame, name in files:
            result[frame] = name in names
    return result


def _joint_pairs(
    names: tuple[str, ...], skeleton: Skeleton, joints: Mapping[str, str | None] | None
) -> Int[np.ndarray, "2 S"]:
    """Indices of the shared keypoints: in the data set, in the skeleton."""
    mapping = SAME_JOINT.get(names, {}) if joints is None else joints
    for name, target in (joints or {}).items():
        if name not in names:
            raise VepeError(f"`joints` names '{name}', but this set has {', '.join(names)}.")
        if target is not None:
            skeleton.index(target)
    targets = [mapping.get(n, n) if n not in skeleton.keypoints or joints else n for n in names]
    pairs = [
        (i, skeleton.keypoints.index(target))
        for i, target in enumerate(targets)
        if target in skeleton.keypoints
    ]
    if not pairs:
        raise VepeError(
            f"A set with the keypoints {', '.join(names)} shares none with the skeleton "
            f"'{skeleton.name}' ({', '.join(skeleton.keypoints)}); name them in `joints`."
        )
    return np.asarray(pairs, np.int64).T


def _in_skeleton(people: People, joints: Int[np.ndarray, "2 S"], num_keypoints: int) -> People:
    """The same people in another skeleton; keypoints that the data set lacks are unlabelled."""
    source, target = joints
    points = np.zeros((len(people), num_keypoints, 2), np.float32)
    visibility = np.zeros((len(people), num_keypoints), np.int64)
    points[:, target] = people.keypoints_px[:, source]
    visibility[:, target] = people.visibility[:, source]
    return replace(people, keypoints_px=points, visibility=visibility)
