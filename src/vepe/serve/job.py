"""A job: one video to track, what is known of it, and what clients see of it."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from vepe.errors import VepeError, printable

Status = Literal["queued", "running", "done", "failed", "cancelled"]
FINISHED = ("done", "failed", "cancelled")

JOB_ID = re.compile(r"[0-9a-f]{24}")
_MAX_NAME = 120


@dataclass(frozen=True)
class JobOptions:
    """Options of a job, named as those of `vepe track`; None stands for the model's own value."""

    model: str
    conf: float | None = None
    window: int | None = None
    imgsz: int | None = None
    smooth: Literal["off", "causal", "offline"] = "off"
    hide: Literal["none", "faces", "people"] = "none"
    start: float = 0.0
    end: float | None = None

    @staticmethod
    def parse(values: dict[str, Any], models: tuple[str, ...], default: str) -> JobOptions:
        """Checked options from texts or JSON values.

        Raises:
            VepeError: on an unknown option or model, or a value that is out of range.
        """
        known = [f.name for f in fields(JobOptions)]
        for name in values:
            if name not in known:
                raise VepeError(
                    f"There is no option '{printable(str(name))[:40]}'; known are "
                    f"{', '.join(known)}."
                )
        given = {name: value for name, value in values.items() if value not in (None, "")}
        by_name = {model_name(model): model for model in models}
        name = given.get("model", model_name(default))
        if not isinstance(name, str) or name not in by_name:
            raise VepeError(
                f"There is no model '{printable(str(name))[:40]}' here; choose from "
                f"{', '.join(by_name)}."
            )
        return JobOptions(
            model=by_name[name],
            conf=_number(given, "conf", 0.0, 1.0),
            window=_whole(given, "window", 1, 15),
            imgsz=_whole(given, "imgsz", 64, 1920),
            smooth=_choice(given, "smooth", ("off", "causal", "offline")),
            hide=_choice(given, "hide", ("none", "faces", "people")),
            start=_number(given, "start", 0.0, 1e6) or 0.0,
            end=_number(given, "end", 0.0, 1e6),
        )


def model_name(model: str) -> str:
    """The name of a model for clients: of a file, without its folder."""
    return re.split(r"[\\/]", model)[-1]


def _number(values: dict[str, Any], name: str, low: float, high: float) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        number = None
    if isinstance(value, bool) or number is None or not low <= number <= high:
        raise VepeError(f"{name} must be a number from {low:g} to {high:g}.")
    return number


def _whole(values: dict[str, Any], name: str, low: int, high: int) -> int | None:
    number = _number(values, name, low, high)
    if number is not None and number != int(number):
        raise VepeError(f"{name} must be a whole number from {low} to {high}.")
    return None if number is None else int(number)


def _choice(values: dict[str, Any], name: str, known: tuple[str, ...]) -> Any:
    value = values.get(name, known[0])
    if value not in known:
        raise VepeError(f"{name} must be one of {', '.join(known)}.")
    return value


@dataclass(frozen=True)
class VideoFacts:
    """What is known of a job's video (or image); `playable`: in usual browsers."""

    width: int
    height: int
    fps: float
    duration_s: float | None
    frames: int | None
    playable: bool
    image: bool = False


@dataclass
class Job:
    """A job. Its manager changes it; `state` is what is stored.

    Attributes:
        id: random, so that it cannot be guessed.
        name: of the file, as the client gave it, for display only.
        source: file name of the upload in the job's folder; None with `path`.
        path: of a file below the server's root, where no upload was made.
        attempts: how often it was started.
        frames, total: done, and of the part that is tracked, once it is known.
        first_poses_s: from the start of processing to the first poses.
    """

    id: str
    name: str
    options: JobOptions
    source: str | None = None
    path: str | None = None
    status: Status = "queued"
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    video: VideoFacts | None = None
    frames: int = 0
    total: int | None = None
    people: int | None = None
    first_poses_s: float | None = None
    skeleton: dict[str, Any] | None = None
    bytes: int = 0
    cancel_requested: bool = False

    @staticmethod
    def new(name: str, options: JobOptions) -> Job:
        return Job(secrets.token_hex(12), display_name(name), options, created=time.time())

    def state(self) -> dict[str, Any]:
        """All of it as values of JSON; see `from_state`."""
        return asdict(self)

    @staticmethod
    def from_state(state: dict[str, Any]) -> Job:
        """The job of a stored state. Raises VepeError where it is none."""
        try:
            values = dict(state)
            values["options"] = JobOptions(**values["options"])
            if values.get("video") is not None:
                values["video"] = VideoFacts(**values["video"])
            job = Job(**values)
            if job.status not in get_args(Status) or not JOB_ID.fullmatch(job.id):
                raise ValueError
            return job
        except (KeyError, TypeError, ValueError):
            raise VepeError("This is no state of a job.") from None

    def public(self, queue_place: int | None = None) -> dict[str, Any]:
        """What clients see; see docs/serve.md."""
        total = self.total
        if total is None and self.video is not None:
            total = self.video.frames
        running = self.status == "running" and self.started is not None
        elapsed_s = time.time() - (self.started or 0.0) if running else None
        if self.status == "done":
            total = self.frames
            elapsed_s = (self.finished or 0.0) - (self.started or 0.0)
        fps = self.frames / elapsed_s if elapsed_s and self.frames else None
        left = max(0, total - self.frames) if total is not None else None
        eta_s = left / fps if fps and left is not None and running else None
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "queue_place": queue_place,
            "created": _iso(self.created),
            "started": _iso(self.started),
            "finished": _iso(self.finished),
            "progress": {
                "frames": self.frames,
                "total": total,
                "eta_s": None if eta_s is None else round(eta_s, 1),
                "fps": None if fps is None else round(fps, 2),
            },
            "error": self.error,
            "warnings": list(self.warnings),
            "video": None
            if self.video is None
            else {
                "width": self.video.width,
                "height": self.video.height,
                "fps": round(self.video.fps, 3),
                "duration_s": self.video.duration_s,
                "playable": self.video.playable,
                "image": self.video.image,
            },
            "people": self.people,
            "first_poses_s": self.first_poses_s,
            "model": model_name(self.options.model),
            "options": {**asdict(self.options), "model": model_name(self.options.model)},
            "skeleton": self.skeleton,
        }


def _iso(time_s: float | None) -> str | None:
    return None if time_s is None else datetime.fromtimestamp(time_s, UTC).isoformat()


def display_name(name: str) -> str:
    """A client's file name for display: without folders and control characters, not too long."""
    base = re.split(r"[\\/]", name)[-1]
    text = printable(base.replace("\n", " ").replace("\t", " ")).strip()
    return text[:_MAX_NAME] or "unnamed"
