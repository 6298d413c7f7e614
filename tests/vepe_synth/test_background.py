"""Random light, and folders of background images."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe_synth.background import background_images, random_light, temperature


@pytest.mark.parametrize("indoors", [True, False])
def test_light_is_sound(rng, indoors) -> None:
    for _ in range(50):
        light = random_light(rng, indoors=indoors, middle_m=np.zeros(3))
        assert np.linalg.norm(light.sun_direction) == pytest.approx(1)
        assert light.sun_direction[1] > 0.3
        assert min(*light.sun, *light.sky, *light.ground, *light.lamp) >= 0
        assert 0.2 < light.exposure * np.mean(light.sky) + light.exposure * np.mean(light.sun) < 9


def test_warm_and_cold_light() -> None:
    warm, cold = temperature(2800), temperature(9000)
    assert warm[0] == 1 > 0.6 > warm[2]
    assert cold[2] == 1 > 0.9 > cold[0]


@pytest.mark.parametrize(
    ("name", "text"), [("missing", "There is no folder"), ("empty", "has no images")]
)
def test_backgrounds_that_are_not_there(tmp_path, name, text) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(VepeError, match=text):
        background_images(tmp_path / name)
