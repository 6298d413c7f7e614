"""Renders the sequences of a job in one or several processes; can be interrupted and resumed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from vepe.errors import VepeError
from vepe_synth.dataset import JobRenderer, RenderJob


def usable_cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def render(job: RenderJob, workers: int) -> Iterator[int]:
    """Renders the missing sequences and yields the index of each one when it is done.

    The files do not depend on the number of workers. Stopping early (an exception, Ctrl-C, closing
    the generator) leaves only complete sequences.

    Raises:
        VepeError: if the disk is full, a driver is missing or a worker dies.
    """
    missing = job.missing()
    if workers <= 1 or len(missing) <= 1:
        yield from _in_this_process(job, missing)
    else:
        yield from _in_workers(job, missing, min(workers, len(missing)))


def _in_this_process(job: RenderJob, missing: list[int]) -> Iterator[int]:
    if not missing:
        return
    job_renderer = JobRenderer(job)
    try:
        for index in missing:
            job_renderer.make(index)
            yield index
    finally:
        job_renderer.close()


def _in_workers(job: RenderJob, missing: list[int], workers: int) -> Iterator[int]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (job, stop))
    try:
        waiting = {pool.submit(_render_one, index) for index in missing}
        for future in as_completed(waiting):
            yield future.result()
    except BrokenProcessPool:
        raise VepeError(
            "A rendering worker died (out of memory?); run the same command again with fewer "
            "--workers to continue."
        ) from None
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


_job_renderer: JobRenderer | None = None
_job: RenderJob | None = None
_stop: Any = None


def _start_worker(job: RenderJob, stop: Any) -> None:
    """Sets up a worker process: one thread; Ctrl-C, sent to all processes, is the parent's."""
    global _job, _stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _use_one_thread()
    _job, _stop = job, stop


def _use_one_thread() -> None:
    import cv2

    os.environ["LP_NUM_THREADS"] = "0"  # Mesa renders in the calling thread
    cv2.setNumThreads(1)


def _render_one(index: int) -> int:
    """Renders a sequence. The renderer opens here, so that its error reaches the parent."""
    global _job_renderer
    assert _job is not None
    if _job_renderer is None:
        _job_renderer = JobRenderer(_job)
    _job_renderer.make(index, _stop.is_set)
    return index


def open_maker(job: RenderJob) -> Callable[[int, Callable[[], bool]], int | None]:
    """A function that renders a sequence, for a process of a cluster, and returns its frames.

    It takes the sequence's number, and a function that says whether to stop; then it returns None,
    with nothing written.

    Raises:
        VepeError: if a driver is missing.
    """
    _use_one_thread()
    job_renderer = JobRenderer(job)

    def make(index: int, stopped: Callable[[], bool]) -> int | None:
        return job.settings.frames if job_renderer.make(index, stopped) else None

    return make
