"""The page, its session, health, metrics, models and the description of the API."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from vepe.serve.api_page import STYLE, api_page
from vepe.serve.api_schema import ModelOut
from vepe.serve.errors import RefusedError
from vepe.serve.guard import COOKIE, same, session_of
from vepe.serve.metrics import MEDIA_TYPE
from vepe.serve.parts import parts_of
from vepe.serve.process_usage import usage_of
from vepe.serve.uploads import read_json

PAGE = Path(__file__).parent / "page"

router = APIRouter()


def add_page(app: FastAPI) -> None:
    """Serves the files of the page."""
    app.mount("/page", StaticFiles(directory=PAGE, check_dir=False), name="page")


@router.get("/", include_in_schema=False)
async def index() -> Response:
    if not (PAGE / "index.html").is_file():
        return HTMLResponse("<!doctype html><title>VEPE</title><p>The page is not installed.")
    return FileResponse(PAGE / "index.html", media_type="text/html")


@router.get("/favicon.ico", include_in_schema=False)
async def icon() -> Response:
    if not (PAGE / "icon.svg").is_file():
        return Response(status_code=204)
    return FileResponse(PAGE / "icon.svg", media_type="image/svg+xml")


@router.get("/healthz", tags=["server"])
async def health() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok"}


@router.get("/metrics", tags=["server"], response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counters for Prometheus."""
    parts = parts_of(request)
    workers = parts.workers()
    usage = {role: worker.usage() for role, worker in workers.items()}
    usage["server"] = usage_of("self")
    restarts = {role: worker.restarts for role, worker in workers.items()}
    text = parts.metrics.text(parts.store.counts(), usage, restarts)
    return Response(text, media_type=MEDIA_TYPE)


@router.get("/v1/models", response_model=list[ModelOut], tags=["server"])
async def models(request: Request) -> JSONResponse:
    """The models that jobs may name."""
    return JSONResponse(request.app.state.models)


@router.post("/v1/session", status_code=204, tags=["server"])
async def session(request: Request) -> Response:
    """Takes JSON with the `token`, and sets a cookie in its place, for browsers."""
    settings = parts_of(request).settings
    values = await read_json(request, settings.limits)
    if settings.token is None:
        return Response(status_code=204)
    token = values.get("token")
    if not isinstance(token, str) or not same(token, settings.token):
        await asyncio.sleep(0.5)
        raise RefusedError(401, "This is not the server's token.")
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        session_of(settings.token),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return response


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    return HTMLResponse(api_page(request.app.openapi()))


@router.get("/docs/style.css", include_in_schema=False)
async def docs_style() -> Response:
    return Response(STYLE, media_type="text/css")
