"""`Parts`: what the routes share, started and ended together."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from fastapi import Request, WebSocket

from vepe.errors import VepeError
from vepe.serve.errors import RefusedError, public_sentence
from vepe.serve.job import JOB_ID, Job
from vepe.serve.metrics import Metrics
from vepe.serve.scheduler import Scheduler
from vepe.serve.settings import ServeSettings
from vepe.serve.store import JobStore
from vepe.serve.worker_process import WorkerLostError, WorkerProcess


@dataclass(frozen=True)
class Parts:
    """A server without its routes.

    Attributes:
        settings: of the server.
        store: of the jobs.
        scheduler: runs them.
        tools, live: worker processes for uploads and conversions, and for images and live frames.
        metrics: what is counted.
        closing: set when the server ends, so that streams end too.
    """

    settings: ServeSettings
    store: JobStore
    scheduler: Scheduler
    tools: WorkerProcess
    live: WorkerProcess
    metrics: Metrics
    closing: threading.Event

    @staticmethod
    def of(settings: ServeSettings) -> Parts:
        """The parts of a server, not started. Raises VepeError as `ServeSettings.check`."""
        settings.check()
        store, metrics = JobStore(settings.data), Metrics()
        return Parts(
            settings,
            store,
            Scheduler(store, settings, metrics),
            WorkerProcess("tools", settings),
            WorkerProcess("live", settings),
            metrics,
            threading.Event(),
        )

    def job(self, job_id: str) -> Job:
        """The job of an id. Raises RefusedError 404 where there is none."""
        job = self.store.get(job_id) if JOB_ID.fullmatch(job_id) else None
        if job is None:
            raise RefusedError(404, "There is no such job; it may have been deleted.")
        return job

    def public(self, job: Job) -> dict[str, object]:
        """What clients see of a job."""
        place = None
        if job.status == "queued":
            waiting = [queued.id for queued in self.store.queued()]
            place = waiting.index(job.id) + 1 if job.id in waiting else None
        return job.public(place)

    def workers(self) -> dict[str, WorkerProcess]:
        """The worker processes by role."""
        return {"jobs": self.scheduler.worker, "live": self.live, "tools": self.tools}

    def close(self) -> None:
        """Ends all processes."""
        self.closing.set()
        self.scheduler.close()
        self.tools.close()
        self.live.close()


async def ask(
    worker: WorkerProcess, name: str, values: dict[str, Any], timeout_s: float
) -> dict[str, Any]:
    """Asks a worker. Raises RefusedError 422 where it cannot, or ends."""
    try:
        return await worker.ask(name, values, timeout_s)
    except (VepeError, WorkerLostError) as error:
        raise RefusedError(422, public_sentence(str(error))) from None


def parts_of(request: Request | WebSocket) -> Parts:
    """The parts of the server that a request came to."""
    parts: Parts = request.app.state.parts
    return parts
