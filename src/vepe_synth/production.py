"""Makes the sequences of an order in one process or in several; can be stopped and gone on with."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from vepe.errors import VepeError
from vepe_synth.dataset import Order, Studio


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def produce(order: Order, workers: int) -> Iterator[int]:
    """Makes what is missing and yields the number of each sequence when it is done.

    What is written is the same for any number of workers. Stopping it (an exception, Ctrl-C, the
    generator closed) leaves whole sequences behind alone.

    Raises:
        VepeError: where the disk is full, a driver is missing or a worker dies.
    """
    missing = order.missing()
    if workers <= 1 or len(missing) <= 1:
        yield from _alone(order, missing)
    else:
        yield from _together(order, missing, min(workers, len(missing)))


def _alone(order: Order, missing: list[int]) -> Iterator[int]:
    if not missing:
        return
    studio = Studio(order)
    try:
        for index in missing:
            studio.make(index)
            yield index
    finally:
        studio.close()


def _together(order: Order, missing: list[int], workers: int) -> Iterator[int]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _open_studio, (order, stop))
    try:
        waiting = {pool.submit(_make, index) for index in missing}
        for future in as_completed(waiting):
            yield future.result()
    except BrokenProcessPool:
        raise VepeError(
            "A worker that renders video has ended (out of memory?); run the same command again "
            "to go on, with fewer --workers."
        ) from None
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


_studio: Studio | None = None
_order: Order | None = None
_stop: Any = None


def _open_studio(order: Order, stop: Any) -> None:
    """Start of a worker. Ctrl-C reaches all processes of a terminal: the parent decides alone."""
    global _order, _stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _order, _stop = order, stop


def _make(index: int) -> int:
    """One sequence in a worker. The studio opens here, where an error finds its way back."""
    global _studio
    import cv2

    assert _order is not None
    if _studio is None:
        cv2.setNumThreads(1)
        _studio = Studio(_order, threads=0)
    _studio.make(index, _stop.is_set)
    return index
