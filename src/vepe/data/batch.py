"""Batches of clips as tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vepe.data.clip import Clip
from vepe.losses.targets import Targets


@dataclass(frozen=True)
class Batch:
    """B clips of T frames of one size.

    Attributes:
        images: (T*B, H, W, 3) uint8 RGB, time first: frame t of clip b is row t*B + b.
        times_s: (B, T) float64.
        targets: labels of all T*B frames in the same order; frames that carry no loss have no
            people, and background weight 0.
        clips: B.
        names: where each clip comes from.
        unreadable: pictures that could not be read, in whose place others stand.
    """

    images: UInt8[Tensor, "TB H W 3"]
    times_s: Float[Tensor, "B T"]
    targets: Targets
    clips: int
    names: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """T."""
        return self.times_s.shape[1]

    def rows(self, frame: int) -> slice:
        """Where frame `frame` of all clips stands."""
        return slice(frame * self.clips, (frame + 1) * self.clips)

    def pixels(self, device: torch.device) -> Float[Tensor, "TB 3 H W"]:
        """The pictures in 0..1 on a device; bytes travel, floats do not."""
        return self.images.to(device).permute(0, 3, 1, 2).float() / 255

    def pin_memory(self) -> Batch:
        """The same batch in pinned memory (called by the loader where a GPU is used)."""
        return replace(self, images=self.images.pin_memory())


def collate(clips: list[Clip]) -> Batch:
    """Stacks clips; identities become unique over the batch."""
    frames = len(clips[0])
    images = np.stack([clip.images[t] for t in range(frames) for clip in clips])
    flat = [(b, clip, t) for t in range(frames) for b, clip in enumerate(clips)]
    keypoints = clips[0].people[0].keypoints_px.shape[1]
    people = max(1, *(len(clip.people[t]) for _, clip, t in flat))
    ignored = max(1, *(len(clip.people[t].ignore_boxes_xyxy_px) for _, clip, t in flat))
    rows = len(flat)
    points = np.zeros((rows, people, keypoints, 2), np.float32)
    labelled = np.zeros((rows, people, keypoints), bool)
    areas = np.ones((rows, people), np.float32)
    boxes = np.zeros((rows, people, 4), np.float32)
    ids = np.full((rows, people), -1, np.int64)
    valid = np.zeros((rows, people), bool)
    ignore = np.zeros((rows, ignored, 4), np.float32)
    background = np.zeros(rows, np.float32)
    for row, (b, clip, t) in enumerate(flat):
        if t not in clip.key_indices:
            continue
        who = clip.people[t]
        n = len(who)
        points[row, :n] = who.keypoints_px
        labelled[row, :n] = who.visibility > 0
        areas[row, :n] = who.areas_px
        boxes[row, :n] = who.boxes_xyxy_px
        ids[row, :n] = np.where(who.track_ids >= 0, who.track_ids + (b << 32), -1)
        valid[row, :n] = labelled[row, :n].any(axis=1)
        ignore[row, : len(who.ignore_boxes_xyxy_px)] = who.ignore_boxes_xyxy_px
        background[row] = clip.background_weight
    tensors = (points, labelled, areas, boxes, ids, valid, ignore, background)
    return Batch(
        images=torch.from_numpy(images),
        times_s=torch.from_numpy(np.stack([clip.time_s for clip in clips])),
        targets=Targets(*(torch.from_numpy(t) for t in tensors)),
        clips=len(clips),
        names=tuple(clip.name for clip in clips),
        unreadable=tuple(path for clip in clips for path in clip.unreadable),
    )
