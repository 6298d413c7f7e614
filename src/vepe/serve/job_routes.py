"""Jobs: sending, listing, cancelling and deleting them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from vepe.serve.api_schema import JOB_BODY, JobOut
from vepe.serve.errors import RefusedError
from vepe.serve.job import FINISHED, Job, JobOptions, VideoFacts
from vepe.serve.media_kind import kind_of_file
from vepe.serve.parts import Parts, ask, parts_of
from vepe.serve.uploads import check_inside, read_form, read_json

router = APIRouter(tags=["jobs"])

PROBE_S = 30.0
RETRY_AFTER_S = 10


@router.post(
    "/v1/jobs", status_code=201, response_model=JobOut, openapi_extra={"requestBody": JOB_BODY}
)
async def create_job(request: Request) -> JSONResponse:
    """Sends a video (or an image) to be tracked: a form with `file` and options, or, where the
    server has a `--root`, JSON with the `path` of a file below it and options."""
    parts = parts_of(request)
    _check_room(parts)
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        job = await _job_of_path(request, parts)
    else:
        job = await _job_of_upload(request, parts)
    parts.scheduler.wake()
    return JSONResponse(parts.public(job), 201, {"location": f"/v1/jobs/{job.id}"})


def _check_room(parts: Parts) -> None:
    """Refuses a job that cannot be queued or stored."""
    limits, counts = parts.settings.limits, parts.store.counts()
    if counts["queued"] >= limits.queued_jobs:
        raise RefusedError(
            429,
            f"{counts['queued']} jobs wait already; try again later.",
            {"retry-after": str(RETRY_AFTER_S)},
        )
    if sum(counts.values()) >= limits.stored_jobs:
        raise RefusedError(
            429,
            f"The server keeps {limits.stored_jobs} jobs at most; delete some.",
            {"retry-after": str(RETRY_AFTER_S)},
        )


async def _job_of_upload(request: Request, parts: Parts) -> Job:
    limits, store = parts.settings.limits, parts.store
    async with read_form(request, store.incoming, limits, limits.upload_bytes) as form:
        parts.metrics.upload_bytes += form.bytes
        options = _options(parts, dict(form.fields))
        if form.path is None or form.bytes == 0:
            raise RefusedError(400, "The form has no file, or an empty one; send it as 'file'.")
        job = Job.new(form.name, options)
        kind = kind_of_file(form.path, job.name)
        path = form.path.with_suffix(kind.suffix)
        form.path.rename(path)
        form.path = path  # so that it is deleted where it is refused
        job.source, job.bytes = f"source{kind.suffix}", form.bytes
        job.video = await _probed(parts, path, job.name)
        await _add(parts, job, path)
    return job


async def _job_of_path(request: Request, parts: Parts) -> Job:
    values = await read_json(request, parts.settings.limits)
    root = parts.settings.root
    if root is None:
        raise RefusedError(403, "This server takes no paths; send the file.")
    text = values.pop("path", None)
    if not isinstance(text, str):
        raise RefusedError(400, "The JSON needs a 'path'.")
    path = check_inside(root, text)
    job = Job.new(path.name, _options(parts, values))
    kind = kind_of_file(path, job.name)
    if kind.suffix != path.suffix.lower() and path.suffix.lower() not in (".m4v", ".jpeg", ".mpeg"):
        raise RefusedError(422, f"'{job.name}' holds another kind of file than its name says.")
    job.path, job.bytes = str(path), path.stat().st_size
    job.video = await _probed(parts, path, job.name)
    await _add(parts, job, None)
    return job


async def _probed(parts: Parts, path: Path, name: str) -> VideoFacts:
    values = {"path": str(path), "name": name, "limits": parts.settings.limits}
    return VideoFacts(**await ask(parts.tools, "probe", values, PROBE_S))


async def _add(parts: Parts, job: Job, upload: Path | None) -> None:
    _check_room(parts)  # others came while this one was read
    await asyncio.get_running_loop().run_in_executor(None, parts.store.add, job, upload)


def _options(parts: Parts, values: dict[str, Any]) -> JobOptions:
    settings = parts.settings
    return JobOptions.parse(values, settings.models, settings.model)


@router.get("/v1/jobs", response_model=list[JobOut])
async def list_jobs(request: Request) -> JSONResponse:
    """All jobs, newest first."""
    parts = parts_of(request)
    return JSONResponse([parts.public(job) for job in parts.store.all()])


@router.get("/v1/jobs/{job_id}", response_model=JobOut)
async def get_job(request: Request, job_id: str) -> JSONResponse:
    """One job: its status and progress."""
    parts = parts_of(request)
    return JSONResponse(parts.public(parts.job(job_id)))


@router.post("/v1/jobs/{job_id}/cancel", response_model=JobOut)
async def cancel_job(request: Request, job_id: str) -> JSONResponse:
    """Ends a job that waits or runs; its results are discarded. A finished one stays as it is."""
    parts = parts_of(request)
    job = parts.job(job_id)
    if job.status not in FINISHED:
        await asyncio.get_running_loop().run_in_executor(None, parts.scheduler.cancel, job)
    return JSONResponse(parts.public(job))


@router.delete("/v1/jobs/{job_id}", status_code=204)
async def delete_job(request: Request, job_id: str) -> Response:
    """Ends a job, and deletes its upload and its results."""
    parts = parts_of(request)
    job = parts.job(job_id)

    def delete() -> None:
        parts.store.remove(job)
        if job.status not in FINISHED:
            parts.scheduler.cancel(job)

    await asyncio.get_running_loop().run_in_executor(None, delete)
    return Response(status_code=204)
