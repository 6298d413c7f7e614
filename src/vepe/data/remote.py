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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from filelock import FileLock

from vepe.data.index_cache import cache_folder
from vepe.errors import VepeError, printable
from vepe.limits import advice, limit

SCHEMES = ("http", "https")
TIMEOUT_S = 60
"""For connecting (TLS included), for the head of an answer, and for the least number of bytes."""
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


def _is_address(url: str) -> bool:
    """Whether this is an address of a web server that can be asked."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        port_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return (
        parts.scheme in SCHEMES
        and bool(host)
        and port_valid
        and url.isprintable()
        and (" " not in url)
    )


def _check_address(url: str, checksum: str) -> None:
    """Raises VepeError where it is no address of a server, or the checksum is no SHA-256."""
    if not _is_address(url):
        raise VepeError(
            f"'{url[:200]}' is no address of a file; write https://HOST/PATH, spaces as %20."
        )
    if checksum and not re.fullmatch("[0-9a-fA-F]{64}", checksum):
        raise VepeError(
            f"'{checksum[:80]}' after '#sha256=' is no SHA-256; give its 64 hexadecimal digits."
        )


class _WithDeadline(http.client.HTTPConnection):
    """A connection that must stand, and an answer whose head must arrive, within `TIMEOUT_S` each.

    The timeout of the socket alone starts again at every byte.
    """

    is_late = False
    _twin: socket.socket | None = None

    def connect(self) -> None:
        self._create_connection = self._dial
        with self._deadline():
            super().connect()

    def getresponse(self) -> http.client.HTTPResponse:
        try:
            with self._deadline():
                response = super().getresponse()
        finally:
            if self._twin is not None:
                self._twin.close()
        return response

    def _dial(self, *arguments: Any, **options: Any) -> socket.socket:
        sock = socket.create_connection(*arguments, **options)
        # TLS takes over the socket itself, and has no shutdown from another thread.
        self._twin = sock.dup()
        return sock

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        timer = threading.Timer(TIMEOUT_S, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            if not self.is_late:
                raise
        finally:
            timer.cancel()
        if self.is_late:  # what came of the head may look like a whole one
            raise TimeoutError("timed out")

    def _give_up(self) -> None:
        self.is_late = True
        if self._twin is not None:
            with suppress(OSError):
                self._twin.shutdown(socket.SHUT_RDWR)


class _SecureWithDeadline(_WithDeadline, http.client.HTTPSConnection):
    """The same with TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_WithDeadline, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureWithDeadline, request)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to other servers, and to nothing else."""

    def http_error_302(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any
    ) -> http.client.HTTPResponse | None:
        fp.close()  # the body, which may have no end, would be read
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError as error:
            raise urllib.error.URLError(f"it leads to what is no address ({error})") from None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:
        target = arguments[-1]
        if not _is_address(target):
            raise urllib.error.URLError(f"it leads to '{printable(target)[:200]}'")
        return super().redirect_request(*arguments)


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Fetches the rest of a file, in several attempts."""
    reason = ""
    for _ in range(MAX_ATTEMPTS):
        try:
            _fetch_once(url, part, progress)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                says = " ".join(f"{error.code} {error.reason}".split())[:200]
                raise VepeError(
                    f"'{url}' cannot be fetched (the server says {says}); check the URL."
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
        opener = urllib.request.build_opener(_Http, _Https, _Redirects)
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
        _check_size(url, total or 0)
        with part.open("ab" if existing else "wb") as file:
            _copy(url, response, file, lambda n: progress and progress(url, existing + n, total))
        stored = part.stat().st_size
        if stored == 0 or (total is not None and stored != total):
            raise EOFError("the connection was closed early")


def _check_size(url: str, num_bytes: int) -> None:
    if num_bytes > limit("VEPE_MAX_DOWNLOAD_MB") * 1_000_000:
        raise VepeError(
            f"'{url}' has more than the limit of {limit('VEPE_MAX_DOWNLOAD_MB')} MB; check the "
            f"address, {advice('VEPE_MAX_DOWNLOAD_MB')}."
        )


def _copy(
    url: str, source: http.client.HTTPResponse, target: IO[bytes], report: Callable[[int], object]
) -> None:
    """Copies all bytes.

    Raises:
        EOFError: where too few come in `TIMEOUT_S`, or the connection breaks.
        VepeError: where they are too many, or take too long.
    """
    done = reported = before = 0
    first = began = time.monotonic()
    max_s = 60 * limit("VEPE_MAX_DOWNLOAD_MINUTES")
    while block := _read(source):
        target.write(block)
        done += len(block)
        _check_size(url, done)
        if time.monotonic() - first > max_s:
            raise VepeError(
                f"'{url}' is not fetched after {max_s // 60} minutes; check the network, "
                f"{advice('VEPE_MAX_DOWNLOAD_MINUTES')}."
            )
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
