"""Sensor effects."""

from __future__ import annotations

import numpy as np

from vepe_synth.sensor import Sensor, expose, random_sensor


def test_neutral_sensor_changes_nothing_and_noise_is_seeded(rng) -> None:
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    plain = Sensor((1, 1, 1), 1.0, 1.0, 0.0, 1.0, 0.0, 95)
    np.testing.assert_array_equal(expose(plain, image, rng), image)
    poor = random_sensor(np.random.default_rng(3))
    first, again = (expose(poor, image, np.random.default_rng(8)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == image.shape
