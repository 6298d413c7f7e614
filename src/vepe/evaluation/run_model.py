"""Runs a model on the images of a ground truth, for `vepe evaluate --model` and for training.

Torch is imported only when a model is loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person
from vepe.formats.data_paths import path_inside
from vepe.formats.files import dump_json, load_json, safe_name
from vepe.formats.posetrack import read_posetrack
from vepe.formats.posetrack18_writer import write_posetrack18
from vepe.skeleton import POSETRACK15, Skeleton
from vepe.types import FramePoses
from vepe.video.images import read_image

if TYPE_CHECKING:
    from vepe.inference.predictor import Predictor

DEFAULT_FPS = 25.0
"""Frame rate of images without timestamps (that of PoseTrack's videos)."""
COCO_CONF = 0.0
"""Default person score threshold for COCO and CrowdPose: AP ranks people by score, so that a
threshold can only lower it."""
POSETRACK_CONF = 0.05
"""The same for PoseTrack, above 0 because every false track lowers MOTA."""

LoadModel = Callable[[], "Predictor"]
Progress = Callable[[list[Any], str], Iterable[Any]]
"""Iterates over a list of things with the given name and shows the progress."""


@dataclass(frozen=True)
class ModelOptions:
    """Which model runs and how; None stands for the default of the model or the benchmark.

    `save_pred` is where the predictions are written to; None for nowhere. `flip` merges the poses
    of each frame with those of its mirror image.
    """

    model: str
    device: str = "auto"
    conf: float | None = None
    input_px: int | None = None
    window: int | None = None
    save_pred: Path | None = None
    backend: str = "auto"
    flip: bool = False

    def save(self, predictions: Mapping[str, Any] | Sequence[AnnotatedSequence]) -> None:
        """Writes the predictions to `save_pred`, if that is set: COCO's document to a file, or
        each sequence as PoseTrack18's JSON into a folder.

        Raises:
            VepeError: if it cannot be written.
        """
        if self.save_pred is None:
            return
        if isinstance(predictions, Mapping):
            dump_json(self.save_pred, predictions)
            return
        for sequence in predictions:
            write_posetrack18(self.save_pred / f"{safe_name(sequence.name)}.json", sequence)

    def load(self, default_conf: float) -> Predictor:
        """The predictor, with `default_conf` unless a threshold is set. Errors as `vepe.load`."""
        from vepe.inference import predictor

        conf = default_conf if self.conf is None else self.conf
        return predictor.load(
            self.model,
            backend=self.backend,
            device=self.device,
            conf=conf,
            input_px=self.input_px,
            window=self.window,
            flip=self.flip,
        )


def no_progress(items: list[Any], what: str) -> Iterable[Any]:
    """Shows nothing."""
    return items


def predict_coco(
    gt_file: Path, images: Path, load: LoadModel, progress: Progress = no_progress
) -> tuple[dict[str, Any], dict[str, Any]]:
    """People in the images of a COCO or CrowdPose file, each image on its own.

    Args:
        gt_file: the ground truth.
        images: folder that its image names are relative to.
        load: returns the predictor; called after all image files were located.
        progress: wraps the loop over images, e.g. in a progress bar.

    Returns:
        Content of the ground truth file, and predictions as `vepe predict` writes them; both are
        arguments of `coco_oks_ap` and `crowdpose_ap`.

    Raises:
        VepeError: if images are missing or the model cannot be loaded.
    """
    gt = load_json(gt_file)
    records = gt.get("images") if isinstance(gt, Mapping) else None
    if not isinstance(records, list) or not all(
        isinstance(r, Mapping) and isinstance(r.get("file_name"), str) for r in records
    ):
        raise VepeError(f"{gt_file} has no list 'images' with file names; it is no COCO file.")
    paths = image_paths(images, [r["file_name"] for r in records], flat=True)
    predictor = load()
    people = []
    for record, path in progress(list(zip(records, paths, strict=True)), "images"):
        poses = predictor.predict(path)
        # (N, K, 3): x, y, confidence.
        keypoints = np.concatenate([poses.keypoints_px, poses.keypoint_scores[..., None]], axis=2)
        for points, score in zip(keypoints.astype(float), poses.scores, strict=True):
            people.append(
                {
                    "image_id": record.get("id"),
                    "category_id": 1,
                    "keypoints": points.ravel().tolist(),
                    "score": float(score),
                }
            )
    names = list(predictor.skeleton.keypoints)
    return dict(gt), {
        "images": [{"id": r.get("id")} for r in records],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }


def track_posetrack(
    gt: Path, images: Path, load: LoadModel, name: str, progress: Progress = no_progress
) -> tuple[list[AnnotatedSequence], list[AnnotatedSequence]]:
    """Ground truth sequences, and the model's tracks on the same frames.

    Args:
        gt: a PoseTrack folder or file.
        name: of the model, for messages.
        images, load, progress: as for `predict_coco`.

    Returns:
        Arguments of `PoseTrackMatch.load`.

    Raises:
        VepeError: if images are missing or the model cannot be loaded.
    """
    sequences = list(read_posetrack(gt))
    return sequences, track_sequences(sequences, images, load, name, progress, POSETRACK15)


def track_sequences(
    sequences: list[AnnotatedSequence],
    images: Path,
    load: LoadModel,
    name: str,
    progress: Progress = no_progress,
    target: Skeleton | None = None,
) -> list[AnnotatedSequence]:
    """The model's tracks on the frames of labelled sequences.

    Args:
        target: keypoints of the result; the model's own if None.
        images, load, name, progress: as for `track_posetrack`.

    Raises:
        VepeError: if images are missing or the model cannot be loaded.
    """
    paths = [image_paths(images, [f.file_name for f in s.frames]) for s in sequences]
    times_s = [frame_times_s(s) for s in sequences]
    predictor = load()
    pred: list[list[AnnotatedFrame]] = [[without_people(f) for f in s.frames] for s in sequences]
    streams = [predictor.stream(DEFAULT_FPS) for _ in sequences]
    work = [(s, k) for s, sequence in enumerate(sequences) for k in range(len(sequence))]
    for s, k in progress(work, "frames"):
        # A model with look-ahead returns a frame some pushes later.
        outputs = list(streams[s].push(read_image(paths[s][k]), times_s[s][k], k))
        if k + 1 == len(paths[s]):
            outputs += streams[s].finish()
        for poses in outputs:
            people = as_people(poses, predictor.skeleton, target or predictor.skeleton)
            pred[s][poses.frame_index] = replace(
                pred[s][poses.frame_index], people=people, has_annotations=bool(people)
            )
    return [
        replace(
            s,
            frames=tuple(f),
            skeleton=target or predictor.skeleton,
            source=Path(f"{name} on {s.name}"),
        )
        for s, f in zip(sequences, pred, strict=True)
    ]


def without_people(frame: AnnotatedFrame) -> AnnotatedFrame:
    """The frame without its annotations."""
    return replace(frame, people=(), has_annotations=False, ignore_regions_px=(), extra={})


def as_people(poses: FramePoses, skeleton: Skeleton, target: Skeleton) -> tuple[Person, ...]:
    """The people of a frame, with the keypoints of `target` that the model's skeleton has."""
    to, source = target.shared_with(skeleton)
    k = len(target)
    result = []
    for i in range(len(poses)):
        xy, scores, present = np.zeros((k, 2)), np.full(k, np.nan), np.zeros(k, bool)
        xy[to], scores[to] = poses.keypoints_px[i, source], poses.keypoint_scores[i, source]
        present[to] = True
        result.append(
            Person(
                keypoints_px=xy,
                present=present,
                visibility=present.astype(float),
                keypoint_scores=scores,
                score=float(poses.scores[i]),
                track_id=int(poses.track_ids[i]),
            )
        )
    return tuple(result)


def frame_times_s(sequence: AnnotatedSequence) -> list[float]:
    """Strictly increasing times in seconds.

    The first that is complete and increasing: the file's timestamps, its frame numbers at
    `DEFAULT_FPS`, the frames' positions at `DEFAULT_FPS`.
    """
    stamps = [frame.time_s for frame in sequence.frames if frame.time_s is not None]
    numbers = [frame.index / DEFAULT_FPS for frame in sequence.frames]
    positions = [k / DEFAULT_FPS for k in range(len(sequence))]
    for times in (stamps, numbers):
        if len(times) == len(positions) and all(b > a for a, b in pairwise(times)):
            return times
    return positions


def image_paths(images: Path, names: list[str], *, flat: bool = False) -> list[Path]:
    """The files of images: the names under the folder.

    Args:
        images: the folder.
        names: as in the ground truth.
        flat: whether an image may also lie in the folder itself, by the last part of its name (a
            common layout of COCO's images). Applies only if these last parts are unique, so that
            no image is taken for another.

    Raises:
        VepeError: names the first image that does not exist.
    """
    flat = flat and max(Counter(Path(name).name for name in names).values(), default=1) == 1
    paths = []
    for name in names:
        path = path_inside(images, name)
        if flat and not path.is_file():
            path = path_inside(images, Path(name).name)
        if not path.is_file():
            raise VepeError(
                f"{images / name} does not exist; --images has to be the folder that the names in "
                "the ground truth are relative to."
            )
        paths.append(path)
    return paths
