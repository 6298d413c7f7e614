"""Schemas of the OpenAPI page: what jobs and forms look like."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class ProgressOut(BaseModel):
    """How far a job is."""

    frames: int
    total: int | None
    eta_s: float | None
    fps: float | None


class VideoOut(BaseModel):
    """What is known of a job's video; `playable`: in usual browsers."""

    width: int
    height: int
    fps: float
    duration_s: float | None
    playable: bool
    image: bool


class SkeletonOut(BaseModel):
    """Names of the keypoints, limbs and mirrored pairs as indices."""

    keypoints: list[str]
    edges: list[tuple[int, int]]
    flip_pairs: list[tuple[int, int]]


class JobOut(BaseModel):
    """A job."""

    id: str
    name: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    queue_place: int | None
    created: str
    started: str | None
    finished: str | None
    progress: ProgressOut
    error: str | None
    warnings: list[str]
    video: VideoOut | None
    people: int | None
    first_poses_s: float | None
    model: str
    options: dict[str, Any]
    skeleton: SkeletonOut | None


class ModelOut(BaseModel):
    """A model that jobs may name, and the skeleton of its poses."""

    name: str
    description: str
    default: bool
    skeleton: SkeletonOut


class PersonOut(BaseModel):
    """A person of an image: keypoints are [x, y, confidence], the box [x, y, width, height]."""

    score: float
    keypoints: list[list[float]]
    box: list[float]


class ImageOut(BaseModel):
    """The people of an image."""

    width: int
    height: int
    people: list[PersonOut]
    time_ms: float
    skeleton: SkeletonOut


class ErrorOut(BaseModel):
    """Why there is no other answer."""

    error: str


_OPTIONS: dict[str, Any] = {
    "model": {"type": "string", "description": "Name from /v1/models."},
    "conf": {"type": "number", "description": "Lowest person score that starts a track, 0 to 1."},
    "window": {"type": "integer", "description": "Frames that each frame's poses are read from."},
    "imgsz": {"type": "integer", "description": "Longer side of the network's input in px."},
    "smooth": {"type": "string", "enum": ["off", "causal", "offline"]},
    "hide": {
        "type": "string",
        "enum": ["none", "faces", "people"],
        "description": "What is blurred in the annotated video.",
    },
    "start": {"type": "number", "description": "Start at this time, in seconds."},
    "end": {"type": "number", "description": "Stop at this time, in seconds."},
}
_FILE = {"type": "string", "format": "binary"}


def _object(properties: dict[str, Any], required: str) -> dict[str, Any]:
    return {"schema": {"type": "object", "properties": properties, "required": [required]}}


JOB_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": _object({"file": _FILE, **_OPTIONS}, "file"),
        "application/json": _object({"path": {"type": "string"}, **_OPTIONS}, "path"),
    },
}
IMAGE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": _object(
            {"file": _FILE, **{key: _OPTIONS[key] for key in ("model", "conf", "imgsz")}}, "file"
        )
    },
}
