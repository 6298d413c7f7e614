"""Reading JSON with clear messages, and writing files beside and renaming them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

from vepe.errors import VepeError

_OLD = ".vepe-old"
"""Suffix of a folder that is renamed aside while its successor takes its place."""


def load_json(path: Path) -> Any:
    """What a JSON file holds. Raises VepeError where it is missing, empty or not JSON."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise VepeError(f"{path} does not exist; check the path.") from None
    except OSError as error:
        raise VepeError(f"{path} cannot be read ({error.strerror}); check its rights.") from error
    if not raw.strip():
        raise VepeError(f"{path} is empty; write it again or leave it out.")
    try:
        return json.loads(raw)
    except UnicodeDecodeError:
        raise VepeError(f"{path} is not text, hence no JSON; check what it is.") from None
    except json.JSONDecodeError as error:
        raise VepeError(
            f"{path} is not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}); "
            "it may be cut off, so write it again."
        ) from None
    except ValueError:
        raise VepeError(f"{path} holds a number with too many digits; correct it.") from None
    except RecursionError:
        raise VepeError(f"{path} is nested too deeply to be read; check what it is.") from None


def dump_json(path: Path, data: Any) -> Path:
    """Writes JSON in one line, beside and renamed. Raises VepeError where it cannot."""
    try:
        text = json.dumps(data, allow_nan=False)
    except ValueError:
        raise VepeError(
            f"{path} would hold NaN or infinite numbers; remove them from the source."
        ) from None
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path


def is_relative_name(name: str) -> bool:
    """Whether a name from data is a relative path without '..', a drive or a null character."""
    parts = PureWindowsPath(name)  # Knows both separators.
    return not (parts.drive or parts.root or ".." in parts.parts or "\0" in name)


def is_inside(root: Path, name: str) -> bool:
    """Whether `root / name` stays below `root`, symbolic links followed."""
    if not is_relative_name(name):
        return False
    top = os.path.realpath(root)
    return os.path.commonpath([top, os.path.realpath(Path(top, name))]) == top


def path_inside(root: Path, name: str) -> Path:
    """`root / name` for a name that comes from data.

    Raises:
        VepeError: where it is absolute, holds '..' or leaves `root` by a symbolic link.
    """
    if not is_inside(root, name):
        raise VepeError(f"The name {name!r} leads out of the folder '{root}'; correct it.")
    return root / name


def safe_name(name: str) -> str:
    """A sequence's name as a file name: what is no letter, digit, '-' or '.' becomes '_'."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "sequence"


def check_targets(
    targets: Iterable[Path], sources: Iterable[Path], *, overwrite: bool = False
) -> None:
    """Whether files (and folders) may be written where they are to be; changes nothing.

    Args:
        targets: what will be written; a folder here is one that is replaced as a whole.
        sources: the files that are read; a folder here is one that is read as a whole.
        overwrite: whether what is there may be replaced. Sources may not, in any case.

    Raises:
        VepeError: where a target is a source, holds one or lies in one, or is there already
            (an empty folder does not count).
    """
    targets = list(targets)
    sources = [source.resolve() for source in sources]
    for target in targets:
        place = target.resolve()
        around = (place, *place.parents) if target.exists() else (place,)
        for source in sources:
            same = target.exists() and source.exists() and target.samefile(source)
            if same or source in around or (target.is_dir() and place in source.parents):
                raise VepeError(f"The result would replace '{source}' itself; name another place.")
    for target in targets if not overwrite else ():
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise VepeError(
                f"'{target}' is already there; add --overwrite to replace it, or name another."
            )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place at the end, or is removed on failure.

    Raises:
        VepeError: where the folder cannot be written or the disk is full.
    """
    beside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        beside = Path(name)
        beside.chmod(0o666 & ~_umask())
        yield beside
        _fsync(beside)
        beside.replace(path)
    except OSError as error:
        raise VepeError(
            f"{path} cannot be written ({error.strerror or error}); "
            "check the folder, its rights and the free space."
        ) from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place at the end .

    An old folder is renamed aside first, restored where the new one cannot take its place, and
    deleted last. One that a killed process left aside is restored by the next call.

    Raises:
        VepeError: where it cannot be written, or `path` is a file.
    """
    beside: Path | None = None
    try:
        _restore_interrupted(path)
        if path.exists() and not path.is_dir():
            raise VepeError(f"{path} is a file, but a folder is to be written; name another.")
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        beside.chmod(0o777 & ~_umask())
        yield beside
        for file in beside.rglob("*"):
            if file.is_file():
                _fsync(file)
        _swap_in(beside, path)
    except OSError as error:
        raise VepeError(
            f"{path} cannot be written ({error.strerror or error}); "
            "check the folder, its rights and the free space."
        ) from error
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file atomically. Raises VepeError where it cannot, as on a full disk."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def _swap_in(new: Path, path: Path) -> None:
    """Puts a folder in the place of another; signals wait between the two renames."""
    old = path.with_name(f".{path.name}{_OLD}")
    moved = False
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
            moved = True
        new.rename(path)
    except BaseException:
        if moved and not path.exists():
            old.rename(path)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if moved:
        shutil.rmtree(old, ignore_errors=True)


def _restore_interrupted(path: Path) -> None:
    """Puts a folder back that a process killed between the renames left aside."""
    old = path.with_name(f".{path.name}{_OLD}")
    if old.is_dir() and not path.exists():
        old.rename(path)


def _fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
