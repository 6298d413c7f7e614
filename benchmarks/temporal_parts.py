"""What the temporal parts add: the same weights with their window and with a window of one.

    python benchmarks/temporal_parts.py --gt ANNOTATIONS --images ROOT [--model vepe-n]

Made for video of `vepe synth` (every keypoint labelled, hidden ones too). Every frame is encoded
once; the variants differ in what they read of the window. For each: OKS AP of all poses whatever
their score, over all keypoints, over those that something hides, and over those that move fast (by
more than FAST of the root of the person's area in a frame: what blurs); MOTA and HOTA of the tracks
at the default threshold; and jitter, the mean second difference of a keypoint's error in
thousandths of that root. The frame path's scores are not calibrated, so its tracks are left out.
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
from vepe.inference.devices import DEFAULT_CONF, keep_freed_memory
from vepe.inference.predictor import tracker_settings
from vepe.inference.prepost import Letterbox, frame_poses, letterbox
from vepe.inference.weights import load_weights
from vepe.models.backbone import fold_batch_norms
from vepe.models.streaming import FrameFeatures, PoseOutput
from vepe.models.vepe import Vepe
from vepe.skeleton import POSETRACK15
from vepe.tracking.tracker import Tracker
from vepe.types import NO_TRACK, FramePoses
from vepe.video.images import read_image

FAST = 0.08
MATCH_SHARE = 0.5
"""A prediction is compared with a person where its keypoints lie this near on average, in roots."""

Wanted = Callable[[Person, Person | None], np.ndarray]
"""(K,) keypoints that count, given the person and itself in the frame before."""


def root_of(person: Person) -> float:
    """Root of the area, the unit of all distances."""
    return max(float(person.extra.get("area", 0)), 1.0) ** 0.5


def everything(person: Person, before: Person | None) -> np.ndarray:
    return person.present


def hidden(person: Person, before: Person | None) -> np.ndarray:
    return person.present & (person.visibility == 0)


def fast(person: Person, before: Person | None) -> np.ndarray:
    if before is None:
        return np.zeros_like(person.present)
    way = np.linalg.norm(person.keypoints_px - before.keypoints_px, axis=1)
    return person.present & before.present & (way > FAST * root_of(person))


def as_coco(sequences: list[AnnotatedSequence], wanted: Wanted | None) -> dict:
    """Sequences as one COCO table: truth with the wanted labels alone, or (None) predictions."""
    images, people = [], []
    for sequence in sequences:
        before: dict[int | None, Person] = {}
        for frame in sequence.frames:
            number = len(images)
            images.append({"id": number, "width": frame.width, "height": frame.height})
            for person in frame.people:
                flags = person.keypoint_scores
                if wanted is not None:
                    flags = 2.0 * wanted(person, before.get(person.track_id))
                keypoints = np.column_stack([person.keypoints_px, flags])
                entry = {"image_id": number, "category_id": 1, "id": len(people) + 1}
                entry |= {"keypoints": keypoints.ravel().tolist(), "score": person.score}
                if wanted is not None:
                    entry |= {"iscrowd": 0, "area": root_of(person) ** 2}
                    entry |= {"num_keypoints": int((flags > 0).sum())}
                    entry |= {"bbox": [float(v) for v in person.box_xywh_px]}
                people.append(entry)
            before = {p.track_id: p for p in frame.people}
    names = list(POSETRACK15.keypoints)
    category = {"id": 1, "name": "person", "keypoints": names}
    category["sigmas"] = list(POSETRACK15.sigmas)
    return {"images": images, "annotations": people, "categories": [category]}


def jitter(truth: list[AnnotatedSequence], found: list[AnnotatedSequence]) -> float:
    """Mean second difference of the error of keypoints, over people matched in three frames."""
    seen: list[float] = []
    for labels, poses in zip(truth, found, strict=True):
        errors: dict[int | None, list[np.ndarray]] = {}
        for frame, answer in zip(labels.frames, poses.frames, strict=True):
            present = {}
            for person in frame.people:
                offsets = [p.keypoints_px - person.keypoints_px for p in answer.people]
                far = [np.linalg.norm(o[person.present], axis=1).mean() for o in offsets]
                if far and min(far) < MATCH_SHARE * root_of(person):
                    error = offsets[int(np.argmin(far))] / root_of(person)
                    error[~person.present] = np.nan
                    present[person.track_id] = [*errors.get(person.track_id, []), error][-3:]
            errors = present
            for last in errors.values():
                if len(last) == 3:
                    second = np.linalg.norm(last[0] - 2 * last[1] + last[2], axis=1)
                    seen += second[~np.isnan(second)].tolist()
    return 1000 * float(np.mean(seen)) if seen else float("nan")


@dataclass(frozen=True)
class Variant:
    """A way of reading the window; the frame path before it is the same for all."""

    window: int | None = None
    spaced: bool = True
    pose_encoder: bool = True
    memory_encoder: bool = True
    temporal: bool = True


VARIANTS = {
    "full": Variant(),
    "window 1": Variant(window=1),
    "no spacing": Variant(spaced=False),
    "no pose encoder": Variant(pose_encoder=False),
    "no memory encoder": Variant(memory_encoder=False),
    "frame path alone": Variant(temporal=False),
}


def frame_path_output(features: FrameFeatures) -> PoseOutput:
    """What the frame path alone says of a frame, before anything that reads the window."""
    last = features.layers[-1]
    return PoseOutput(
        last.score_logits,
        last.keypoints_px,
        last.confidence_logits,
        features.queries.identity,
        [last],
    )


def read_window(
    model: Vepe, frames: list[FrameFeatures], times_s: list[float], variant: Variant
) -> list[PoseOutput]:
    """The poses of all frames of a video, read as the variant does."""
    if not variant.temporal:
        return [frame_path_output(f) for f in frames]
    whole = model.window, model.pose_encoder, model.memory_encoder
    try:
        model.window = variant.window or model.window
        model.pose_encoder = model.pose_encoder if variant.pose_encoder else None
        model.memory_encoder = model.memory_encoder if variant.memory_encoder else None
        times = torch.tensor([times_s], dtype=torch.float64)
        spacing = model.spacing_s if variant.spaced else 0.0
        return model.fuse_keys(frames, times, range(len(frames)), spacing)
    finally:
        model.window, model.pose_encoder, model.memory_encoder = whole


def tracked(poses: list[FramePoses]) -> Iterator[FramePoses]:
    """The tracks of a video's poses, as `vepe track` makes them."""
    tracker = Tracker(tracker_settings(DEFAULT_CONF))
    state = tracker.start()
    for frame in poses:
        people = frame.select(np.flatnonzero(frame.scores >= tracker.settings.weak_score))
        state, people = tracker.step(state, people)
        yield people.select(people.track_ids != NO_TRACK)


def as_sequence(
    truth: AnnotatedSequence, poses: list[FramePoses], config: ModelConfig
) -> AnnotatedSequence:
    """The poses in place of the labels."""
    frames = []
    for frame, found in zip(truth.frames, poses, strict=True):
        people = as_people(found, config.skeleton, POSETRACK15)
        frames.append(replace(without_people(frame), people=people, has_annotations=bool(people)))
    return replace(truth, frames=tuple(frames), source=Path(f"poses on {truth.name}"))


@dataclass(frozen=True)
class EncodedVideo:
    """A labelled video, its times, and what the frame path makes of every frame."""

    truth: AnnotatedSequence
    times_s: list[float]
    frames: list[FrameFeatures]
    fits: list[Letterbox]


@torch.inference_mode()
def encoded(model: Vepe, gt: Path, images: Path, input_px: int) -> Iterator[EncodedVideo]:
    """One video after the other, each frame encoded once."""
    for truth in with_bar(list(read_posetrack(gt)), "videos", console=Console(stderr=True)):
        frames, fits = [], []
        for path in image_paths(images, [f.file_name for f in truth.frames]):
            image, padding, fit = letterbox(read_image(path), input_px, model.stride)
            frames.append(model.encode_frame(image, padding))
            fits.append(fit)
        yield EncodedVideo(truth, frame_times_s(truth), frames, fits)


@torch.inference_mode()
def poses_of(
    model: Vepe, videos: Iterable[EncodedVideo]
) -> tuple[list[AnnotatedSequence], dict[str, list[list[FramePoses]]]]:
    """The labels, and for each variant the poses of every video."""
    truth: list[AnnotatedSequence] = []
    found: dict[str, list[list[FramePoses]]] = {name: [] for name in VARIANTS}
    for video in videos:
        truth.append(video.truth)
        for name, variant in VARIANTS.items():
            outputs = read_window(model, video.frames, video.times_s, variant)
            found[name].append(
                [
                    frame_poses(output, fit, frame_index=k, time_s=video.times_s[k], conf=0.0)
                    for k, (output, fit) in enumerate(zip(outputs, video.fits, strict=True))
                ]
            )
    return truth, found


def measure(
    truth: list[AnnotatedSequence],
    poses: list[list[FramePoses]],
    config: ModelConfig,
    *,
    tracks: bool,
) -> dict[str, float]:
    """One row of the table."""
    every = [as_sequence(s, p, config) for s, p in zip(truth, poses, strict=True)]
    predictions = as_coco(every, None)
    row = {
        f"AP {kind}": coco_oks_ap(as_coco(truth, wanted), predictions).ap
        for kind, wanted in (("all", everything), ("hidden", hidden), ("fast", fast))
    }
    if tracks:
        found = [
            as_sequence(s, list(tracked(p)), config) for s, p in zip(truth, poses, strict=True)
        ]
        scores = PoseTrackMatch.load(truth, found).result("fixed")
        assert scores.mota is not None
        assert scores.hota is not None
        row["MOTA"] = scores.mota.total
        row |= {name: scores.hota[name] for name in ("HOTA", "AssA")}
    return row | {"jitter": jitter(truth, every)}


def arguments(title: str) -> argparse.ArgumentParser:
    """The options that say which videos, and by which model."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("--input-px", type=int)
    return parser


def started(options: argparse.Namespace) -> tuple[Vepe, ModelConfig, Iterator[EncodedVideo]]:
    """The model, its configuration, and the videos as it is asked for them."""
    keep_freed_memory()
    model, config, _ = load_weights(options.model)
    fold_batch_norms(model)
    input_px = options.input_px or config.input_px
    return model, config, encoded(model, options.gt, options.images, input_px)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model, config, videos = started(options)
    truth, poses = poses_of(model, videos)
    rows = {
        name: measure(truth, found, config, tracks=VARIANTS[name].temporal)
        for name, found in poses.items()
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
