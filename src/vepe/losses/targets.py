"""The labelled people of a batch of frames, padded to one size."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Labels of B frames, padded to P people and R ignore regions each.

    Attributes:
        keypoints_px: (B, P, K, 2) in pixels of the network's input.
        labelled: (B, P, K) True where a keypoint has a label; the others enter no loss.
        areas_px: (B, P) areas as in COCO, for OKS.
        boxes_xyxy_px: (B, P, 4).
        track_ids: (B, P) unique over the batch; -1: unknown.
        valid: (B, P) False in the padding.
        ignore_boxes_xyxy_px: (B, R, 4); padding has no area.
        background_weight: (B,) weight of predictions away from all labelled people as background:
            1 if everybody is labelled, 0 if nothing is known.
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

    def background_weight_at(self, points_px: Float[Tensor, "B Q 2"]) -> Float[Tensor, "B Q"]:
        """Weight of an unmatched prediction at each point as background.

        1 inside a labelled person's box (a second pose there is a duplicate), 0 inside an ignore
        region, `background_weight` elsewhere.
        """
        inside = _inside(points_px, self.boxes_xyxy_px, self.valid)
        ignored = _inside(points_px, self.ignore_boxes_xyxy_px, None)
        weight = self.background_weight[:, None].expand(inside.shape)
        weight = torch.where(ignored, torch.zeros_like(weight), weight)
        return torch.where(inside, torch.ones_like(weight), weight)


def _inside(
    points_px: Float[Tensor, "B Q 2"],
    boxes_px: Float[Tensor, "B P 4"],
    valid: Bool[Tensor, "B P"] | None,
) -> Bool[Tensor, "B Q"]:
    """Whether each point lies in any of the (valid) boxes."""
    points, boxes = points_px[:, :, None], boxes_px[:, None]  # (B, Q, 1, 2), (B, 1, P, 4)
    hit = ((points >= boxes[..., :2]) & (points <= boxes[..., 2:])).all(dim=-1)  # (B, Q, P)
    hit = hit & ((boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1]))
    if valid is not None:
        hit = hit & valid[:, None]
    return hit.any(dim=-1)
