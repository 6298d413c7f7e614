"""Results of jobs: poses as a file or as a stream, and both videos."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse

from vepe.formats.tracks import WRITERS
from vepe.serve.api_schema import SkeletonOut
from vepe.serve.errors import RefusedError
from vepe.serve.job import FINISHED, Job
from vepe.serve.media_kind import BY_SUFFIX
from vepe.serve.parts import Parts, ask, parts_of
from vepe.serve.pose_stream import events, lines
from vepe.serve.track_task import LINES, RESULT, VIDEO

router = APIRouter(tags=["results"])

CONVERT_S = 300.0
Format = Literal["json", "jsonl", "coco", "csv", "mot", "parquet", "hdf5", "slp", "nwb"]
_MEDIA_TYPES = {".json": "application/json", ".csv": "text/csv", ".txt": "text/plain"}


@router.get("/v1/jobs/{job_id}/poses", response_model=None)
async def get_poses(
    request: Request, job_id: str, format: Format = "json"
) -> FileResponse | StreamingResponse:
    """The poses of a job as a file. `json` is PoseTrack18's layout. `jsonl` has one line for each
    frame, and comes while the job runs; all others are there once it is done."""
    parts = parts_of(request)
    job = parts.job(job_id)
    if format == "jsonl" and job.status in ("queued", "running"):
        return StreamingResponse(_limited(parts, lines(parts, job)), media_type=_JSON_LINES)
    if job.status != "done":
        raise _not_done(job)
    folder = parts.store.folder_of(job)
    stem = Path(job.name).stem or "poses"
    if format == "jsonl":
        return _file(folder / LINES, _JSON_LINES, f"{stem}.jsonl")
    name = "posetrack" if format == "json" else format
    suffix = WRITERS[name][0]
    path = folder / f"{Path(RESULT).stem}{suffix}"
    if not path.is_file():
        values = {"path": str(folder / RESULT), "format": name}
        path = Path((await ask(parts.tools, "convert", values, CONVERT_S))["path"])
    media_type = _MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    return _file(path, media_type, f"{stem}{suffix}")


_JSON_LINES = "application/jsonl"


@router.get("/v1/jobs/{job_id}/events")
async def get_events(
    request: Request, job_id: str, start: int = Query(0, alias="from", ge=0, le=10**9)
) -> StreamingResponse:
    """Server-sent events: `progress` with the job, `frame` with the poses of a frame, beginning
    with frame `from`, and `end` with the job. The events of a finished job come at once."""
    parts = parts_of(request)
    job = parts.job(job_id)
    last = request.headers.get("last-event-id", "")  # of a browser that connects again
    if re.fullmatch(r"[0-9]{1,9}", last):
        start = max(start, int(last) + 1)
    return StreamingResponse(
        _limited(parts, events(parts, job, start)),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )


def _limited(parts: Parts, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A stream that counts as open until it ends. Raises RefusedError 429 above the limit."""
    if parts.metrics.event_streams >= parts.settings.limits.event_streams:
        raise RefusedError(429, "Too many streams of events are open.", {"retry-after": "5"})

    async def counted() -> AsyncIterator[bytes]:
        parts.metrics.event_streams += 1
        try:
            async for chunk in stream:
                yield chunk
        finally:
            parts.metrics.event_streams -= 1

    return counted()


@router.get("/v1/jobs/{job_id}/video")
async def get_video(request: Request, job_id: str, download: bool = False) -> FileResponse:
    """The video with skeletons and ids, as MP4 (H.264). Takes range requests."""
    parts = parts_of(request)
    job = parts.job(job_id)
    if job.status != "done":
        raise _not_done(job)
    path = parts.store.folder_of(job) / VIDEO
    return _file(path, "video/mp4", f"{Path(job.name).stem}_poses.mp4", inline=not download)


@router.get("/v1/jobs/{job_id}/source")
async def get_source(request: Request, job_id: str) -> FileResponse:
    """The video (or image) that was sent, where browsers play it; else 409, and the page shows the
    annotated one. Takes range requests."""
    parts = parts_of(request)
    job = parts.job(job_id)
    path = parts.store.source_of(job)
    kind = BY_SUFFIX.get(path.suffix.lower())
    shown = job.video is not None and (job.video.playable or (kind is not None and kind.is_image))
    if kind is None or not shown:
        raise RefusedError(409, "Browsers cannot play this file; the annotated video is MP4.")
    return _file(path, kind.media_type, job.name, inline=True)


@router.get("/v1/jobs/{job_id}/skeleton", response_model=SkeletonOut)
async def get_skeleton(request: Request, job_id: str) -> JSONResponse:
    """Names of the keypoints and the limbs of a job's poses, from its start on."""
    job = parts_of(request).job(job_id)
    if job.skeleton is None:
        raise RefusedError(409, "The job has not begun; its skeleton is not known yet.")
    return JSONResponse(job.skeleton)


def _file(path: Path, media_type: str, name: str, *, inline: bool = False) -> FileResponse:
    """A file of a job, under the client's name for it."""
    if not path.is_file():
        raise RefusedError(404, "The file of this job is gone.")
    plain = re.sub(r"[^\w. -]", "_", name, flags=re.ASCII).strip() or "download"
    return FileResponse(
        path,
        media_type=media_type,
        filename=plain,
        content_disposition_type="inline" if inline else "attachment",
    )


def _not_done(job: Job) -> RefusedError:
    if job.status in FINISHED:
        return RefusedError(409, f"This job has no results: it {_ENDED[job.status]}.")
    return RefusedError(409, "This job is not done yet.", {"retry-after": "2"})


_ENDED = {"failed": "failed", "cancelled": "was cancelled"}
