"""Counters of the server in Prometheus' text format."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vepe.serve.job import Job
    from vepe.serve.process_usage import Usage

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What the server counts. Labels come from fixed sets, never from clients.

    Attributes:
        frames: that were tracked in jobs.
        upload_bytes: that were received.
        images: that were predicted.
        live_frames, live_dropped: of live sessions: answered, and replaced by a newer one.
        live_sessions, event_streams: that are open.
        job_s: seconds that jobs ran.
    """

    def __init__(self) -> None:
        self._begun_s = time.time()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._jobs: Counter[str] = Counter()
        self.frames = self.upload_bytes = self.images = 0
        self.live_frames = self.live_dropped = 0
        self.live_sessions = self.event_streams = 0
        self.job_s = 0.0

    def request(self, method: str, status: int) -> None:
        """A request was answered."""
        known = method if method in _METHODS else "other"
        self._requests[known, status] += 1

    def finished(self, job: Job) -> None:
        """A job ended."""
        self._jobs[job.status] += 1
        if job.started and job.finished:
            self.job_s += job.finished - job.started

    def text(
        self, jobs: Mapping[str, int], usage: Mapping[str, Usage], restarts: Mapping[str, int]
    ) -> str:
        """All values, with those that others know: jobs by status, usage and restarts by role."""
        lines: list[str] = []

        def add(name: str, kind: str, meaning: str, values: Mapping[str, float]) -> None:
            lines.append(f"# HELP vepe_{name} {meaning}")
            lines.append(f"# TYPE vepe_{name} {kind}")
            lines.extend(
                f"vepe_{name}{labels} {_number(value)}" for labels, value in values.items()
            )

        requests = {
            f'{{method="{method}",status="{status}"}}': count
            for (method, status), count in sorted(self._requests.items())
        }
        add("http_requests_total", "counter", "Requests answered.", requests)
        add("jobs", "gauge", "Stored jobs.", _labelled("status", jobs))
        add("jobs_finished_total", "counter", "Jobs ended.", _labelled("status", self._jobs))
        add("job_seconds_total", "counter", "Time that jobs ran.", {"": self.job_s})
        for name, kind, meaning in _PLAIN:
            suffix = "_total" if kind == "counter" else ""
            add(f"{name}{suffix}", kind, meaning, {"": getattr(self, name)})
        add("worker_restarts_total", "counter", "Workers lost.", _labelled("role", restarts))
        memory = {role: value.memory_mb * 1e6 for role, value in usage.items()}
        add("memory_bytes", "gauge", "Resident memory.", _labelled("role", memory))
        cpu = {role: value.cpu_s for role, value in usage.items()}
        add("cpu_seconds_total", "counter", "CPU time of processes.", _labelled("role", cpu))
        add("start_time_seconds", "gauge", "Start of the server.", {"": self._begun_s})
        return "\n".join(lines) + "\n"


_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "WS"})
_PLAIN = (
    ("frames", "counter", "Frames tracked in jobs."),
    ("upload_bytes", "counter", "Bytes received in uploads."),
    ("images", "counter", "Images predicted."),
    ("live_frames", "counter", "Live frames answered."),
    ("live_dropped", "counter", "Live frames replaced by a newer one."),
    ("live_sessions", "gauge", "Open live sessions."),
    ("event_streams", "gauge", "Open streams of events."),
)


def _labelled(label: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f'{{{label}="{key}"}}': value for key, value in values.items()}


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
