"""A renderer for tests that draw; they are skipped without an OpenGL driver."""

from __future__ import annotations

import os

import pytest

from vepe.errors import VepeError
from vepe_synth.config import PeopleSettings, SynthSettings
from vepe_synth.gl import open_context
from vepe_synth.renderer import Renderer

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
