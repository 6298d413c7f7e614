"""Mosaics: dots stay with keypoints, identities apart, and the canvas is filled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from figures.dots import grid_points, max_error_px, still_clip_of
from vepe.data.transforms.mosaic import Region, draw_layout, mosaic


@pytest.mark.parametrize("kind", range(4))
def test_layouts_fill_the_canvas_once(rng: np.random.Generator, kind: int) -> None:
    chances = tuple(float(i == kind) for i in range(4))
    covered = np.zeros((90, 120), int)
    regions = draw_layout(rng, chances, (120, 90))
    for r in regions:
        covered[r.y : r.y + r.height, r.x : r.x + r.width] += 1
    assert (covered == 1).all()
    assert len(regions) == (1, 2, 4, 9)[kind]


def test_labels_match_the_image_and_track_ids_stay_unique(rng: np.random.Generator) -> None:
    first = still_clip_of(grid_points(rng), 170, 190)
    second = replace(
        still_clip_of(grid_points(rng), 170, 190), background_weight=0.25, key_indices=(0, 2)
    )
    both = mosaic([first, second], [Region(0, 0, 170, 190), Region(170, 0, 170, 190)])
    assert both.images.shape == (3, 190, 340, 3)
    assert max_error_px(both)[0] < 0.3
    assert both.background_weight == 0.25
    assert both.key_indices == (0, 2)
    assert len(both.people[1]) == 0  # not labelled in one of them
    for people in (both.people[0], both.people[2]):
        assert len(set(people.track_ids.tolist())) == 2
        assert people.boxes_xyxy_px[1, 0] == second.people[0].boxes_xyxy_px[0, 0] + 170
        assert len(people.ignore_boxes_xyxy_px) == len(people.head_boxes_xyxy_px) == 2
    assert np.array_equal(both.people[0].track_ids, both.people[2].track_ids)
