"""Random body shapes and clothes colours."""

from __future__ import annotations

import numpy as np

from vepe_synth.avatars import open_library
from vepe_synth.body import face_vertices
from vepe_synth.config import PeopleSettings
from vepe_synth.wardrobe import draw_shape, dressed

LIBRARY = open_library()


def test_bodies_have_human_sizes() -> None:
    rng = np.random.default_rng(0)
    avatar = LIBRARY.load("White_M_1_Casual")
    settings = PeopleSettings()
    shapes = [draw_shape(rng, avatar, settings) for _ in range(300)]
    sizes = np.array([s.size for s in shapes]) * avatar.vertices[:, 1].max()
    assert 0.95 < sizes.min() < 1.3
    assert 1.85 < sizes.max() < 2.15
    children = [s for s in shapes if s.size * avatar.vertices[:, 1].max() < 1.3]
    assert 0.03 < len(children) / 300 < 0.2
    assert np.mean([s.head for s in children]) > 1.1


def test_new_clothes_leave_the_face() -> None:
    avatar = LIBRARY.load("White_M_1_Casual")
    height, width = avatar.textures[0].shape[:2]
    spots = np.round(avatar.uv[face_vertices(avatar)] * [width, height]).astype(int)
    changed = []
    for seed in range(6):
        other = dressed(np.random.default_rng(seed), avatar)
        assert other.name != avatar.name
        assert other.name.startswith(avatar.name)
        before, after = (a.textures[0].astype(int) for a in (avatar, other))
        face = np.abs(after - before)[spots[:, 1], spots[:, 0]]
        assert face.max() <= 3  # the way to Lab and back
        changed.append((np.abs(after - before).max(axis=-1) > 20).mean())
    assert max(changed) > 0.15
    assert len(set(changed)) > 3
