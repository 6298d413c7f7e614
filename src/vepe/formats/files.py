"""Reading JSON with clear errors, and writing files so that none is ever half written."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

import orjson

from vepe.config.documents import check_document_size, parse_json
from vepe.errors import VepeError, printable
from vepe.partial_files import (
    OVERWRITE,
    Partial,
    claim_file,
    claim_folder,
    exchange,
    expect_new,
    is_stream,
    publish,
    publish_new,
    uninterrupted,
)

_STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_AGAIN = "run the command again to replace it, or name another"
_OLD = ".vepe-old"
"""Suffix of a folder that is renamed aside while its successor takes its place."""


def load_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        VepeError: if it is missing, too large, or as `vepe.config.documents.parse_json`.
    """
    return parse_json(read_document(path), str(path))


def read_text(path: Path) -> str:
    """The content of a text file in UTF-8. Raises VepeError as `read_document`, or if it is not."""
    try:
        return read_document(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise VepeError(f"{path} is not text in UTF-8; check what it is.") from None


def read_document(path: Path) -> bytes:
    """The content of a JSON or text file.

    Raises:
        VepeError: if it is missing, cannot be read, is no regular file, or is too large.
    """
    try:
        state = path.stat()
        if not S_ISREG(state.st_mode):
            kind = "a folder" if S_ISDIR(state.st_mode) else "no regular file"
            raise VepeError(f"{path} is {kind}; name a file.")
        check_document_size(state.st_size, str(path))
        return path.read_bytes()
    except FileNotFoundError:
        raise VepeError(f"{path} does not exist; check the path.") from None
    except ValueError:
        raise VepeError(f"{path} is not a possible file name; check the path.") from None
    except OSError as error:
        raise VepeError(f"{path} cannot be read ({error.strerror}); check its rights.") from error


def dump_json(path: Path, data: Any) -> Path:
    """Writes JSON in one line and returns the path; `path` is replaced at the end.

    Raises:
        VepeError: if a number is NaN or infinite, or `path` cannot be written.
    """
    try:
        raw = encode_json(data)
    except ValueError:
        raise VepeError(
            f"{path} would hold NaN or infinite numbers; remove them from the source."
        ) from None
    with replacing(path) as partial:
        partial.write_bytes(raw)
    return path


def encode_json(data: Any) -> bytes:
    """A value as compact JSON in UTF-8. Raises ValueError on NaN and infinite numbers."""
    try:
        raw = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        raw = b"null"
    if b"null" not in raw:
        return raw
    # orjson writes NaN as null, so a document with null is written by the standard library.
    return json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True).encode()


def as_path(value: object, what: str = "a file") -> Path:
    """A path that a caller gave. Raises VepeError where it is none, or no possible name."""
    if not isinstance(value, str | os.PathLike):
        kind = type(value).__name__
        raise VepeError(f"The name of {what} is a text or a pathlib.Path, not {kind}; give one.")
    try:
        path = Path(value)
        os.fsencode(path)
        if "\0" in str(path):
            raise ValueError("a null character")
        path.exists()  # raises where the name is too long
    except PermissionError:
        return path
    except (TypeError, ValueError, OSError):
        shown = printable(str(value)[:60])
        raise VepeError(f"'{shown}' is no possible name of {what}; check it.") from None
    return path


def real_path(path: Path) -> Path:
    """The path with links followed. Unlike with `Path.resolve`, a loop of links is no error."""
    return Path(os.path.realpath(path))


def safe_name(name: str) -> str:
    """A sequence's name as a file name: all but letters, digits, '-' and '.' becomes '_'."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "sequence"


def check_targets(
    targets: Iterable[Path],
    sources: Iterable[Path],
    *,
    overwrite: bool = False,
    advice: str = OVERWRITE,
) -> None:
    """Checks that files and folders may be written to these paths; changes nothing.

    Without `overwrite`, a target that another process writes from now on is not replaced either.

    Args:
        targets: paths that will be written; an existing folder would be replaced as a whole.
        sources: files that are read; a folder here is read as a whole.
        overwrite: whether existing targets may be replaced. Sources never may.
        advice: what to do about a target that exists, or that another process wrote meanwhile.

    Raises:
        VepeError: if a target is a source, contains one or lies in one, exists already (an empty
            folder does not count), or its folder may not be written to; or as `check_apart`.
    """
    targets = list(targets)
    check_apart(targets)
    sources = [real_path(source) for source in sources]
    for target in targets:
        path = real_path(target)
        around = (path, *path.parents) if target.exists() else (path,)
        for source in sources:
            same = target.exists() and source.exists() and target.samefile(source)
            if same or source in around or (target.is_dir() and path in source.parents):
                raise VepeError(f"The result would replace '{source}' itself; name another path.")
    for target in targets if not overwrite else ():
        if is_stream(target):
            continue
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise VepeError(f"'{target}' is already there; {advice}.")
    files = [target for target in targets if not is_stream(target)]
    for folder in {target.absolute().parent for target in files}:
        _check_writable(folder)
    expect_new(files, overwrite=overwrite, advice=advice)


def check_apart(targets: Iterable[Path]) -> None:
    """Raises VepeError if two results have one name, or one would lie in the other."""
    paths: set[Path] = set()
    for target in targets:
        path = real_path(target)
        if path in paths and not is_stream(target):
            raise VepeError(f"Two results would be written to '{target}'; name another for one.")
        paths.add(path)
    for path in paths:
        above = next((folder for folder in path.parents if folder in paths), None)
        if above is not None:
            raise VepeError(
                f"A result would lie in another, '{above}'; name a place outside of it."
            )


def check_repeatable(target: Path, sources: Iterable[Path] = ()) -> None:
    """As `check_targets`, for scores and reports, which replace older ones without being asked.

    One that another process writes from now on is not replaced, if there is none yet.
    """
    check_targets([target], sources, overwrite=True)
    if not is_stream(target):
        expect_new([target], overwrite=False, advice=_AGAIN)


def _check_writable(folder: Path) -> None:
    """Raises VepeError where a folder, or the one that it would be created in, is not writable."""
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if not nearest.is_dir():
        raise VepeError(f"'{nearest}' is a file, not a folder; name another path.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise VepeError(
            f"The folder '{nearest}' may not be written to; change its rights, or name another."
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden file next to `path`, which replaces it at the end or is removed on failure.

    It is on the disk before it takes the name, so that a full disk is noticed in time. One that a
    killed process left is taken over. Devices and pipes, such as `/dev/stdout`, are not replaced:
    they get the content at the end.

    Raises:
        VepeError: if the folder cannot be written, the disk is full, a text that is written to the
            file is not valid Unicode, or as `vepe.partial_files.publish`.
    """
    partial: Partial | None = None
    try:
        if is_stream(path):
            with tempfile.TemporaryDirectory(prefix="vepe-") as folder:
                whole = Path(folder) / "result"
                whole.touch()
                yield whole
                _send(whole, path)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with uninterrupted():
            partial = claim_file(path)
        yield partial.path
        try:
            _fsync(partial.path)
            publish(partial.path, path)
        except BaseException:
            with uninterrupted():  # it may be another file than the locked one: `replacing_named`
                partial.path.unlink(missing_ok=True)
            raise
        _fsync_folder(path.parent)
    except OSError as error:
        raise VepeError(
            f"{path} cannot be written ({error.strerror or error}); "
            "check the folder, its rights and the free space."
        ) from error
    except UnicodeEncodeError as error:
        raise _not_unicode(path, error) from error
    finally:
        if partial is not None:
            with uninterrupted():
                partial.remove()


@contextmanager
def encoding(path: Path) -> Iterator[None]:
    """For what writers of `path` encode before they open it. Raises VepeError as `replacing`."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise _not_unicode(path, error) from error


def _not_unicode(path: Path, error: UnicodeEncodeError) -> VepeError:
    shown = printable(error.object[:80])
    return VepeError(
        f"{path} cannot be written: the name '{shown}' is not valid Unicode; correct it."
    )


@contextmanager
def replacing_named(path: Path, suffix: str) -> Iterator[Path]:
    """As `replacing`, with a file that ends in `suffix`, for libraries that go by the ending."""
    with replacing(path) as partial:
        work: Partial | None = None
        try:
            with uninterrupted():
                work = claim_folder(partial.with_name(f"{path.name}{suffix}"))
            named = work.path / f"result{suffix}"
            yield named
            named.replace(partial)
        finally:
            if work is not None:
                with uninterrupted():
                    work.remove()


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A hidden folder next to `path` that takes its place at the end.

    An old folder changes places with the new one in one step, and is deleted last. Where the
    system cannot do that, it is renamed aside first, and restored where the new one cannot take its
    place; one that a killed process left aside is restored by the next call.

    Raises:
        VepeError: if it cannot be written, `path` is a file, or as
            `vepe.partial_files.publish_new`.
    """
    partial: Partial | None = None
    try:
        _restore_interrupted(path)
        if path.exists() and not path.is_dir():
            raise VepeError(f"{path} is a file, but a folder is to be written; name another.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with uninterrupted():
            partial = claim_folder(path)
        yield partial.path
        for inside in partial.path.rglob("*"):
            _fsync_folder(inside) if inside.is_dir() else _fsync(inside)
        if not publish_new(partial.path, path):
            _swap_in(partial.path, path)
        _fsync_folder(path.parent)
    except OSError as error:
        raise VepeError(
            f"{path} cannot be written ({error.strerror or error}); "
            "check the folder, its rights and the free space."
        ) from error
    except UnicodeEncodeError as error:
        raise _not_unicode(path, error) from error
    finally:
        if partial is not None:
            with uninterrupted():
                partial.remove()


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file atomically. Raises VepeError where it cannot, as on a full disk."""
    with replacing(path) as partial:
        partial.write_bytes(data)
        if partial.stat().st_size != len(data):
            raise OSError(errno.EIO, "only a part was written")


def _send(whole: Path, path: Path) -> None:
    """Copies a file to a device or a pipe. Raises OSError where nobody reads the pipe."""
    if str(path.absolute()) in _STDOUT:
        sys.stdout.flush()
        handle = os.dup(1)
    else:
        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(handle, True)
    with whole.open("rb") as source, os.fdopen(handle, "wb") as target:
        shutil.copyfileobj(source, target)


def _swap_in(new: Path, path: Path) -> None:
    """Puts a folder in the place of another, which is deleted; signals wait until it is."""
    old = path.with_name(f".{path.name}{_OLD}")
    with uninterrupted():
        if path.exists() and not path.is_symlink() and exchange(new, path):
            old = new
        elif path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
            try:
                new.rename(path)
            except BaseException:
                old.rename(path)
                raise
        else:
            new.rename(path)
            return
        shutil.rmtree(old, ignore_errors=True)


def _restore_interrupted(path: Path) -> None:
    """Puts a folder back that a process killed between the renames left aside."""
    old = path.with_name(f".{path.name}{_OLD}")
    if old.is_dir() and not path.exists():
        old.rename(path)


def _fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _fsync_folder(path: Path) -> None:
    """Makes renames in a folder last, where the system can."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
