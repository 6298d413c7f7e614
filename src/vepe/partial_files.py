"""Hidden files and folders next to a target, in which it is written until it is complete.

Each is locked while its writer lives, and has a suffix that nothing else uses. So the next writer
in the same folder, of whatever target, removes what a killed process left there.

A result that did not exist when its run began, and may not be overwritten, takes its name only if
no other process has written one meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from types import ModuleType
from typing import Any

from vepe.errors import VepeError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: names are random there, and a killed process leaves its file
    fcntl = None


SUFFIX = ".vepe-part"
_SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2
_UNKNOWN_TO_SYSTEM = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_NO_LINKS = (*_UNKNOWN_TO_SYSTEM, errno.EPERM, errno.EACCES, errno.EMLINK)
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
_DESCRIPTORS = (Path("/dev/fd"), Path("/proc/self/fd"))
_STANDARD = (Path("/dev/stdin"), Path("/dev/stdout"), Path("/dev/stderr"))
_cleaned: set[Path] = set()
"""Folders in which this process has removed what killed ones left."""
_expected_new: dict[Path, str] = {}
"""Results of this process that did not exist when they were checked, and may replace nothing; with
what a user can do if they exist in the end."""


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
            locked = _lock(handle, candidate) and _is_own(handle)
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
    return _is_at(handle, path)


def _is_own(handle: int) -> bool:
    """Whether it may be emptied: a folder, or a file that has no other name."""
    state = os.fstat(handle)
    return S_ISDIR(state.st_mode) or (S_ISREG(state.st_mode) and state.st_nlink == 1)


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


OVERWRITE = "add --overwrite to replace it, or name another"
"""What to do about a result that exists."""


def expect_new(
    paths: Iterable[Path],
    *,
    overwrite: bool,
    advice: str = OVERWRITE,
) -> None:
    """Notes which results do not exist before the work, so that they replace none after it.

    Args:
        paths: files and folders that will be written.
        overwrite: whether they may be replaced in any case.
        advice: what to do if another process wrote one meanwhile.
    """
    for path in paths:
        place = Path(os.path.realpath(path))
        if overwrite or os.path.lexists(path):
            _expected_new.pop(place, None)
        else:
            _expected_new[place] = advice


def publish(new: Path, path: Path) -> None:
    """Gives a complete file its name; an older one is replaced, unless none was expected.

    Raises:
        VepeError: as `publish_new`.
    """
    if not publish_new(new, path):
        new.replace(path)


def publish_new(new: Path, path: Path) -> bool:
    """Gives a complete file or folder its name where `expect_new` noted it; else returns False.

    Raises:
        VepeError: where another process has written one of this name meanwhile, which stays.
        OSError: where it cannot be renamed.
    """
    place = Path(os.path.realpath(path))
    if place not in _expected_new:
        return False
    with uninterrupted():
        if not (_rename_folder(new, path) if new.is_dir() else _rename_file(new, path)):
            raise VepeError(
                f"'{path}' was written by another process while this one worked, and stays; "
                f"{_expected_new[place]}."
            )
        del _expected_new[place]
    return True


def _rename_folder(new: Path, path: Path) -> bool:
    """Renames a folder; False where `path` is a file, or a folder that is not empty."""
    try:
        new.rename(path)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _rename_file(new: Path, path: Path) -> bool:
    """Renames a file in one step, as far as the system can; False where `path` exists."""
    code = _rename_with(_RENAME_NOREPLACE, new, path)
    if code not in _UNKNOWN_TO_SYSTEM:
        if code not in (0, errno.EEXIST):
            raise OSError(code, os.strerror(code), str(path))
        return code == 0
    try:
        os.link(new, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            return False
        new.rename(path)  # a moment too late where another process writes right now
        return True
    new.unlink()
    return True


def exchange(first: Path, second: Path) -> bool:
    """Swaps the names of two existing files or folders in one step; False where that cannot be.

    Linux can since 3.15, on its usual file systems.
    """
    return _rename_with(_RENAME_EXCHANGE, first, second) == 0


def _rename_with(flag: int, source: Path, target: Path) -> int:
    """Linux's renameat2; returns 0 or the number of a system error, ENOSYS where there is none."""
    rename = None
    if os.name == "posix":
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return errno.ENOSYS
    sys.audit("os.rename", str(source), str(target), -1, -1)  # as of Python's own renames
    names = os.fsencode(source), os.fsencode(target)
    done = rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flag)
    return ctypes.get_errno() if done else 0


def _set_mode(path: Path, mode: int) -> None:
    """Gives it the access rights of a usual new file."""
    mask = os.umask(0)
    os.umask(mask)
    with suppress(OSError):
        path.chmod(mode & ~mask)
