"""Temporary folders that are deleted in the end even where their process was killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from types import ModuleType

from vepe.partial_files import uninterrupted

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: what a killed process left stays
    fcntl = None


@contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder of our own, locked while this process lives, and deleted at the end.

    Folders of the same prefix whose processes were killed are deleted first: those of this user
    that are not locked. Programs that a killed process started do not keep its locks.

    Args:
        prefix: of its name, which nothing else uses.
        parent: where it lies; the system's folder for temporary files by default.

    Raises:
        OSError: if it cannot be created.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    if fcntl is not None:
        _remove_abandoned(prefix, parent)
    path: Path | None = None
    lock: int | None = None
    try:
        with uninterrupted():
            path, lock = _new_folder(prefix, parent)
        yield path
    finally:
        with uninterrupted():
            if path is not None:
                rmtree(path, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _new_folder(prefix: str, parent: Path) -> tuple[Path, int | None]:
    """A new folder, and the open descriptor that locks it; None where that cannot be."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Until it is locked, another process may take it for abandoned, lock it and delete it.
        try:
            lock = _lock(path)
        except BlockingIOError:
            continue
        if path.exists():
            return path, lock
        if lock is not None:
            os.close(lock)


def _lock(path: Path) -> int | None:
    """An open descriptor that locks a folder; None where it cannot be locked.

    Raises:
        BlockingIOError: where another process has locked it.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # this file system has no locks
        os.close(handle)
        return None
    return handle


def _remove_abandoned(prefix: str, parent: Path) -> None:
    paths: list[Path] = []
    with suppress(OSError), os.scandir(parent) as entries:
        paths = [
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(prefix)
            and entry.is_dir(follow_symlinks=False)
            and entry.stat(follow_symlinks=False).st_uid == os.getuid()
        ]
    for path in paths:
        with suppress(BlockingIOError):
            lock = _lock(path)
            if lock is not None:
                rmtree(path, ignore_errors=True)
                os.close(lock)
