"""The scheduler: takes queued jobs one after the other to the worker, and limits each."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from vepe.errors import VepeError
from vepe.serve.errors import public_sentence
from vepe.serve.job import FINISHED, Job
from vepe.serve.metrics import Metrics
from vepe.serve.settings import ServeSettings, duration_text
from vepe.serve.store import JobStore
from vepe.serve.track_task import TrackTask
from vepe.serve.worker_process import WorkerLostError, WorkerProcess

_log = logging.getLogger(__name__)

CANCEL_S = 5.0
"""How long a worker has to stop by itself before it is ended."""

_POLL_S = 0.05


class Scheduler:
    """Runs the jobs of a store in a thread of its own, with one worker process.

    Args:
        store: of the jobs.
        settings: of the server.
        metrics: that count what was done.

    Attributes:
        worker: the process that tracks.
    """

    def __init__(self, store: JobStore, settings: ServeSettings, metrics: Metrics) -> None:
        self._store, self._settings, self._metrics = store, settings, metrics
        self.worker = WorkerProcess("jobs", settings)
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._status = threading.Lock()  # a job is begun or cancelled, not both
        self._thread = threading.Thread(target=self._work, name="scheduler", daemon=True)

    def start(self) -> None:
        """Starts the worker and the thread. Raises VepeError where the model cannot be loaded."""
        try:
            self.worker.start()
        except WorkerLostError as error:
            raise VepeError(f"The worker process could not start: {error}") from None
        self._thread.start()

    def wake(self) -> None:
        """Says that there is something to do."""
        self._wake.set()

    def cancel(self, job: Job) -> None:
        """Ends a job that waits, and asks one that runs to end."""
        with self._status:
            job.cancel_requested = True
            if job.status == "queued":
                self._finish(job, "cancelled")
            else:
                self._store.save(job)  # should the server end before the worker does
        self._wake.set()

    def close(self) -> None:
        """Ends everything; a job that runs will be queued again by the next server."""
        self._closed.set()
        self._wake.set()
        self.worker.close()
        if self._thread.is_alive():
            self._thread.join(10)

    def _work(self) -> None:
        while not self._closed.is_set():
            queued = self._store.queued()
            if not queued:
                self._wake.wait(1.0)
                self._wake.clear()
                continue
            try:
                self._run(queued[0])
            except Exception:
                _log.exception("Unexpected error in the scheduler")
                self._finish(queued[0], "failed", "The server ran into an unexpected error.")

    def _run(self, job: Job) -> None:
        with self._status:
            if job.status != "queued":
                return
            job.status, job.started, job.finished = "running", time.time(), None
        job.attempts += 1
        job.frames, job.total, job.people, job.error, job.warnings = 0, None, None, None, []
        self._store.clear_results(job)
        self._store.save(job)
        try:
            self._follow(job)
        except (WorkerLostError, VepeError) as error:
            if self._closed.is_set():
                return  # the stored state says that it ran
            if job.cancel_requested:
                self._finish(job, "cancelled")
            else:
                self._finish(job, "failed", public_sentence(str(error)))
            self._warm_up()

    def _warm_up(self) -> None:
        """Starts a worker that was lost, so that the next job does not wait for its model."""
        try:
            self.worker.start()
        except (WorkerLostError, VepeError) as error:
            _log.error("The worker process could not start: %s", error)

    def _follow(self, job: Job) -> None:
        """Sends a job to the worker, and reads its messages until it ends."""
        store, worker = self._store, self.worker
        worker.start()
        folder, source = store.folder_of(job), store.source_of(job)
        limits = self._settings.limits
        worker.send(
            "run", {"task": TrackTask(job.id, folder, source, job.name, job.options, limits)}
        )
        end_s = time.monotonic() + limits.job_s
        kill_s: float | None = None
        while True:
            message = worker.poll(_POLL_S)
            now_s = time.monotonic()
            if job.cancel_requested and kill_s is None:
                worker.send("cancel", {})
                kill_s = now_s + CANCEL_S
            if now_s > end_s:
                worker.kill()
                raise WorkerLostError(
                    f"It ran longer than {duration_text(limits.job_s)}, the server's limit; send "
                    "a shorter video."
                )
            if kill_s is not None and now_s > kill_s:
                worker.kill()
                raise WorkerLostError("It was cancelled.")
            if message is None:
                continue
            name, values = message
            if name in ("started", "progress", "done"):
                self._note(job, values)
            elif name == "failed":
                raise VepeError(values["error"])
            if name in ("done", "cancelled"):
                worker.receive(CANCEL_S)  # the answer that ends the request
                self._finish(job, name)
                return

    def _note(self, job: Job, values: dict[str, Any]) -> None:
        if "frames" in values:
            self._metrics.frames += max(0, values["frames"] - job.frames)
        for name in ("frames", "total", "people", "first_poses_s", "skeleton", "warnings"):
            if name in values:
                setattr(job, name, values[name])

    def _finish(self, job: Job, status: Any, error: str | None = None) -> None:
        if job.status in FINISHED:
            return
        if status != "done":
            self._store.clear_results(job)
        job.finished, job.error, job.status = time.time(), error, status
        self._metrics.finished(job)
        if self._store.get(job.id) is None:
            self._store.remove(job)  # deleted meanwhile: also what was written since
        else:
            self._store.save(job)
