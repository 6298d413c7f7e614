"""Procedural textures."""

from __future__ import annotations

import numpy as np
import pytest

from vepe_synth.textures import MATERIALS


@pytest.mark.parametrize("kind", range(len(MATERIALS)))
def test_textures_depend_on_the_generator_alone(kind) -> None:
    first, again, other = (MATERIALS[kind](np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.shape == (256, 256, 4)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
