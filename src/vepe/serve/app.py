"""`create_app`: the application of a server, guarded, with its processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from vepe import __version__
from vepe.config.load import preset_names
from vepe.inference.model_files import bundled_weights, read_card
from vepe.serve import job_routes, live_routes, page_routes, result_routes
from vepe.serve.api_schema import ErrorOut
from vepe.serve.errors import add_error_handlers
from vepe.serve.guard import Guard
from vepe.serve.job import model_name
from vepe.serve.parts import Parts
from vepe.serve.pose_records import skeleton_values
from vepe.serve.settings import ServeSettings

_REFUSED: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorOut, "description": "One sentence says why."}
}


def create_app(settings: ServeSettings) -> Guard:
    """The application for uvicorn; its processes start with its lifespan.

    Raises:
        VepeError: where the settings would open the server to others, or its folder cannot be
            written.
    """
    parts = Parts.of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts.scheduler.start()
        parts.tools.warm_up()
        try:
            yield
        finally:
            parts.close()

    app = FastAPI(
        title="vepe serve",
        version=__version__,
        description=(
            "Poses and identities of the people in videos. Live frames go over a WebSocket at "
            "`/v1/live`: JPEG in, JSON with poses and ids out."
        ),
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses=_REFUSED,
    )
    app.state.parts = parts
    app.state.waiting_images = set()
    app.state.models = [_model(name, settings) for name in settings.models]
    add_error_handlers(app)
    for module in (page_routes, job_routes, result_routes, live_routes):
        app.include_router(module.router)
    page_routes.add_page(app)
    return Guard(app, settings, parts.metrics)


def bundled_models() -> tuple[str, ...]:
    """Names of the presets that come with weights."""
    return tuple(name for name in preset_names() if bundled_weights(name) is not None)


def _model(name: str, settings: ServeSettings) -> dict[str, Any]:
    config = read_card(name).config
    return {
        "name": model_name(name),
        "description": (
            f"{len(config.skeleton)} keypoints, input {config.input_px} px, window of "
            f"{config.temporal.window} frames"
        ),
        "default": name == settings.model,
        "skeleton": skeleton_values(config.skeleton),
    }
