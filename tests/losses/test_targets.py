"""What counts as background."""

from __future__ import annotations

from dataclasses import replace

import torch
from labels import labelled_people


def test_background_weight_in_boxes_ignore_regions_and_elsewhere() -> None:
    targets = replace(
        labelled_people((50, 50), background=0.2),
        ignore_boxes_xyxy_px=torch.tensor([[[100.0, 100.0, 140.0, 140.0]]]),
    )
    points = torch.tensor([[[50.0, 60.0], [120.0, 120.0], [300.0, 20.0]]])
    expected = [1.0, 0.0, torch.tensor(0.2).item()]
    assert targets.background_weight_at(points).tolist()[0] == expected
