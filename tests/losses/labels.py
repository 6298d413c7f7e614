"""Hand-made labels for tests of the losses."""

from __future__ import annotations

import torch

from vepe.losses.targets import Targets

SIGMAS = torch.full((5,), 0.07)


def labelled_people(
    *centres: tuple[float, float], size: float = 40.0, background: float = 1.0, padding: int = 0
) -> Targets:
    """One frame with a person of five keypoints around each centre, padded by `padding` people."""
    shape = torch.tensor([[0, 0], [-0.4, -0.4], [0.4, -0.4], [-0.4, 0.4], [0.4, 0.4]]) * size
    count = len(centres) + padding
    points, boxes = torch.zeros(1, count, 5, 2), torch.zeros(1, count, 4)
    for i, centre in enumerate(centres):
        points[0, i] = shape + torch.tensor(centre)
        boxes[0, i] = torch.tensor([*centre, *centre]) + size / 2 * torch.tensor([-1, -1, 1, 1])
    valid = torch.arange(count).unsqueeze(0) < len(centres)
    return Targets(
        keypoints_px=points,
        labelled=valid.unsqueeze(-1).repeat(1, 1, 5),
        areas_px=torch.full((1, count), size * size * 0.53),
        boxes_xyxy_px=boxes,
        track_ids=torch.where(valid, torch.arange(count), -1),
        valid=valid,
        ignore_boxes_xyxy_px=torch.zeros(1, 1, 4),
        background_weight=torch.tensor([background]),
    )
