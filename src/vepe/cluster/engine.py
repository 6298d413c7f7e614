"""What runs tasks: the interface of all engines, and the one in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vepe.cluster.tasks import Event, Result, Task
from vepe.errors import DISK_FULL, VepeError


class Engine(Protocol):
    """Runs tasks, each once; whether to try again is the scheduler's decision.

    A killed worker must give an `Event` of kind `lost` for each of its tasks.
    """

    def room(self) -> int:
        """How many more tasks it takes now."""
        ...

    def submit(self, task: Task) -> None:
        """Takes a task."""
        ...

    def wait(self, timeout_s: float) -> list[Event]:
        """What has happened to the tasks, as soon as there is anything; or after the timeout.

        Raises:
            VepeError: where no work is possible any more.
        """
        ...

    def interrupt(self) -> None:
        """Asks the tasks that run to end soon; those of whole videos write what is finished."""
        ...

    def num_workers(self) -> int:
        """How many workers there are now."""
        ...

    def frames_in_work(self) -> int:
        """How many frames of unfinished tasks are done."""
        ...


class InProcess:
    """One task at a time, in this process and this thread; `wait` runs it.

    Args:
        do: does a task. Its errors are its failure, except for a full disk, which ends all.
        on_interrupt: called by `interrupt`.
    """

    def __init__(
        self, do: Callable[[Task], Result], on_interrupt: Callable[[], None] = lambda: None
    ) -> None:
        self._do, self._on_interrupt = do, on_interrupt
        self._task: Task | None = None

    def room(self) -> int:
        return int(self._task is None)

    def submit(self, task: Task) -> None:
        self._task = task

    def wait(self, timeout_s: float) -> list[Event]:
        task, self._task = self._task, None
        return [] if task is None else [perform(self._do, task)]

    def interrupt(self) -> None:
        self._on_interrupt()

    def num_workers(self) -> int:
        return 1

    def frames_in_work(self) -> int:
        return 0


def perform(do: Callable[[Task], Result], task: Task) -> Event:
    """Does a task and says what became of it.

    Raises:
        VepeError, OSError: on a full disk, which would hit every other task.
    """
    try:
        return Event(task, "done", do(task))
    except VepeError as error:
        if disk_is_full(error):
            raise
        return Event(task, "failed", reason=str(error))
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        return Event(task, "failed", reason=str(error))
    except Exception as error:  # a bug must not cost the other videos of a night
        kind = type(error).__name__
        reason = f"unexpected error ({kind}: {error}); track it alone"
        return Event(task, "failed", reason=reason)


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or what caused it, is a full disk."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in DISK_FULL:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
