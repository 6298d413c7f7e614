"""Ctrl-C and SIGTERM: the first asks the work to end, the second aborts it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that what is finished is written; a second one aborts."""
    stop = threading.Event()
    line = "Stopping and writing what is finished. Ctrl-C again discards it.\n"
    if sys.stderr is not None and sys.stderr.isatty():
        line = "\n" + line  # not into the progress bar
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    terminal = 2
    with suppress(AttributeError, OSError):  # there is none, or it is no file
        terminal = sys.stderr.fileno()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def request_stop(number: int, frame: object) -> None:
        if not stop.is_set() and sys.stderr is not None:
            os.write(terminal, line.encode())  # a handler must not use sys.stderr: it may be in use
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in numbers:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
