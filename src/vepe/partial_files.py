"""Hidden files and folders next to a target, in which it is written until it is complete.

Each is locked while its writer lives, and has a suffix that nothing else uses. So the next writer
in the same folder, of whatever target, removes what a killed process left there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from types import ModuleType
from typing import Any

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: names are random there, and a killed process leaves its file
    fcntl = None


SUFFIX = ".vepe-part"
_SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_DESCRIPTORS = (Path("/dev/fd"), Path("/proc/self/fd"))
_STANDARD = (Path("/dev/stdin"), Path("/dev/stdout"), Path("/dev/stderr"))
_cleaned: set[Path] = set()
"""Folders in which this process has removed what killed ones left."""


@dataclass(frozen=True)
class Partial:
    """A hidden file or folder that no other process uses.

    Attributes:
        path: where it is; to be renamed to the target when it is complete.
        lock: open descriptor that locks it; None where the system cannot lock files.
    """

    path: Path
    lock: int | None

    def remove(self) -> None:
        """Removes it, unless it was renamed, and unlocks it; once only."""
        if self.lock is None or _is_at(self.lock, self.path):
            _delete(self.path)
        if self.lock is not None:
            os.close(self.lock)


def is_stream(path: Path) -> bool:
    """Whether the path is a device, a pipe, a socket, or a descriptor of this process.

    No file may take its place: a result that root writes to `/dev/null` would replace it.
    """
    if path.absolute().parent in _DESCRIPTORS or path.absolute() in _STANDARD:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not S_ISREG(mode) and not S_ISDIR(mode)


def claim_file(path: Path) -> Partial:
    """An empty hidden file next to `path`. Raises OSError if the folder cannot be written."""
    partial = _claim(path, _open_file)
    if partial is None:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent)
        os.close(handle)
        partial = Partial(Path(name), None)
    _set_mode(partial.path, 0o666)
    return partial


def claim_folder(path: Path) -> Partial:
    """An empty hidden folder next to `path`. Raises OSError if it cannot be created."""
    partial = _claim(path, _open_folder)
    if partial is None:
        name = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent)
        partial = Partial(Path(name), None)
    _set_mode(partial.path, 0o777)
    return partial


def _claim(path: Path, opened: Callable[[Path], int]) -> Partial | None:
    """The first hidden name that no one uses, emptied; None where locks are not possible."""
    if fcntl is None:
        return None
    for number in count():
        candidate = _candidate(path, number)
        try:
            handle = opened(candidate)
        except OSError:
            return None
        locked = False
        try:
            locked = _lock(handle, candidate)
            if locked:
                _empty(handle, candidate)
                _remove_leftovers(path.parent.absolute())
                return Partial(candidate, handle)
        except OSError:
            if locked:
                _delete(candidate)
            os.close(handle)
            return None
        os.close(handle)
    return None


def _candidate(path: Path, number: int) -> Path:
    return path.with_name(f".{path.name}.{number}{SUFFIX}" if number else f".{path.name}{SUFFIX}")


def _open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _open_folder(path: Path) -> int:
    path.mkdir(mode=0o700, exist_ok=True)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _lock(handle: int, path: Path) -> bool:
    """Locks it; False where another writer has, or it is not what the path names any more."""
    assert fcntl is not None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    state = os.fstat(handle)
    own = S_ISDIR(state.st_mode) or (S_ISREG(state.st_mode) and state.st_nlink == 1)
    return own and _is_at(handle, path)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the path names what is open."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False


def _empty(handle: int, path: Path) -> None:
    if path.is_dir():
        for inside in path.iterdir():
            _delete(inside)
    else:
        os.ftruncate(handle, 0)


def _remove_leftovers(folder: Path) -> None:
    """Removes what killed writers left in a folder; once per process, as it has to be listed."""
    if folder in _cleaned:
        return
    _cleaned.add(folder)
    names: list[str] = []
    with suppress(OSError), os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.startswith(".") and e.name.endswith(SUFFIX)]
    for name in names:
        with suppress(OSError):
            _remove_if_unused(folder / name)


def _remove_if_unused(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if _lock(handle, path):
            _delete(path)
    finally:
        os.close(handle)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delays what Python does at SIGINT, SIGTERM and SIGHUP to the end of the context.

    Handlers run in the main thread alone, whichever thread the system gives a signal to.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    previous: dict[int, Any] = {}
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if handler not in (signal.SIG_IGN, None):
            previous[number] = handler
            signal.signal(number, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        _restore(previous)
        for number in received:
            signal.raise_signal(number)


def _restore(handlers: dict[int, Any]) -> None:
    """Installs all of them, even if one of them runs, and raises, at once."""
    try:
        while handlers:
            number, handler = next(iter(handlers.items()))
            signal.signal(number, handler)
            del handlers[number]
    finally:
        if handlers:
            _restore(handlers)


def exchange(first: Path, second: Path) -> bool:
    """Swaps the names of two existing files or folders in one step; False where that cannot be.

    Linux can since 3.15, on its usual file systems.
    """
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    if rename is None:
        return False
    names = os.fsencode(first), os.fsencode(second)
    return bool(rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


def _set_mode(path: Path, mode: int) -> None:
    """Gives it the access rights of a usual new file."""
    mask = os.umask(0)
    os.umask(mask)
    with suppress(OSError):
        path.chmod(mode & ~mask)
