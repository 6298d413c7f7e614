"""Images of the network's predictions on training clips, and the clips with the highest loss.

Predictions are those of the EMA weights in eval mode: drawing does not affect training, and shows
the weights that will be used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vepe.data.batch import Batch
from vepe.formats.files import dump_json, replacing_folder, write_bytes
from vepe.losses.criterion import Criterion, total
from vepe.losses.targets import Targets
from vepe.models.decoder_layer import LayerOutput
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses
from vepe.viz.matches import Labels, caption, draw_matches

MAX_CLIPS = 4
"""Most clips of a batch that are drawn."""
NUM_WORST = 8
"""Clips in the section of the worst ones."""
WORST_FOLDER = "worst"
CELL_PX = 384
"""Longer side of a frame in an image; frames are scaled to it."""
_JPEG_QUALITY = 88

Image = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class PredictedFrame:
    """A frame with its predictions and labels.

    Attributes:
        image: RGB.
        time_s: in the clip.
        poses: all N predictions.
        labels: all G labelled people.
        pairs: (M, 2) matches: index into `poses`, index into `labels`.
        loss: of the last layer; None without labels.
    """

    image: Image
    time_s: float
    poses: FramePoses
    labels: Labels
    pairs: Int[np.ndarray, "M 2"]
    loss: float | None


@dataclass(frozen=True)
class PredictedClip:
    """The frames of a clip in order of time."""

    frames: tuple[PredictedFrame, ...]
    name: str = ""

    @property
    def loss(self) -> float:
        """Mean loss of the labelled frames; 0 if there are none."""
        losses = [frame.loss for frame in self.frames if frame.loss is not None]
        return float(np.mean(losses)) if losses else 0.0


@torch.no_grad()
def predict_clips(model: Vepe, criterion: Criterion, batch: Batch) -> list[PredictedClip]:
    """Runs the network on a batch and matches people as the loss does.

    Args:
        model: in eval mode.
        criterion: matches people and computes the losses.
        batch: B clips of T frames.

    Returns:
        The B clips.
    """
    poses = model.encode_frame(batch.pixels(criterion.sigmas.device))[0].poses
    clips: list[list[PredictedFrame]] = [[] for _ in range(batch.num_clips)]
    for t in range(batch.num_frames):
        for b in range(batch.num_clips):
            row = t * batch.num_clips + b
            image, time_s = batch.images[row].cpu().numpy(), float(batch.times_s[b, t])
            targets = batch.targets[slice(row, row + 1)].to(criterion.sigmas.device)
            frame = _predicted_frame(criterion, image, t, time_s, poses[row : row + 1], targets)
            clips[b].append(frame)
    names = batch.names or ("",) * batch.num_clips
    return [PredictedClip(tuple(clip), name) for clip, name in zip(clips, names, strict=True)]


def _predicted_frame(
    criterion: Criterion, image: Image, t: int, time_s: float, layer: LayerOutput, targets: Targets
) -> PredictedFrame:
    """One frame; `layer` and `targets` have a batch of 1."""
    parts, matches = criterion.layer(layer, targets, "frame")
    valid = targets.valid[0]  # (P,)
    index = torch.cumsum(valid.long(), 0) - 1  # (P,) index among the valid people
    pairs = torch.stack([matches.prediction, index[matches.person]], dim=1)  # (M, 2)
    num_queries = layer.score_logits.shape[1]
    poses = FramePoses(
        t,
        time_s,
        _array(layer.keypoints_px),
        _array(layer.confidence_logits.sigmoid()),
        _array(layer.score_logits.sigmoid()),
        np.full(num_queries, NO_TRACK, np.int64),
    )
    labels = Labels(
        targets.keypoints_px[0][valid].cpu().numpy(), targets.labelled[0][valid].cpu().numpy()
    )
    loss = float(total(parts)) if bool(valid.any()) else None
    return PredictedFrame(image, time_s, poses, labels, pairs.cpu().numpy(), loss)


def _array(batch: Float[Tensor, "1 *S"]) -> Float[np.ndarray, "*S"]:
    array: np.ndarray = batch[0].float().cpu().numpy()
    return array


def draw_clip(clip: PredictedClip, skeleton: Skeleton) -> Image:
    """The frames of a clip from left to right, each below a line with its time and loss."""
    cells = []
    for frame in clip.frames:
        factor = CELL_PX / max(frame.image.shape[:2])
        size = tuple(round(side * factor) for side in frame.image.shape[1::-1])
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        image = cv2.resize(frame.image, size, interpolation=interpolation)
        poses = replace(frame.poses, keypoints_px=frame.poses.keypoints_px * factor)
        drawn = draw_matches(image, poses, frame.labels.scaled(factor), frame.pairs, skeleton)
        loss = "no labels" if frame.loss is None else f"loss {frame.loss:.2f}"
        offset_s = frame.time_s - clip.frames[0].time_s
        cells.append(caption(drawn, [f"{offset_s:+.2f} s   {loss}"]))
    return np.concatenate(cells, axis=1)


def draw_batch(model: Vepe, criterion: Criterion, batch: Batch, skeleton: Skeleton) -> Image:
    """The first clips of a batch, one per row; clips of a single frame are in one row."""
    clips = predict_clips(model, criterion, batch)[:MAX_CLIPS]
    return np.concatenate(
        [draw_clip(clip, skeleton) for clip in clips], axis=int(batch.num_frames == 1)
    )


def worst_clips(
    model: Vepe, criterion: Criterion, batches: Iterable[Batch], count: int = NUM_WORST
) -> list[PredictedClip]:
    """The clips with the highest loss, worst first."""
    worst: list[PredictedClip] = []
    for batch in batches:
        clips = [*worst, *predict_clips(model, criterion, batch)]
        worst = sorted(clips, key=lambda clip: -clip.loss)[:count]
    return worst


def save_worst(folder: Path, clips: Iterable[PredictedClip], skeleton: Skeleton) -> Path:
    """Draws clips into `worst/` of a run's folder, with their losses in `worst.json`.

    Raises:
        VepeError: if the folder cannot be written.
    """
    worst_folder = folder / WORST_FOLDER
    with replacing_folder(worst_folder) as partial:
        entries = []
        for number, clip in enumerate(clips, start=1):
            name = f"{number:02d}.jpg"
            save_jpeg(partial / name, draw_clip(clip, skeleton))
            entries.append({"file": name, "loss": round(clip.loss, 4), "clip": clip.name})
        dump_json(partial / "worst.json", entries)
    return worst_folder


def save_jpeg(path: Path, image_rgb: Image) -> Path:
    """Writes a JPEG file, and creates its folder. Raises VepeError if it cannot be written."""
    bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    done, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "JPEG of an RGB image"
    write_bytes(path, content.tobytes())
    return path
