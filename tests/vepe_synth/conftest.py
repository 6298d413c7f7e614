"""A renderer for tests that draw; they are skipped without an OpenGL driver."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe_synth.config import PeopleSettings, SynthSettings
from vepe_synth.gl import open_context
from vepe_synth.renderer import Renderer
from vepe_synth.scene import Crowd

SMALL = SynthSettings(
    width=192,
    height=128,
    frames=3,
    people=PeopleSettings(people_min=2, people_max=3),
    occluder_share=0.3,
)


@pytest.fixture(scope="session")
def _driver() -> None:
    os.environ["LP_NUM_THREADS"] = "0"  # Mesa renders in the calling thread
    try:
        open_context().release()
    except VepeError as error:
        if os.environ.get("VEPE_REQUIRE_GL"):
            raise
        pytest.skip(f"no OpenGL driver: {error}")


@pytest.fixture(scope="session")
def small_settings() -> SynthSettings:
    """Tiny, short videos."""
    return SMALL


@pytest.fixture(scope="session")
def renderer(_driver: None) -> Renderer:
    """A renderer of the size of `small_settings`; skips without a driver."""
    return Renderer(open_context(), SMALL.width, SMALL.height)


@pytest.fixture
def make_crowd() -> Callable[..., Crowd]:
    """Makes a crowd of `count` people, upright lines of joints that walk."""

    def make(count: int, seed: int = 0) -> Crowd:
        rng = np.random.default_rng(seed)
        start = rng.uniform(-2, 2, (count, 1, 3)) * [1, 0, 1]
        way = rng.uniform(-1, 1, (count, 1, 3)) * [1, 0, 1]
        body = np.stack([np.zeros(12), np.linspace(0.05, 1.7, 12), np.zeros(12)], axis=1)
        return Crowd(
            tuple(tuple(p) for p in (start + way * t + body for t in np.linspace(0, 1, 5))), 1.0
        )

    return make
