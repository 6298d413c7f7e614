"""What the temporal parts add: the same weights with and without each of them.

    python benchmarks/temporal_parts.py --gt ANNOTATIONS --images ROOT [--model vepe-n]

Made for video of `vepe synth`, which labels all keypoints, hidden ones too. Every frame is encoded
once; the variants differ in what they read of the window. Columns: OKS AP of all poses without a
score threshold, over all keypoints, occluded keypoints, and fast keypoints, which move by more than
`FAST` of the root of the person's area per frame; MOTA and HOTA of the tracks at the default
threshold; jitter, the mean second difference of the keypoint error in thousandths of that root; and
the paired gain: how the OKS of the same people changes against a window of one, with its standard
error over videos. Both are those of the pose with the highest score of those on the person, which
is the one that is drawn; `nearest` columns take the pose nearest to the labels instead, whatever
its score. Several of the model's queries lie on one person, the window moves the best of them
alone, and the nearest is often another. The spatial decoder's scores are not calibrated, so its
tracks are left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track as with_bar
from video_measures import all_keypoints, as_coco, fast, jitter, mean_gain, occluded

from vepe.config.model import ModelConfig
from vepe.evaluation.coco import coco_oks_ap
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.evaluation.run_model import as_people, frame_times_s, image_paths, without_people
from vepe.formats.annotations import AnnotatedSequence
from vepe.formats.posetrack import read_posetrack
from vepe.inference import DEFAULT_CONF
from vepe.inference.devices import keep_freed_memory
from vepe.inference.prepost import Letterbox, frame_poses, letterbox
from vepe.inference.torch_network import numpy_poses
from vepe.inference.weights import load_weights
from vepe.models.backbone import fold_batch_norms
from vepe.models.decoder_layer import PoseOutput
from vepe.models.step import network_input
from vepe.models.streaming import FrameMemory, fuse_clips
from vepe.models.vepe import Vepe
from vepe.skeleton import POSETRACK15
from vepe.tracking.tracker import Tracker
from vepe.types import NO_TRACK, FramePoses
from vepe.video.images import read_image


@dataclass(frozen=True)
class Variant:
    """What is read of the window; the model's own settings where nothing is said."""

    window: int | None = None
    lookahead: int | None = None
    alignment: bool = True
    uniform: bool = False
    spatial: bool = False


VARIANTS = {
    "window 1": Variant(window=1),
    "spatial decoder alone": Variant(spatial=True),
    "causal, window 2": Variant(window=2, lookahead=0),
    "causal, window 3": Variant(window=3, lookahead=0),
    "causal": Variant(lookahead=0),
    "lookahead 2, window 3": Variant(window=3, lookahead=2),
    "lookahead 2, window 5": Variant(window=5, lookahead=2),
    "lookahead 2": Variant(window=6, lookahead=2),
    "full": Variant(),
    "full, no alignment": Variant(alignment=False),
    "full, uniform matching": Variant(uniform=True),
}
BASELINE = "window 1"


@dataclass(frozen=True)
class EncodedVideo:
    """A labelled video with each frame encoded once.

    Attributes:
        gt: the labels.
        times_s: timestamps of the frames.
        frames: what fusion reads.
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
            image, fit = letterbox(read_image(path), input_px, model.stride)
            size = torch.tensor([fit.resized_wh])
            pixels, padding = network_input(torch.from_numpy(image[None]), size)
            frame, output = model.encode_frame(pixels, padding)
            frames.append(frame)
            spatial.append(PoseOutput.of(output.layers[-1], frame.poses.identity))
            fits.append(fit)
        yield EncodedVideo(sequence, frame_times_s(sequence), frames, spatial, fits)


def read_window(model: Vepe, video: EncodedVideo, variant: Variant) -> list[PoseOutput]:
    """The poses of all frames of a video by one variant."""
    if variant.spatial:
        return video.spatial
    own = model.window, model.lookahead, model.consistency.matching
    frames = video.frames
    if not variant.alignment:
        frames = [replace(frame, grey=None) for frame in frames]
    try:
        model.window = variant.window or model.window
        model.lookahead = model.lookahead if variant.lookahead is None else variant.lookahead
        model.consistency.matching = "uniform" if variant.uniform else own[2]
        times = torch.tensor([video.times_s], dtype=torch.float64)
        return fuse_clips(model, frames, times, range(len(frames)), model.memory_interval_s)
    finally:
        model.window, model.lookahead, model.consistency.matching = own


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
                    frame_poses(
                        numpy_poses(output), fit, frame_index=k, time_s=video.times_s[k], conf=0.0
                    )
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
    return row | {
        "jitter": jitter(gt, poses),
        "jitter, nearest": jitter(gt, poses, nearest=True),
    }


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
    rows: dict[str, dict[str, float | str]] = {}
    for name, poses in pred.items():
        rows[name] = dict(measure(gt, poses, config, tracks=not VARIANTS[name].spatial))
        rows[name] |= mean_gain(gt, pred[BASELINE], poses) if name != BASELINE else {}
    columns = list(rows["lookahead 2"])
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for name, row in rows.items():
        cells = [v if isinstance(v, str) else f"{v:.1f}" for v in (row.get(c, "") for c in columns)]
        print(f"| {name} | " + " | ".join(cells) + " |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
