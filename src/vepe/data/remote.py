"""Shards by address: each is fetched into the cache folder once, and goes on where it broke off.

A file is fetched beside and renamed when it is whole, so that what is there is complete. Several
processes of one machine wait for the one that fetches.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from filelock import FileLock

from vepe.data.index_cache import cache_folder
from vepe.errors import VepeError

SCHEMES = ("http", "https")
TIMEOUT_S = 60
TRIES = 4
_BLOCK = 1 << 20
_BROKEN = (
    urllib.error.URLError,
    http.client.HTTPException,
    TimeoutError,
    ConnectionError,
    EOFError,
)
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")

Progress = Callable[[str, int, int | None], None]
"""Called with the address, the bytes there so far, and how many they will be (None: unknown)."""


def is_remote(pattern: str) -> bool:
    """Whether this is an address rather than a path."""
    return urlsplit(pattern).scheme in SCHEMES


def expand(pattern: str) -> list[str]:
    """All texts of a pattern: `a-{008..010}.tar` is a-008.tar, a-009.tar and a-010.tar.

    Raises:
        VepeError: where a range runs backwards.
    """
    parts = _RANGE.split(pattern)
    ranges = []
    for first, last in zip(parts[1::3], parts[2::3], strict=True):
        if int(first) > int(last):
            raise VepeError(
                f"The range {{{first}..{last}}} in '{pattern}' runs backwards; mend it."
            )
        ranges.append([str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)])
    fixed = parts[0::3]
    return [
        fixed[0] + "".join(n + rest for n, rest in zip(chosen, fixed[1:], strict=True))
        for chosen in itertools.product(*ranges)
    ]


def fetch_all(
    addresses: Iterable[str], *, folder: Path | None = None, progress: Progress | None = None
) -> list[Path]:
    """The files of some addresses, fetched where they are not there yet; see `fetch`."""
    return [fetch(address, folder=folder, progress=progress) for address in addresses]


def fetch(address: str, *, folder: Path | None = None, progress: Progress | None = None) -> Path:
    """The file of an address in the cache folder.

    Args:
        address: may end in `#sha256=HEX`, which the content must then have.
        folder: of the cache; `shards` in `cache_folder()` unless given.
        progress: told at every megabyte.

    Raises:
        VepeError: where the server does not give it, the disk is full, or the checksum differs.
    """
    bare, _, wanted = address.partition("#sha256=")
    name = Path(urlsplit(bare).path).name or "shard.tar"
    place = folder or cache_folder() / "shards"
    path = place / hashlib.sha256(bare.encode()).hexdigest()[:12] / name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{name}.lock")):
            if not path.is_file():
                part = path.with_name(f"{name}.part")
                _fetch(bare, part, progress)
                _check(bare, part, wanted.lower())
                part.replace(path)
    except OSError as error:
        raise VepeError(
            f"'{bare}' cannot be kept in '{path.parent}' ({error.strerror or error}); check the "
            "free space, or set VEPE_CACHE to a folder on another disk."
        ) from error
    return path


def _fetch(address: str, part: Path, progress: Progress | None) -> None:
    """Fetches the rest of a file, in several tries."""
    trouble = ""
    for _ in range(TRIES):
        try:
            _fetch_once(address, part, progress)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise VepeError(
                    f"'{address}' cannot be fetched (the server says {error.code} "
                    f"{error.reason}); check the address."
                ) from error
            trouble = f"{error.code} {error.reason}"
        except _BROKEN as error:
            trouble = str(getattr(error, "reason", None) or error)
        else:
            return
    raise VepeError(
        f"'{address}' cannot be fetched ({trouble}); check the network, and start again: it goes "
        "on where it broke off."
    )


def _fetch_once(address: str, part: Path, progress: Progress | None) -> None:
    there = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(address)
    if there:
        request.add_header("Range", f"bytes={there}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and there:  # nothing is left to fetch, or it is another file now
            size = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            if size == str(there):
                return
            part.unlink()
            raise EOFError("the file there has changed") from error
        raise
    with answer:
        if there and answer.status != 206:  # the server does not know ranges
            there = 0
        length = answer.headers.get("Content-Length")
        whole = there + int(length) if length else None
        with part.open("ab" if there else "wb") as file:
            _copy(answer, file, lambda done: progress and progress(address, there + done, whole))
        if whole is not None and part.stat().st_size != whole:
            raise EOFError("the connection broke off")


def _copy(source: IO[bytes], target: IO[bytes], told: Callable[[int], object]) -> None:
    done = 0
    while block := source.read(_BLOCK):
        target.write(block)
        done += len(block)
        told(done)


def _check(address: str, part: Path, wanted: str) -> None:
    if not wanted:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        part.unlink()
        raise VepeError(
            f"'{address}' has the SHA-256 {found}, not {wanted}; fetch it again, or mend the "
            "checksum."
        )
