"""The actor: a worker in a process of its own, somewhere on the cluster."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from vepe import __version__
from vepe.cluster.engine import perform
from vepe.cluster.tasks import Event, Hooks, Task, TaskWorker, Work
from vepe.errors import VepeError
from vepe.inference.model_files import find_weights
from vepe.inference.result_info import RunInfo
from vepe.inference.result_store import ResultStore

QUESTIONS = "questions"
"""The concurrency group of what is answered while a task runs."""


@dataclass(frozen=True)
class WorkerCheck:
    """What a worker must find on its machine, so that its results are those of this run.

    Attributes:
        version: of VEPE.
        model: name of the weights, as `vepe.load` takes it; None: not checked.
        sha256: of their file.
        token: a file in the folder of the results, which all machines must share; its name, where
            results go to a store.
        store: of the results.
    """

    version: str
    model: str | None
    sha256: str | None
    token: Path
    store: ResultStore | None = None

    def problem(self) -> str | None:
        """What is wrong on this machine, as a sentence; None if nothing."""
        here = socket.gethostname()
        if self.version != __version__:
            return f"{here} has VEPE {__version__}, but here it is {self.version}; install one."
        try:
            seen = self.token.exists() if self.store is None else self.store.exists(str(self.token))
        except VepeError as error:
            return f"{here}: {error}"
        if not seen:
            folder = self.token.parent.parent if self.store is None else self.store.address
            return (
                f"{here} does not see the folder '{folder}'; give one that all "
                "machines share under the same path: -o DIR."
            )
        if self.model is None or self.sha256 is None:
            return None
        try:
            stated = RunInfo.of(self.model, find_weights(self.model), {}).weights_sha256
        except VepeError as error:
            return f"{here}: {error}"
        if stated != self.sha256:
            return f"{here} has other weights '{self.model}' than this machine; copy them there."
        return None


@dataclass(frozen=True)
class WorkerReport:
    """What a worker says when it has started: its name, and why it cannot work, if so."""

    name: str
    problem: str | None


class RayWorker:
    """One worker and one task at a time; `frames` and `interrupt` are answered meanwhile.

    Args:
        settings: the work, and what to check before the first task.
        threads: of the network.
    """

    def __init__(self, settings: tuple[Work, WorkerCheck], threads: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        self._work, self._check = settings
        self._threads = threads
        self._worker: TaskWorker | None = None
        self._frames = 0
        self._name = ""
        self._stop = threading.Event()

    def ready(self) -> WorkerReport:
        """Loads the model, or what else the work needs."""
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        here = socket.gethostname()
        try:
            problem = self._check.problem()
            if problem is None:
                import cv2

                cv2.setNumThreads(self._threads)
                self._worker = self._work.open()
        except VepeError as error:
            problem = f"{here}: {error}"
        except Exception as error:  # such as a package that this machine lacks
            reason = " ".join(str(error).split())[:200]
            problem = (
                f"{here} cannot start a worker ({type(error).__name__}: {reason}); install the "
                "same packages there as here."
            )
        return WorkerReport(self._name, problem)

    def do(self, task: Task) -> Event:
        """Does a task; never raises."""
        assert self._worker is not None
        self._frames = 0
        hooks = Hooks(frames=self._count, stop=self._stop)
        try:
            event = perform(lambda t: self._worker.do(t, hooks), task)  # type: ignore[union-attr]
        except (VepeError, OSError) as error:
            text = str(error) if isinstance(error, VepeError) else "The disk is full."
            reason = f"No space on {socket.gethostname()}: {text}"
            event = Event(task, "failed", reason=reason, fatal=True)
        return replace(event, worker=self._name)

    def _count(self, frames: int) -> None:
        self._frames = frames

    def frames(self) -> int:
        """Frames of the present task that are done."""
        return self._frames

    def interrupt(self) -> None:
        """Asks the present task to end, and all that wait not to begin."""
        self._stop.set()

    def close(self) -> None:
        """Removes what the work has left on this machine, such as copies of videos."""
        if self._worker is not None:
            self._worker.close()
