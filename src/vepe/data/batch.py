"""Batches: clips of one length and size as padded tensors."""

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
        targets: labels of all T*B frames in the same order; frames without labels have no people
            and background weight 0.
        num_clips: B.
        names: where each clip comes from.
        unreadable: messages about images that could not be read and were replaced.
    """

    images: UInt8[Tensor, "TB H W 3"]
    times_s: Float[Tensor, "B T"]
    targets: Targets
    num_clips: int
    names: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def num_frames(self) -> int:
        """T."""
        return self.times_s.shape[1]

    def rows(self, frame: int) -> slice:
        """Rows of frame `frame` of all clips."""
        return slice(frame * self.num_clips, (frame + 1) * self.num_clips)

    def pixels(self, device: torch.device) -> Float[Tensor, "TB 3 H W"]:
        """The images in 0..1 on a device; they are transferred as bytes."""
        return self.images.to(device).permute(0, 3, 1, 2).float() / 255  # (T*B, 3, H, W)

    def pin_memory(self) -> Batch:
        """The same batch in pinned memory (called by the data loader for a GPU)."""
        return replace(self, images=self.images.pin_memory())


def collate(clips: list[Clip]) -> Batch:
    """Stacks clips; track ids become unique over the batch."""
    flat = [(b, clip, t) for t in range(len(clips[0])) for b, clip in enumerate(clips)]
    rows = len(flat)
    num_keypoints = clips[0].people[0].keypoints_px.shape[1]
    num_people = max(1, *(len(clip.people[t]) for _, clip, t in flat))
    num_ignored = max(1, *(len(clip.people[t].ignore_boxes_xyxy_px) for _, clip, t in flat))
    points = np.zeros((rows, num_people, num_keypoints, 2), np.float32)
    labelled = np.zeros((rows, num_people, num_keypoints), bool)
    areas = np.ones((rows, num_people), np.float32)
    boxes = np.zeros((rows, num_people, 4), np.float32)
    ids = np.full((rows, num_people), -1, np.int64)
    valid = np.zeros((rows, num_people), bool)
    ignore = np.zeros((rows, num_ignored, 4), np.float32)
    background = np.zeros(rows, np.float32)
    for row, (b, clip, t) in enumerate(flat):
        if t not in clip.key_indices:
            continue
        people = clip.people[t]
        n = len(people)
        points[row, :n] = people.keypoints_px
        labelled[row, :n] = people.visibility > 0
        areas[row, :n] = people.areas_px
        boxes[row, :n] = people.boxes_xyxy_px
        ids[row, :n] = np.where(people.track_ids >= 0, people.track_ids + (b << 32), -1)
        valid[row, :n] = labelled[row, :n].any(axis=1)
        ignore[row, : len(people.ignore_boxes_xyxy_px)] = people.ignore_boxes_xyxy_px
        background[row] = clip.background_weight
    tensors = (points, labelled, areas, boxes, ids, valid, ignore, background)
    return Batch(
        images=torch.from_numpy(np.stack([clip.images[t] for _, clip, t in flat])),
        times_s=torch.from_numpy(np.stack([clip.time_s for clip in clips])),
        targets=Targets(*(torch.from_numpy(t) for t in tensors)),
        num_clips=len(clips),
        names=tuple(clip.name for clip in clips),
        unreadable=tuple(message for clip in clips for message in clip.unreadable),
    )
