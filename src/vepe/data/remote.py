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
import socket
import ssl
import string
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

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
    ssl.SSLError,
    EOFError,
)
MIN_BYTES_PER_S = 1000
"""A slower server counts as broken."""
MAX_NAMES = 100_000
_MAX_DIGITS = 18
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")

Progress = Callable[[str, int, int | None], None]
"""Called with the URL, the bytes fetched so far, and the total (None: unknown)."""


def is_remote(pattern: str) -> bool:
    """Whether this is a URL rather than a path."""
    return pattern.partition(":")[0].lower() in SCHEMES


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
        VepeError: if the address is malformed, the server does not provide the file, or only drips
            it, the disk is full, or the checksum differs.
    """
    bare, _, checksum = url.partition("#sha256=")
    _check_address(bare, checksum)
    bare = quote(bare, safe=string.punctuation)
    name = re.sub(r"[^\w.-]", "_", Path(urlsplit(bare).path).name).lstrip(".")[-100:] or "shard.tar"
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


def _check_address(url: str, checksum: str) -> None:
    """Raises VepeError where it is no address of a server, or the checksum is no SHA-256."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        valid = bool(host) and (parts.port is None or parts.port > 0) and url.isprintable()
    except ValueError:
        valid = False
    if not valid or " " in url:
        raise VepeError(
            f"'{url[:200]}' is no address of a file; write https://HOST/PATH, spaces as %20."
        )
    if checksum and not re.fullmatch("[0-9a-fA-F]{64}", checksum):
        raise VepeError(
            f"'{checksum[:80]}' after '#sha256=' is no SHA-256; give its 64 hexadecimal digits."
        )


class _WithDeadline(http.client.HTTPConnection):
    """A connection on which the head of the answer must arrive within `TIMEOUT_S` in all.

    The timeout of the socket alone starts again at every byte.
    """

    def getresponse(self) -> http.client.HTTPResponse:
        timer = threading.Timer(TIMEOUT_S, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()
        finally:
            timer.cancel()
        if self.is_late:  # what came of the head looks like a whole one
            raise TimeoutError("timed out")
        return response

    is_late = False

    def _give_up(self) -> None:
        self.is_late = True
        if self.sock is not None:
            with suppress(OSError):  # below TLS, which has no shutdown from another thread
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _SecureWithDeadline(_WithDeadline, http.client.HTTPSConnection):
    """The same with TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_WithDeadline, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureWithDeadline, request)


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
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
            reason = " ".join(reason.split())[:200]
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
        opener = urllib.request.build_opener(_Http, _Https)
        response = opener.open(request, timeout=TIMEOUT_S)
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
        served = response.headers.get("Content-Range") or ""
        if existing and not served.strip().startswith(f"bytes {existing}-"):
            part.unlink()
            raise EOFError("the server sent another part of the file")
        length = response.headers.get("Content-Length") or ""
        usable = length.isdecimal() and len(length) <= _MAX_DIGITS
        total = existing + int(length) if usable else None
        with part.open("ab" if existing else "wb") as file:
            _copy(response, file, lambda n: progress and progress(url, existing + n, total))
        stored = part.stat().st_size
        if stored == 0 or (total is not None and stored != total):
            raise EOFError("the connection was closed early")


def _copy(
    source: http.client.HTTPResponse, target: IO[bytes], report: Callable[[int], object]
) -> None:
    """Copies all bytes. Raises EOFError where too few come in `TIMEOUT_S`, or the connection
    breaks."""
    done = reported = before = 0
    began = time.monotonic()
    while block := _read(source):
        target.write(block)
        done += len(block)
        if done - reported >= _BLOCK_BYTES:
            report(done)
            reported = done
        if time.monotonic() - began >= TIMEOUT_S:
            if done - before < MIN_BYTES_PER_S * TIMEOUT_S:
                raise EOFError(f"less than {MIN_BYTES_PER_S} bytes per second came")
            began, before = time.monotonic(), done
    report(done)


def _read(source: http.client.HTTPResponse) -> bytes:
    """The bytes that are there, at least one unless it is the end."""
    try:
        return source.read1(_BLOCK_BYTES)
    except OSError as error:  # not of the disk
        raise EOFError(error.strerror or str(error) or "the connection broke") from error


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
