"""Pictures of what a network makes of its training clips, and the clips it does worst on.

The averaged weights are looked at, in evaluation mode, so that a picture changes nothing of the
training and shows what will be used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vepe.data.batch import Batch
from vepe.formats.files import dump_json, replacing_folder
from vepe.losses.criterion import Criterion, total
from vepe.losses.targets import Targets
from vepe.models.decoder_layer import LayerOutput
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton
from vepe.types import NO_TRACK, FramePoses
from vepe.viz.matches import Labels, caption, draw_matches

SHOWN_CLIPS = 4
"""Clips of a batch that are drawn."""
WORST_CLIPS = 8
WORST_FOLDER = "worst"
CELL_PX = 384
"""Longer side of a frame in a picture; larger ones are scaled down, small ones up."""
_QUALITY = 88

Image = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class SeenFrame:
    """A frame, what is predicted and labelled in it, the pairs, and the loss (None: no labels)."""

    image: Image
    time_s: float
    poses: FramePoses
    labels: Labels
    pairs: Int[np.ndarray, "M 2"]
    loss: float | None


@dataclass(frozen=True)
class SeenClip:
    """The frames of a clip in order of time."""

    frames: tuple[SeenFrame, ...]
    name: str = ""

    @property
    def loss(self) -> float:
        """Mean loss of the labelled frames: last layer, a person; 0 where there are none."""
        losses = [frame.loss for frame in self.frames if frame.loss is not None]
        return float(np.mean(losses)) if losses else 0.0


@torch.no_grad()
def look_at(model: Vepe, criterion: Criterion, batch: Batch) -> list[SeenClip]:
    """Runs the network on a batch and matches its people as the loss does.

    Args:
        model: in evaluation mode.
        criterion: matches people and gives the losses.
        batch: of any number of clips.
    """
    features = model.encode_frame(batch.pixels(criterion.sigmas.device))
    frames = [features[batch.rows(t)] for t in range(batch.frames)]
    outputs = model.fuse_keys(frames, batch.times_s, range(batch.frames))
    clips: list[list[SeenFrame]] = [[] for _ in range(batch.clips)]
    for t, output in enumerate(outputs):
        for b in range(batch.clips):
            row = t * batch.clips + b
            image, time_s = batch.images[row].cpu().numpy(), float(batch.times_s[b, t])
            targets = batch.targets[slice(row, row + 1)].to(criterion.sigmas.device)
            layer = _row(output.layers[-1], b)
            clips[b].append(_seen(criterion, image, t, time_s, layer, targets))
    names = batch.names or ("",) * batch.clips
    return [SeenClip(tuple(clip), name) for clip, name in zip(clips, names, strict=True)]


def _row(layer: LayerOutput, b: int) -> LayerOutput:
    one = slice(b, b + 1)
    return LayerOutput(
        layer.score_logits[one], layer.keypoints_px[one], layer.confidence_logits[one]
    )


def _seen(
    criterion: Criterion, image: Image, t: int, time_s: float, layer: LayerOutput, targets: Targets
) -> SeenFrame:
    parts, matches = criterion.layer(layer, targets, "frame")
    people = targets.valid[0]
    order = torch.cumsum(people.long(), 0) - 1  # of a padded row, among the valid people
    pairs = torch.stack([matches.prediction, order[matches.person]], dim=1)
    count = layer.score_logits.shape[1]
    poses = FramePoses(
        t,
        time_s,
        _array(layer.keypoints_px),
        _array(layer.confidence_logits.sigmoid()),
        _array(layer.score_logits.sigmoid()),
        np.full(count, NO_TRACK, np.int64),
    )
    labels = Labels(
        targets.keypoints_px[0][people].cpu().numpy(), targets.labelled[0][people].cpu().numpy()
    )
    has_labels = bool(people.any())
    loss = float(total(parts)) if has_labels else None
    return SeenFrame(image, time_s, poses, labels, pairs.cpu().numpy(), loss)


def _array(batch: Float[Tensor, "1 *S"]) -> Float[np.ndarray, "*S"]:
    array: np.ndarray = batch[0].float().cpu().numpy()
    return array


def draw_clip(clip: SeenClip, skeleton: Skeleton) -> Image:
    """The frames of a clip side by side, each below a line of its time and loss."""
    cells = []
    for frame in clip.frames:
        factor = CELL_PX / max(frame.image.shape[:2])
        size = tuple(round(side * factor) for side in frame.image.shape[1::-1])
        image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA if factor < 1 else 1)
        poses = FramePoses(
            **{**vars(frame.poses), "keypoints_px": frame.poses.keypoints_px * factor}
        )
        drawn = draw_matches(image, poses, frame.labels.scaled(factor), frame.pairs, skeleton)
        shown = "no labels" if frame.loss is None else f"loss {frame.loss:.2f}"
        offset = frame.time_s - clip.frames[0].time_s
        cells.append(caption(drawn, [f"{offset:+.2f} s   {shown}"]))
    return np.concatenate(cells, axis=1)


def draw_batch(model: Vepe, criterion: Criterion, batch: Batch, skeleton: Skeleton) -> Image:
    """The first clips of a batch, one a row; those of single frames stand side by side."""
    clips = look_at(model, criterion, batch)[:SHOWN_CLIPS]
    return np.concatenate(
        [draw_clip(clip, skeleton) for clip in clips], axis=int(batch.frames == 1)
    )


def worst_clips(
    model: Vepe, criterion: Criterion, batches: Iterable[Batch], count: int = WORST_CLIPS
) -> list[SeenClip]:
    """The clips with the highest loss, worst first."""
    worst: list[SeenClip] = []
    for batch in batches:
        seen = [*worst, *look_at(model, criterion, batch)]
        worst = sorted(seen, key=lambda clip: -clip.loss)[:count]
    return worst


def save_worst(folder: Path, clips: Iterable[SeenClip], skeleton: Skeleton) -> Path:
    """Draws clips into `worst/` of a run's folder, with their losses in `worst.json`.

    Raises:
        VepeError: where the folder cannot be written.
    """
    place = folder / WORST_FOLDER
    with replacing_folder(place) as beside:
        listed = []
        for number, clip in enumerate(clips, start=1):
            name = f"{number:02d}.jpg"
            save_picture(beside / name, draw_clip(clip, skeleton))
            listed.append({"file": name, "loss": round(clip.loss, 4), "clip": clip.name})
        dump_json(beside / "worst.json", listed)
    return place


def save_picture(path: Path, image_rgb: Image) -> Path:
    """Writes a JPEG file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    assert done, "JPEG of an RGB picture"
    path.write_bytes(content.tobytes())
    return path
