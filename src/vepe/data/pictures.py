"""Labelled pictures of one or several indices as a sequence; each is decoded when asked for."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vepe.data.clip import People
from vepe.data.label_index import NO, YES, LabelIndex
from vepe.errors import VepeError, VepeWarning
from vepe.formats.files import path_inside
from vepe.formats.pictures import is_cut_off
from vepe.skeleton import CROWDPOSE14, Skeleton

SAME_JOINT = {CROWDPOSE14.keypoints: {"head": "head_top", "neck": "head_bottom"}}
"""Joints that are the same place under another name, by the keypoints of the set that has them.

CrowdPose took head and neck over from MPII's top of the head and upper neck, PoseTrack's ends of
the head.
"""


class UnreadablePictureError(VepeError):
    """A picture that is missing, cut off or no picture."""


@dataclass(frozen=True)
class Still:
    """One labelled picture.

    Attributes:
        place: the folder that `name` is relative to, or the tar file that holds it.
        offset, size: where its bytes are in the tar; -1 for a plain file.
        name: its file name.
        people: its labels, in the wanted skeleton; `track_ids` -1 where there is none.
        background_weight: see `Clip`.
        square_stretched: the picture was squeezed to a square, its aspect is not to be trusted.
        labelled: whether its people are labelled at all.
        size_wh_px: width and height as the labels say, 0 where they do not.
        time_s: its time in its video.
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

    def bytes_there(self) -> int:
        """Size of the picture's file; 0 where it is gone."""
        if self.offset >= 0:
            return self.size
        path = path_inside(self.place, self.name)
        return path.stat().st_size if path.is_file() else 0

    def raw(self) -> bytes:
        """The bytes of the picture's file. Raises UnreadablePictureError where they are gone.

        Raises VepeError where the name leads out of its folder.
        """
        try:
            if self.offset < 0:
                return path_inside(self.place, self.name).read_bytes()
            with self.place.open("rb") as file:
                file.seek(self.offset)
                return file.read(self.size)
        except OSError as error:
            raise UnreadablePictureError(
                f"Picture '{self.name}' in '{self.place}' cannot be read ({error.strerror}); "
                "restore it."
            ) from error

    def image(self) -> UInt8[np.ndarray, "H W 3"]:
        """The decoded picture, RGB. Raises UnreadablePictureError where it cannot be read."""
        raw = self.raw()
        image = None
        if raw and not is_cut_off(raw):
            image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise UnreadablePictureError(
                f"Picture '{self.name}' in '{self.place}' is damaged; copy it again."
            )
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


@dataclass(frozen=True)
class Reading:
    """How an index is to be taken.

    Attributes:
        complete, incomplete: background weight of pictures that say that everybody in view is
            labelled, and of those that say not.
        unsaid: background weight of pictures that say neither.
        fps: frames a second of videos without timestamps.
        joints: names of the wanted skeleton by names of the set; None drops a joint. Joints that
            are not named here are found by their own name.
    """

    complete: float = 1.0
    incomplete: float = 0.0
    unsaid: float = 1.0
    fps: float = 25.0
    joints: Mapping[str, str | None] | None = None


class Pictures(Sequence[Still]):
    """Frames of several indices in a row, with their joints in the wanted skeleton.

    Joints that a set lacks stay unlabelled. The frames may be narrowed by `keep`.

    Raises:
        VepeError: where a set shares no joint with the skeleton.
    """

    def __init__(
        self, indices: Sequence[LabelIndex], skeleton: Skeleton, reading: Reading | None = None
    ) -> None:
        self.indices, self.skeleton = list(indices), skeleton
        self.reading = reading or Reading()
        self.joints = [_joints(i.keypoints, skeleton, self.reading.joints) for i in self.indices]
        counts = [len(index) for index in self.indices]
        self.first = np.cumsum([0, *counts])
        self.rows: Int[np.ndarray, "F"] = np.arange(self.first[-1])

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Still: ...

    @overload
    def __getitem__(self, index: slice) -> list[Still]: ...

    def __getitem__(self, index: int | slice) -> Still | list[Still]:
        """Picture `index`, or the list of several."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = int(self.rows[index])
        part = int(np.searchsorted(self.first, row, side="right")) - 1
        return self._still(part, row - int(self.first[part]))

    def _still(self, part: int, frame: int) -> Still:
        labels, reading = self.indices[part], self.reading
        weights = {YES: reading.complete, NO: reading.incomplete}
        time_s = float(labels.time_s[frame])
        if np.isnan(time_s):
            time_s = float(labels.frame_index[frame]) / reading.fps
        width, height = labels.size_wh_px[frame]
        return Still(
            place=Path(labels.places[labels.place[frame]]),
            offset=int(labels.offsets[frame]),
            size=int(labels.sizes[frame]),
            name=labels.name(frame),
            people=_in_skeleton(labels.people(frame), self.joints[part], len(self.skeleton)),
            background_weight=weights.get(int(labels.complete[frame]), reading.unsaid),
            square_stretched=bool(labels.stretched[frame]),
            labelled=bool(labels.labelled[frame]),
            size_wh_px=(int(width), int(height)),
            time_s=time_s,
        )

    def keep(self, mask: Bool[np.ndarray, "F"]) -> Pictures:
        """The pictures where `mask` is true; the labels are shared, not copied."""
        narrowed = Pictures(self.indices, self.skeleton, self.reading)
        narrowed.rows = self.rows[mask]
        return narrowed

    def labelled(self) -> Pictures:
        """The pictures whose people are labelled."""
        mask = self.column("labelled")
        return self if mask.all() else self.keep(mask)

    def column(self, name: str) -> np.ndarray:
        """An array over the frames, such as `labelled`, for the pictures here."""
        whole = np.concatenate([getattr(index, name) for index in self.indices])
        return whole[self.rows]

    def videos(self) -> Int[np.ndarray, "F"]:
        """Number of the video of every picture, unique over all indices; -1 for single ones."""
        parts, first = [], 0
        for index in self.indices:
            parts.append(np.where(index.video >= 0, index.video + first, -1))
            first += int(index.video.max(initial=-1)) + 1
        return np.concatenate(parts)[self.rows]

    def times_s(self) -> Float[np.ndarray, "F"]:
        """Time of every picture in its video, by the frame rate where the set has no times."""
        times = self.column("time_s")
        return np.where(np.isnan(times), self.column("frame_index") / self.reading.fps, times)

    def people_counts(self) -> Int[np.ndarray, "F"]:
        """Number of people labelled in every picture."""
        return np.concatenate([index.people_counts() for index in self.indices])[self.rows]

    def there(self, *, strict: bool, title: str) -> Pictures:
        """The pictures whose files exist; the number of the others is told once.

        Raises:
            VepeError: where all are missing, or one is and `strict` is set.
        """
        exist = np.concatenate([_exist(index) for index in self.indices])[self.rows]
        missing = int((~exist).sum())
        if not missing:
            return self
        row = int(np.flatnonzero(~exist)[0])
        first = self[row]
        text = f"{title}: {missing} of {len(self)} pictures are missing (first: {first.name})"
        if strict or missing == len(self):
            raise VepeError(
                f"{text}; they were looked for below '{first.place}', so check `images` and run "
                "`vepe data check`."
            )
        warnings.warn(f"{text}; they are skipped.", VepeWarning, stacklevel=2)
        return self.keep(exist)

    def digest(self) -> str:
        """A short text that tells what was read."""
        return "-".join(index.digest() for index in self.indices)


def _exist(index: LabelIndex) -> Bool[np.ndarray, "F"]:
    """Which pictures are there; every folder is listed once, which is quick on network disks."""
    result = np.ones(len(index), bool)
    wanted: defaultdict[Path, list[tuple[int, str]]] = defaultdict(list)
    for frame in np.flatnonzero(index.offsets < 0).tolist():
        path = Path(index.places[index.place[frame]], index.name(frame))
        wanted[path.parent].append((frame, path.name))
    for folder, files in wanted.items():
        try:
            names = {path.name for path in folder.iterdir()}
        except OSError:
            names = set()
        for frame, name in files:
            result[frame] = name in names
    return result


def _joints(
    names: tuple[str, ...], skeleton: Skeleton, given: Mapping[str, str | None] | None
) -> Int[np.ndarray, "2 S"]:
    """Indices of the joints that both know: in the set, in the skeleton."""
    known = SAME_JOINT.get(names, {}) if given is None else given
    for name, meaning in (given or {}).items():
        if name not in names:
            raise VepeError(f"`joints` names '{name}', but this set has {', '.join(names)}.")
        if meaning is not None:
            skeleton.index(meaning)
    meanings = [known.get(n, n) if n not in skeleton.keypoints or given else n for n in names]
    pairs = [
        (i, skeleton.keypoints.index(meaning))
        for i, meaning in enumerate(meanings)
        if meaning in skeleton.keypoints
    ]
    if not pairs:
        raise VepeError(
            f"A set with the keypoints {', '.join(names)} shares none with the skeleton "
            f"'{skeleton.name}' ({', '.join(skeleton.keypoints)}); name them in `joints`."
        )
    return np.asarray(pairs, np.int64).T


def _in_skeleton(people: People, joints: Int[np.ndarray, "2 S"], count: int) -> People:
    """The same people with the keypoints of the wanted skeleton; what a set lacks has no label."""
    source, target = joints
    points = np.zeros((len(people), count, 2), np.float32)
    visibility = np.zeros((len(people), count), np.int64)
    points[:, target] = people.keypoints_px[:, source]
    visibility[:, target] = people.visibility[:, source]
    return replace(people, keypoints_px=points, visibility=visibility)
