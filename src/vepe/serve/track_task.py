"""A job in its worker process: the pipeline of `vepe track`, with poses written as they come."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vepe.errors import VepeError
from vepe.inference.model_files import find_weights
from vepe.inference.pipeline import run
from vepe.inference.result_info import RunInfo
from vepe.inference.track_job import TrackJob
from vepe.serve.job import JobOptions, model_name
from vepe.serve.pose_records import frame_line, skeleton_values
from vepe.serve.settings import Limits, duration_text
from vepe.types import NO_TRACK, FramePoses
from vepe.video.reader import open_video
from vepe.video.source import VideoSource
from vepe.video.sources import STDIN, NamedSource
from vepe.viz.options import DrawingOptions

if TYPE_CHECKING:
    from vepe.inference.predictor import Predictor

STEM = "result"
LINES = "poses.jsonl"
RESULT = f"{STEM}.json"
VIDEO = f"{STEM}.mp4"

_REPORT_EVERY_S = 0.1
_LOOK_AT_DISK_EVERY = 50  # frames


@dataclass(frozen=True)
class TrackTask:
    """What a worker needs for a job.

    Attributes:
        id: of the job.
        folder: of the job, for all results.
        source: the file to track; its suffix says what it is.
        name: of the video in results and messages.
        options: the client's.
        limits: the server's.
    """

    id: str
    folder: Path
    source: Path
    name: str
    options: JobOptions
    limits: Limits


Send = Callable[[str, dict[str, Any]], None]


class _Progress:
    """Writes the poses of a job, and reports how far it is."""

    def __init__(self, task: TrackTask, send: Send) -> None:
        self._task, self._send = task, send
        self._begun_s = time.monotonic()
        self._reported_s = 0.0
        self._first_s: float | None = None
        self.ids: set[int] = set()
        self.frames = 0
        self._lines = (task.folder / LINES).open("wb", buffering=0)

    def __call__(self, poses: FramePoses) -> None:
        limits = self._task.limits
        if poses.time_s > limits.duration_s + self._task.options.start:
            raise VepeError(
                f"'{self._task.name}' is longer than {duration_text(limits.duration_s)}, the "
                "server's limit; send a part of it."
            )
        if self.frames % _LOOK_AT_DISK_EVERY == 0:
            free_mb = shutil.disk_usage(self._task.folder).free / 1e6
            if free_mb < limits.free_disk_mb / 2:
                raise VepeError("The server's disk is almost full; delete some jobs.")
        self._lines.write(frame_line(poses))
        self.frames += 1
        self.ids.update(poses.track_ids.tolist())
        now_s = time.monotonic()
        if self._first_s is None:
            self._first_s = now_s - self._begun_s
        if now_s - self._reported_s >= _REPORT_EVERY_S:
            self._reported_s = now_s
            self._send("progress", self.values())

    def values(self) -> dict[str, Any]:
        first = None if self._first_s is None else round(self._first_s, 3)
        ids = self.ids - {NO_TRACK}
        return {"frames": self.frames, "people": len(ids), "first_poses_s": first}

    def close(self) -> None:
        self._lines.close()


def run_task(
    task: TrackTask,
    predictor_of: Callable[[JobOptions], Predictor],
    send: Send,
    stop: threading.Event,
) -> None:
    """Tracks a video; sends `started`, `progress`, and at the end `done` or `cancelled`.

    Raises:
        VepeError: where the video cannot be read, or passes a limit; no path is in the text.
    """
    progress = _Progress(task, send)
    try:
        predictor = predictor_of(task.options)
        with _open(task) as video:
            skeleton = skeleton_values(predictor.skeleton)
            send("started", {"skeleton": skeleton, "total": video.info.frame_count})
            report = run(
                predictor,
                video,
                _track_job(task),
                on_poses=progress,
                stop=stop,
                reopen=lambda: _open(task),
            )
    except VepeError as error:
        raise VepeError(_without_paths(str(error), task)) from error
    finally:
        progress.close()
    if report.stopped or stop.is_set():
        send("cancelled", {})
        return
    warnings = [_without_paths(warning, task) for warning in report.warnings]
    send("done", {**progress.values(), "warnings": warnings})


def _without_paths(text: str, task: TrackTask) -> str:
    """A sentence for clients, who must not learn where the server keeps its files."""
    for path in (task.source, task.source.absolute()):
        text = text.replace(str(path), task.name)
    for path in (task.folder, task.folder.absolute()):
        text = text.replace(str(path), "job")
    return text


def _open(task: TrackTask) -> VideoSource:
    """The video, under the client's name for it."""
    options = task.options
    video = open_video(task.source, start_s=options.start, end_s=options.end)
    video.info = replace(video.info, name=task.name)
    return video


def _track_job(task: TrackTask) -> TrackJob:
    options = task.options
    settings = {
        name: getattr(options, name) for name in ("conf", "window", "smooth", "start", "end")
    }
    return TrackJob(
        task.folder,
        STEM,
        overwrite=True,
        start_s=options.start,
        info=RunInfo.of(
            model_name(options.model),
            find_weights(options.model),
            {**settings, "input_px": options.imgsz},
        ),
        # The results name the video as the client does, and no path of this machine.
        source=NamedSource(STDIN, task.name, task.source),
        drawing=DrawingOptions(hide=options.hide),
    )
