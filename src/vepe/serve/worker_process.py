"""The server's end of a worker process: starting, asking, limiting and ending it."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vepe.errors import VepeError
from vepe.serve.process_usage import Usage, usage_of
from vepe.serve.settings import ServeSettings
from vepe.serve.worker import Message, main

_log = logging.getLogger(__name__)

START_S = 120.0
_POLL_S = 0.1


class WorkerLostError(Exception):
    """A worker process ended, or was ended; its text is a sentence for clients."""


class WorkerProcess:
    """A worker of a role. It is started when it is needed, and again after it was lost.

    One thread at a time talks to it.

    Attributes:
        restarts: how often it was lost.
    """

    def __init__(self, role: str, settings: ServeSettings) -> None:
        self.role, self._settings = role, settings
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._connection: Any = None
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"worker {role}")
        self.restarts = 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Starts it and waits until it is ready; does nothing where it is.

        Raises:
            VepeError: where the model cannot be loaded.
            WorkerLostError: where it ended at once.
        """
        if self.alive:
            return
        if self._closed.is_set():
            raise WorkerLostError("The server is stopping.")
        self.kill()
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=main, args=(theirs, self.role, self._settings), daemon=True
        )
        process.start()
        theirs.close()
        self._process, self._connection = process, ours
        name, values = self.receive(START_S)
        if name != "ready":
            self._log_trace(values)
            self.kill()
            raise VepeError(values["error"])

    def warm_up(self) -> None:
        """Starts it without waiting, so that the first request finds it ready."""

        def start() -> None:
            try:
                self.start()
            except (VepeError, WorkerLostError) as error:
                _log.error("Worker '%s' could not start: %s", self.role, error)

        self._thread.submit(start)

    def send(self, name: str, values: dict[str, Any]) -> None:
        """Sends a message. Raises WorkerLostError."""
        try:
            self._connection.send((name, values))
        except (OSError, AttributeError):
            raise self._lost() from None

    def poll(self, timeout_s: float) -> Message | None:
        """The next message, or None after a while. Raises WorkerLostError, also for its memory."""
        connection = self._connection
        if connection is None:
            raise self._lost()
        try:
            if not connection.poll(timeout_s):
                self._check_memory()
                return None
            message: Message = connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        self._log_trace(message[1])
        return message

    def receive(self, timeout_s: float) -> Message:
        """The next message. Raises WorkerLostError, also where there is none in time."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            message = self.poll(_POLL_S)
            if message is not None:
                return message
        self.restarts += 1
        self.kill()
        raise WorkerLostError(f"It took longer than {timeout_s:g} seconds, the server's limit.")

    async def ask(self, name: str, values: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Sends a request and waits for its answer; starts the worker where it must.

        Requests of several callers are answered one after the other.

        Raises:
            VepeError: what the worker answers where it cannot.
            WorkerLostError: where it ends, or takes too long.
        """

        def answered() -> Message:
            self.start()
            self.send(name, values)
            return self.receive(timeout_s)

        kind, answer = await asyncio.get_running_loop().run_in_executor(self._thread, answered)
        if kind == "failed":
            raise VepeError(answer["error"])
        return answer

    def usage(self) -> Usage:
        """Memory and CPU time of the present process."""
        process = self._process
        return Usage() if process is None or process.pid is None else usage_of(process.pid)

    def kill(self) -> None:
        """Ends the process at once."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is not None:
            process.kill()
            process.join(5)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Ends the process for good."""
        self._closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.kill()

    def _check_memory(self) -> None:
        limit_mb = self._settings.limits.worker_memory_mb
        if self.usage().memory_mb > limit_mb:
            self.restarts += 1
            self.kill()
            raise WorkerLostError(
                f"It needs more than {limit_mb} MB of memory, the server's limit; send a smaller "
                "video."
            )

    def _lost(self) -> WorkerLostError:
        process = self._process
        if self._closed.is_set() or process is None:
            return WorkerLostError("The server is stopping.")
        process.join(1)
        code = process.exitcode
        self.restarts += 1
        self.kill()
        _log.warning("Worker '%s' ended with code %s", self.role, code)
        return WorkerLostError(
            "The process that worked on it ended unexpectedly; the file may be damaged."
        )

    def _log_trace(self, values: dict[str, Any]) -> None:
        trace = values.pop("trace", None)
        if trace:
            _log.error("Unexpected error in worker '%s':\n%s", self.role, trace)
