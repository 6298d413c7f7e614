"""Hidden files and folders next to a target, in which it is written until it is complete.

Each is locked while its writer lives, and its name does not depend on the process. So the next
writer of the same target takes over, and empties, what a killed process left.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: names are random there, and a killed process leaves its file
    fcntl = None


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


def claim_file(path: Path) -> Partial:
    """An empty hidden file next to `path`. Raises OSError if the folder cannot be written."""
    partial = _claim(path, _open_file)
    if partial is None:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        partial = Partial(Path(name), None)
    _set_mode(partial.path, 0o666)
    return partial


def claim_folder(path: Path) -> Partial:
    """An empty hidden folder next to `path`. Raises OSError if it cannot be created."""
    partial = _claim(path, _open_folder)
    if partial is None:
        name = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
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
        try:
            if _lock(handle, candidate):
                _empty(handle, candidate)
                _remove_leftovers(path, number + 1, opened)
                return Partial(candidate, handle)
        except OSError:
            os.close(handle)
            return None
        os.close(handle)
    return None


def _candidate(path: Path, number: int) -> Path:
    return path.with_name(f".{path.name}.{number}.part" if number else f".{path.name}.part")


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


def _remove_leftovers(path: Path, first: int, opened: Callable[[Path], int]) -> None:
    """Removes what killed writers left under the next numbers."""
    for number in count(first):
        candidate = _candidate(path, number)
        if not candidate.exists():
            return
        with suppress(OSError):
            handle = opened(candidate)
            if _lock(handle, candidate):
                _delete(candidate)
            os.close(handle)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _set_mode(path: Path, mode: int) -> None:
    """Gives it the access rights of a usual new file."""
    mask = os.umask(0)
    os.umask(mask)
    with suppress(OSError):
        path.chmod(mode & ~mask)
