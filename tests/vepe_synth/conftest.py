"""A renderer for the tests that draw; they are skipped where there is no OpenGL driver."""

from __future__ import annotations

import os

import pytest

from vepe.errors import VepeError
from vepe_synth.config import SynthSettings
from vepe_synth.gl import open_context
from vepe_synth.renderer import Renderer
from vepe_synth.scene_config import PerformanceSettings

SMALL = SynthSettings(
    width=192,
    height=128,
    frames=3,
    people=PerformanceSettings(people_min=2, people_max=3),
    occluder_share=0.3,
)


@pytest.fixture(scope="session")
def _driver() -> None:
    try:
        open_context(threads=0).release()
    except VepeError as error:
        if os.environ.get("VEPE_REQUIRE_GL"):
            raise
        pytest.skip(f"nothing can be drawn here: {error}")


@pytest.fixture(scope="session")
def small_settings() -> SynthSettings:
    """Tiny, short videos."""
    return SMALL


@pytest.fixture(scope="session")
def renderer(_driver: None) -> Renderer:
    """Draws pictures of the size of `small_settings`; skips where there is no driver."""
    return Renderer(open_context(threads=0), SMALL.width, SMALL.height)
