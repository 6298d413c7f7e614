"""A folder that one run at a time writes into, such as that of a training run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from vepe.errors import VepeError
from vepe.partial_files import SUFFIX, Partial, uninterrupted

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: nothing is held there
    fcntl = None

NAME = f".in-use{SUFFIX}"
"""A hidden file as those in which results are written: what a killed run left is removed by the
next one that writes into the folder."""
_TRIES, _PAUSE_S = 5, 0.05
"""Another process that removes what a killed run left locks it for a moment, too."""
_held: set[int] = set()
"""Descriptors by which this process holds folders."""


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Holds a folder, so that another run does not write into it at the same time.

    The lock ends with the process, however it ends: a run that was killed blocks no other. Where
    the file system has no locks, or the folder cannot be written to, nothing is held.

    Args:
        folder: is created if it is missing, as those above it, and removed in the end if it is
            empty then.

    Raises:
        VepeError: if another run holds it.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    lock: Partial | None = None
    try:
        with uninterrupted():
            with suppress(OSError):  # what writes into it says why it cannot be created
                folder.mkdir(parents=True, exist_ok=True)
            lock = _wait_for_lock(folder)
        yield
    finally:
        with uninterrupted():
            if lock is not None:
                _release(lock)
            with suppress(OSError):
                for path in created:
                    path.rmdir()


def _wait_for_lock(folder: Path) -> Partial | None:
    """A file that locks the folder; None where that cannot be.

    Raises:
        VepeError: if another run holds it.
    """
    for _ in range(_TRIES):
        try:
            return _try_lock(folder / NAME)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
    raise VepeError(
        f"Another run writes into '{folder}' at this moment; wait for its end, or choose another "
        "folder."
    )


def _try_lock(path: Path) -> Partial | None:
    """As `_wait_for_lock`. Raises BlockingIOError where another process has locked the file."""
    while fcntl is not None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(path, flags, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), path.lstat()):
                _held.add(handle)
                return Partial(path, handle)
            os.close(handle)
        except FileNotFoundError:  # its run ended, and removed it, between the two steps
            os.close(handle)
        except BlockingIOError:
            os.close(handle)
            raise
        except OSError:  # this file system has no locks
            os.close(handle)
            with suppress(OSError):
                path.unlink()
            return None
    return None


def _release(lock: Partial) -> None:
    """Removes a file that locks a folder; not in a fork of the process that holds it."""
    if lock.lock not in _held:
        return
    _held.discard(lock.lock)
    try:
        lock.remove()
    except OSError:
        # File systems that copy on write need space to delete a file, and may have it now. Where
        # the folder may not be written to any more, the next run removes the file.
        with suppress(OSError):
            lock.path.unlink()
        os.close(lock.lock)


def _close_in_fork() -> None:
    """So that a worker of a loader does not hold the folder of a run that was killed."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_fork)
