"""Contact shadows."""

from __future__ import annotations

import numpy as np

from vepe_synth.loaded_clip import contact_spots


def test_spots_are_under_what_is_near_the_floor() -> None:
    spots = contact_spots(np.array([[1.0, 0.1, 2.0], [5.0, 1.4, 5.0]]), 0.5)
    assert spots.shape == (6, 5)
    np.testing.assert_allclose(spots[:, :2].mean(axis=0), [1, 2], atol=0.1)
    assert 0 < spots[0, 4] < 0.5
