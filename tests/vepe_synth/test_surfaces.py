"""Quads and boxes, joined into one mesh."""

from __future__ import annotations

import numpy as np

from vepe_synth.surfaces import Surface, box, join, quad
from vepe_synth.textures import plant

WHITE = np.full((8, 8, 4), 255, np.uint8)


def test_boxes_face_outwards() -> None:
    corners, uv = box((1, 2, 3), (0.4, 1.0, 0.6), 0.7)
    middle = corners.mean(axis=1)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])
    outwards = ((middle - [1, 2, 3]) * normals).sum(axis=1)
    assert (outwards > 0).all()
    assert uv.shape == (6, 4, 2)
    np.testing.assert_allclose(np.ptp(corners[..., 1]), 1.0)


def test_joined_surfaces_share_textures_and_casters_come_first(rng) -> None:
    floor = Surface(*quad((0, 0, 0), (1, 0, 0), (0, 0, -1)), WHITE, casts_shadow=False)
    crate = Surface(*box((0, 1, 0), (1, 1, 1)), WHITE)
    leaves = Surface(*quad((0, 0, 0), (1, 0, 0), (0, 1, 0)), plant(rng)[::32, ::32])
    mesh = join([floor, crate, leaves])
    assert len(mesh.images) == 2
    assert (len(mesh.solid), mesh.solid_casters) == (14, 12)
    assert (len(mesh.cutout), mesh.cutout_casters) == (2, 2)
    heights = mesh.vertices["position"][mesh.solid[mesh.solid_casters :]][..., 1]
    assert (heights == 0).all()
    assert join([]).solid.shape == (0, 3)
