"""What the losses compare with: the labelled people of a batch of frames, padded to one size."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Labels of B frames with room for P people and R ignore boxes each.

    Attributes:
        keypoints_px: (B, P, K, 2).
        labelled: (B, P, K) True where a keypoint has a label; all others are masked everywhere.
        areas_px: (B, P) COCO-like areas for OKS.
        boxes_xyxy_px: (B, P, 4).
        track_ids: (B, P) unique over the batch; -1 unknown.
        valid: (B, P) False in the padding.
        ignore_boxes_xyxy_px: (B, R, 4); padding has no area.
        background_weight: (B,) how much a place away from all labelled people counts as
            background: 1 where everybody is labelled, 0 where nothing is known.
    """

    keypoints_px: Float[Tensor, "B P K 2"]
    labelled: Bool[Tensor, "B P K"]
    areas_px: Float[Tensor, "B P"]
    boxes_xyxy_px: Float[Tensor, "B P 4"]
    track_ids: Int[Tensor, "B P"]
    valid: Bool[Tensor, "B P"]
    ignore_boxes_xyxy_px: Float[Tensor, "B R 4"]
    background_weight: Float[Tensor, "B"]

    def __getitem__(self, rows: slice) -> Targets:
        """Some of the frames."""
        return Targets(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def to(self, device: torch.device) -> Targets:
        """The same labels on another device."""
        return Targets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def place_weight(self, points_px: Float[Tensor, "B Q 2"]) -> Float[Tensor, "B Q"]:
        """How much a place counts as background if nobody is matched there.

        1 inside a labelled person's box (a second pose there is a duplicate), 0 inside an ignore
        box, `background_weight` elsewhere.
        """
        inside = _inside(points_px, self.boxes_xyxy_px, self.valid)
        ignored = _inside(points_px, self.ignore_boxes_xyxy_px, None)
        weight = self.background_weight[:, None].expand(inside.shape)
        weight = torch.where(ignored, torch.zeros_like(weight), weight)
        return torch.where(inside, torch.ones_like(weight), weight)


def _inside(
    points: Float[Tensor, "B Q 2"], boxes: Float[Tensor, "B P 4"], valid: Tensor | None
) -> Bool[Tensor, "B Q"]:
    """Whether a point lies in any of the boxes."""
    p, b = points[:, :, None], boxes[:, None]
    hit = ((p >= b[..., :2]) & (p <= b[..., 2:])).all(dim=-1)
    hit = hit & ((b[..., 2] > b[..., 0]) & (b[..., 3] > b[..., 1]))
    if valid is not None:
        hit = hit & valid[:, None]
    return hit.any(dim=-1)
