"""The jobs on disk: one folder each, with a state file that is never half written."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from pathlib import Path

from vepe.errors import VepeError
from vepe.formats.files import dump_json, load_json
from vepe.serve.job import FINISHED, JOB_ID, Job

_log = logging.getLogger(__name__)

STATE = "job.json"
MAX_ATTEMPTS = 2
"""How often a job is started: once more after the server died while it ran."""


class JobStore:
    """All jobs, in memory and in `folder`. Threads may share it.

    Args:
        folder: created if missing; what a dead server left half made is removed from it.

    Raises:
        VepeError: where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute() / "jobs"
        self.incoming = folder.absolute() / "incoming"
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(exist_ok=True)
            shutil.rmtree(self.incoming, ignore_errors=True)  # uploads that were cut off
            self.incoming.mkdir()
        except OSError as error:
            raise VepeError(
                f"The folder '{folder}' cannot be written to ({error.strerror}); give another: "
                "--data DIR."
            ) from None
        self._load()

    def _load(self) -> None:
        for folder in sorted(self.folder.iterdir()):
            if not JOB_ID.fullmatch(folder.name) or not folder.is_dir():
                continue
            try:
                job = Job.from_state(load_json(folder / STATE))
                if job.id != folder.name:
                    raise VepeError("This is the state of another job.")
            except VepeError as error:
                _log.warning("The job '%s' is left out: %s", folder.name, error)
                continue
            self._jobs[job.id] = job
            if job.status == "running":
                self._resume(job)

    def _resume(self, job: Job) -> None:
        """A job that ran when the server died is queued again, once."""
        if job.cancel_requested:
            job.status, job.finished = "cancelled", time.time()
        elif job.attempts >= MAX_ATTEMPTS:
            job.status, job.finished = "failed", time.time()
            job.error = "The server stopped twice while this ran; send it again to try once more."
        else:
            job.status, job.started, job.frames = "queued", None, 0
        self.clear_results(job)
        self.save(job)

    def all(self) -> list[Job]:
        """All jobs, newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.created, reverse=True)

    def get(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job_id)

    def queued(self) -> list[Job]:
        """The jobs that wait, next first."""
        return [job for job in reversed(self.all()) if job.status == "queued"]

    def add(self, job: Job, upload: Path | None = None) -> None:
        """Stores a new job, and moves its upload into its folder.

        Raises:
            VepeError: on a full disk.
        """
        folder = self.folder_of(job)
        try:
            folder.mkdir()
            if upload is not None and job.source is not None:
                upload.replace(folder / job.source)
            dump_json(folder / STATE, job.state())
        except (OSError, VepeError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise VepeError("The job cannot be stored; the server's disk may be full.") from error
        with self._lock:
            self._jobs[job.id] = job

    def save(self, job: Job) -> None:
        """Stores the present state of a job, unless it was removed. A full disk is logged."""
        with self._lock:
            if job.id not in self._jobs:
                return
        try:
            dump_json(self.folder_of(job) / STATE, job.state())
        except VepeError as error:
            _log.error("The state of job '%s' could not be stored: %s", job.id, error)

    def remove(self, job: Job) -> None:
        """Forgets a job and deletes its files; never a file that was named by path."""
        with self._lock:
            self._jobs.pop(job.id, None)
        shutil.rmtree(self.folder_of(job), ignore_errors=True)

    def clear_results(self, job: Job) -> None:
        """Deletes what a run wrote, so that nothing half made is left."""
        keep = {STATE, job.source}
        with contextlib.suppress(OSError):
            for path in self.folder_of(job).iterdir():
                if path.name in keep:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def folder_of(self, job: Job) -> Path:
        return self.folder / job.id

    def source_of(self, job: Job) -> Path:
        """The file that is tracked."""
        if job.source is None:
            return Path(job.path or "")
        return self.folder_of(job) / job.source

    def counts(self) -> dict[str, int]:
        """Number of jobs by status."""
        counts = dict.fromkeys(("queued", "running", *FINISHED), 0)
        for job in self.all():
            counts[job.status] += 1
        return counts
