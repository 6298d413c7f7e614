"""What the temporal parts add: the same weights with and without each of them.

    python benchmarks/temporal_parts.py --gt ANNOTATIONS --images ROOT [--model vepe-n]

Made for video of `vepe synth`, which labels all keypoints, hidden ones too. Every frame is encoded
once; the variants differ in what they read of the window. Columns: OKS AP of all poses without a
score threshold, over all keypoints, occluded keypoints, and fast keypoints, which move by more than
`FAST` of the root of the person's area per frame; MOTA and HOTA of the tracks at the default
threshold; jitter, the mean second difference of the keypoint error in thousandths of that root. The
spatial decoder's scores are not calibrated, so its tracks are left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track as with_bar

from vepe.config.model import ModelConfig
from vepe.evaluation.coco import coco_oks_ap
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.evaluation.run_model import as_people, frame_times_s, image_paths, without_people
from vepe.formats.annotations import AnnotatedSequence, Person
from vepe.formats.posetrack import read_posetrack
from vepe.inference import DEFAULT_CONF
from vepe.inference.devices import keep_freed_memory
from vepe.inference.prepost import Letterbox, frame_poses, letterbox
from vepe.inference.weights import load_weights
from vepe.models.backbone import fold_batch_norms
from vepe.models.streaming import FrameMemory, PoseOutput
from vepe.models.vepe import Vepe
from vepe.skeleton import POSETRACK15
from vepe.tracking.tracker import Tracker
from vepe.types import NO_TRACK, FramePoses
from vepe.video.images import read_image

FAST = 0.08
MAX_DISTANCE = 0.5
"""A prediction is matched with a person up to this mean distance, in roots of the area."""

Selection = Callable[[Person, Person | None], np.ndarray]
"""(K,) mask of the keypoints to evaluate, given a person and the same person a frame earlier."""


def root_area(person: Person) -> float:
    """Root of the person's area, the unit of all distances."""
    return max(float(person.extra.get("area", 0)), 1.0) ** 0.5


def all_keypoints(person: Person, before: Person | None) -> np.ndarray:
    return person.present


def occluded(person: Person, before: Person | None) -> np.ndarray:
    return person.present & (person.visibility == 0)


def fast(person: Person, before: Person | None) -> np.ndarray:
    if before is None:
        return np.zeros_like(person.present)
    distance = np.linalg.norm(person.keypoints_px - before.keypoints_px, axis=1)
    return person.present & before.present & (distance > FAST * root_area(person))


def as_coco(sequences: list[AnnotatedSequence], selection: Selection | None) -> dict:
    """Sequences as one COCO data set: selected labels, or predictions if `selection` is None."""
    images, people = [], []
    for sequence in sequences:
        before: dict[int | None, Person] = {}
        for frame in sequence.frames:
            number = len(images)
            images.append({"id": number, "width": frame.width, "height": frame.height})
            for person in frame.people:
                flags = person.keypoint_scores
                if selection is not None:
                    flags = 2.0 * selection(person, before.get(person.track_id))
                keypoints = np.column_stack([person.keypoints_px, flags])
                entry = {"image_id": number, "category_id": 1, "id": len(people) + 1}
                entry |= {"keypoints": keypoints.ravel().tolist(), "score": person.score}
                if selection is not None:
                    entry |= {"iscrowd": 0, "area": root_area(person) ** 2}
                    entry |= {"num_keypoints": int((flags > 0).sum())}
                    entry |= {"bbox": [float(v) for v in person.box_xywh_px]}
                people.append(entry)
            before = {p.track_id: p for p in frame.people}
    names = list(POSETRACK15.keypoints)
    category = {"id": 1, "name": "person", "keypoints": names, "sigmas": list(POSETRACK15.sigmas)}
    return {"images": images, "annotations": people, "categories": [category]}


def jitter(gt: list[AnnotatedSequence], pred: list[AnnotatedSequence]) -> float:
    """Mean second difference of keypoint errors, over people matched in three frames in a row."""
    differences: list[float] = []
    for gt_sequence, pred_sequence in zip(gt, pred, strict=True):
        errors: dict[int | None, list[np.ndarray]] = {}
        for gt_frame, pred_frame in zip(gt_sequence.frames, pred_sequence.frames, strict=True):
            matched = {}
            for person in gt_frame.people:
                offsets = [p.keypoints_px - person.keypoints_px for p in pred_frame.people]
                distances = [np.linalg.norm(o[person.present], axis=1).mean() for o in offsets]
                if distances and min(distances) < MAX_DISTANCE * root_area(person):
                    error = offsets[int(np.argmin(distances))] / root_area(person)
                    error[~person.present] = np.nan
                    matched[person.track_id] = [*errors.get(person.track_id, []), error][-3:]
            errors = matched
            for last in errors.values():
                if len(last) == 3:
                    second = np.linalg.norm(last[0] - 2 * last[1] + last[2], axis=1)
                    differences += second[~np.isnan(second)].tolist()
    return 1000 * float(np.mean(differences)) if differences else float("nan")


@dataclass(frozen=True)
class Variant:
    """Which temporal parts read the window; None is the model's own window."""

    window: int | None = None
    memory_interval: bool = True
    pose_encoder: bool = True
    memory_encoder: bool = True
    temporal: bool = True


VARIANTS = {
    "full": Variant(),
    "window 1": Variant(window=1),
    "no memory interval": Variant(memory_interval=False),
    "no pose encoder": Variant(pose_encoder=False),
    "no memory encoder": Variant(memory_encoder=False),
    "spatial decoder": Variant(temporal=False),
}


@dataclass(frozen=True)
class EncodedVideo:
    """A labelled video with each frame encoded once.

    Attributes:
        gt: the labels.
        times_s: timestamps of the frames.
        frames: what the temporal parts read.
        spatial: poses of the spatial decoder.
        fits: from the network's input to the image.
    """

    gt: AnnotatedSequence
    times_s: list[float]
    frames: list[FrameMemory]
    spatial: list[PoseOutput]
    fits: list[Letterbox]


@torch.inference_mode()
def encode_videos(model: Vepe, gt: Path, images: Path, input_px: int) -> Iterator[EncodedVideo]:
    """Encodes one labelled video after the other."""
    for sequence in with_bar(list(read_posetrack(gt)), "videos", console=Console(stderr=True)):
        frames, spatial, fits = [], [], []
        for path in image_paths(images, [f.file_name for f in sequence.frames]):
            image, padding, fit = letterbox(read_image(path), input_px, model.stride)
            frame, output = model.encode_frame(image, padding)
            frames.append(frame)
            spatial.append(PoseOutput.of(output.layers, frame.queries.identity))
            fits.append(fit)
        yield EncodedVideo(sequence, frame_times_s(sequence), frames, spatial, fits)


def read_window(model: Vepe, video: EncodedVideo, variant: Variant) -> list[PoseOutput]:
    """The poses of all frames of a video by one variant."""
    if not variant.temporal:
        return video.spatial
    full = model.window, model.pose_encoder, model.memory_encoder
    try:
        model.window = variant.window or model.window
        model.pose_encoder = model.pose_encoder if variant.pose_encoder else None
        model.memory_encoder = model.memory_encoder if variant.memory_encoder else None
        times = torch.tensor([video.times_s], dtype=torch.float64)
        interval_s = model.memory_interval_s if variant.memory_interval else 0.0
        return model.fuse_keys(video.frames, times, range(len(video.frames)), interval_s)
    finally:
        model.window, model.pose_encoder, model.memory_encoder = full


def tracked(poses: list[FramePoses], config: ModelConfig) -> Iterator[FramePoses]:
    """The tracks of a video's poses, as `vepe track` makes them."""
    tracker = Tracker(config.tracker.scaled_to(DEFAULT_CONF))
    state = tracker.start()
    for frame in poses:
        people = frame.select(np.flatnonzero(frame.scores >= tracker.settings.low_threshold))
        state, people = tracker.step(state, people)
        yield people.select(people.track_ids != NO_TRACK)


def as_sequence(
    gt: AnnotatedSequence, pred: list[FramePoses], config: ModelConfig
) -> AnnotatedSequence:
    """The predictions of a video in place of its labels."""
    frames = []
    for frame, poses in zip(gt.frames, pred, strict=True):
        people = as_people(poses, config.skeleton, POSETRACK15)
        frames.append(replace(without_people(frame), people=people, has_annotations=bool(people)))
    return replace(gt, frames=tuple(frames), source=Path(f"poses on {gt.name}"))


@torch.inference_mode()
def predict(
    model: Vepe, videos: Iterable[EncodedVideo]
) -> tuple[list[AnnotatedSequence], dict[str, list[list[FramePoses]]]]:
    """The labels, and the poses of every video by variant."""
    gt: list[AnnotatedSequence] = []
    pred: dict[str, list[list[FramePoses]]] = {name: [] for name in VARIANTS}
    for video in videos:
        gt.append(video.gt)
        for name, variant in VARIANTS.items():
            outputs = read_window(model, video, variant)
            pred[name].append(
                [
                    frame_poses(output, fit, frame_index=k, time_s=video.times_s[k], conf=0.0)
                    for k, (output, fit) in enumerate(zip(outputs, video.fits, strict=True))
                ]
            )
    return gt, pred


def measure(
    gt: list[AnnotatedSequence],
    pred: list[list[FramePoses]],
    config: ModelConfig,
    *,
    tracks: bool,
) -> dict[str, float]:
    """One row of the table."""
    poses = [as_sequence(s, p, config) for s, p in zip(gt, pred, strict=True)]
    predictions = as_coco(poses, None)
    selections = {"all": all_keypoints, "occluded": occluded, "fast": fast}
    row = {
        f"AP {name}": coco_oks_ap(as_coco(gt, selection), predictions).ap
        for name, selection in selections.items()
    }
    if tracks:
        by_track = [list(tracked(p, config)) for p in pred]
        sequences = [as_sequence(s, p, config) for s, p in zip(gt, by_track, strict=True)]
        scores = PoseTrackMatch.load(gt, sequences).result("fixed")
        assert scores.mota is not None
        assert scores.hota is not None
        row["MOTA"] = scores.mota.total
        row |= {name: scores.hota[name] for name in ("HOTA", "AssA")}
    return row | {"jitter": jitter(gt, poses)}


def arguments(title: str) -> argparse.ArgumentParser:
    """A parser with the options for data and model."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("--input-px", type=int)
    return parser


def start(options: argparse.Namespace) -> tuple[Vepe, ModelConfig, Iterator[EncodedVideo]]:
    """The model, its configuration, and the videos, encoded one by one on demand."""
    keep_freed_memory()
    model, config, _ = load_weights(options.model)
    fold_batch_norms(model)
    input_px = options.input_px or config.input_px
    return model, config, encode_videos(model, options.gt, options.images, input_px)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model, config, videos = start(options)
    gt, pred = predict(model, videos)
    rows = {
        name: measure(gt, poses, config, tracks=VARIANTS[name].temporal)
        for name, poses in pred.items()
    }
    print("| | " + " | ".join(rows["full"]) + " |")
    print("|---" * (1 + len(rows["full"])) + "|")
    for name, row in rows.items():
        cells = [f"{row[key]:.1f}" if key in row else "" for key in rows["full"]]
        print(f"| {name} | " + " | ".join(cells) + " |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
