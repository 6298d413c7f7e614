"""Shards from a URL: each is fetched into the cache folder once, and resumed after interruptions.

A file is downloaded under another name and renamed when it is complete. Processes of one machine
wait for the one that fetches.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from filelock import FileLock

from vepe.data.index_cache import cache_folder
from vepe.errors import VepeError

SCHEMES = ("http", "https")
TIMEOUT_S = 60
MAX_ATTEMPTS = 4
_BLOCK_BYTES = 1 << 20
_CONNECTION_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    TimeoutError,
    ConnectionError,
    EOFError,
)
MAX_NAMES = 100_000
_MAX_DIGITS = 18
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")

Progress = Callable[[str, int, int | None], None]
"""Called with the URL, the bytes fetched so far, and the total (None: unknown)."""


def is_remote(pattern: str) -> bool:
    """Whether this is a URL rather than a path."""
    return urlsplit(pattern).scheme in SCHEMES


def expand(pattern: str) -> list[str]:
    """All names of a pattern: `a-{008..010}.tar` is a-008.tar, a-009.tar and a-010.tar.

    Raises:
        VepeError: if a range is descending, or the pattern stands for more than `MAX_NAMES`.
    """
    parts = _RANGE.split(pattern)
    ranges = []
    num_names = 1
    for first, last in zip(parts[1::3], parts[2::3], strict=True):
        if max(len(first), len(last)) <= _MAX_DIGITS:
            num_names *= max(1, int(last) - int(first) + 1)
        if max(len(first), len(last)) > _MAX_DIGITS or num_names > MAX_NAMES:
            raise VepeError(
                f"The ranges in '{pattern[:200]}' stand for more than {MAX_NAMES} files; give "
                "smaller ones."
            )
        if int(first) > int(last):
            raise VepeError(
                f"The range {{{first}..{last}}} in '{pattern}' is descending; swap its ends."
            )
        ranges.append([str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)])
    fixed = parts[0::3]
    return [
        fixed[0] + "".join(n + rest for n, rest in zip(chosen, fixed[1:], strict=True))
        for chosen in itertools.product(*ranges)
    ]


def fetch(url: str, *, folder: Path | None = None, progress: Progress | None = None) -> Path:
    """The file of a URL in the cache folder.

    Args:
        url: may end in `#sha256=HEX`, which the content must then have.
        folder: cache folder; `shards` in `cache_folder()` by default.
        progress: called after every megabyte.

    Raises:
        VepeError: if the server does not provide it, the disk is full, or the checksum differs.
    """
    bare, _, checksum = url.partition("#sha256=")
    name = Path(urlsplit(bare).path).name or "shard.tar"
    base = folder or cache_folder() / "shards"
    path = base / hashlib.sha256(bare.encode()).hexdigest()[:12] / name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{name}.lock")):
            if not path.is_file():
                part = path.with_name(f"{name}.part")
                _fetch(bare, part, progress)
                _check(bare, part, checksum.lower())
                with part.open("rb") as file:
                    os.fsync(file.fileno())  # a full disk may show only now
                part.replace(path)
    except OSError as error:
        raise VepeError(
            f"'{bare}' cannot be stored in '{path.parent}' ({error.strerror or error}); check the "
            "free space, or set VEPE_CACHE to a folder on another disk."
        ) from error
    return path


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Fetches the rest of a file, in several attempts."""
    reason = ""
    for _ in range(MAX_ATTEMPTS):
        try:
            _fetch_once(url, part, progress)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise VepeError(
                    f"'{url}' cannot be fetched (the server says {error.code} "
                    f"{error.reason}); check the URL."
                ) from error
            reason = f"{error.code} {error.reason}"
        except _CONNECTION_ERRORS as error:
            reason = str(getattr(error, "reason", None) or error)
        else:
            return
    raise VepeError(
        f"'{url}' cannot be fetched ({reason}); check the network and start again: the download "
        "will be resumed."
    )


def _fetch_once(url: str, part: Path, progress: Progress | None) -> None:
    existing = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url)
    if existing:
        request.add_header("Range", f"bytes={existing}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and existing:  # already complete, or the file on the server changed
            size = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            if size == str(existing):
                return
            part.unlink()
            raise EOFError("the file on the server has changed") from error
        raise
    with response:
        if existing and response.status != 206:  # the server does not support ranges
            existing = 0
        length = response.headers.get("Content-Length") or ""
        usable = length.isdecimal() and len(length) <= _MAX_DIGITS
        total = existing + int(length) if usable else None
        with part.open("ab" if existing else "wb") as file:
            _copy(response, file, lambda n: progress and progress(url, existing + n, total))
        if total is not None and part.stat().st_size != total:
            raise EOFError("the connection was closed early")


def _copy(source: IO[bytes], target: IO[bytes], report: Callable[[int], object]) -> None:
    done = 0
    while block := source.read(_BLOCK_BYTES):
        target.write(block)
        done += len(block)
        report(done)


def _check(url: str, part: Path, expected: str) -> None:
    if not expected:
        return
    with part.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        part.unlink()
        raise VepeError(
            f"'{url}' has the SHA-256 {actual}, not {expected}; fetch it again, or correct the "
            "checksum."
        )
