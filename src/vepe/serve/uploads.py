"""Reading request bodies: multipart forms streamed to the disk, and JSON, within limits."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from vepe.config.documents import parse_json
from vepe.errors import VepeError
from vepe.serve.errors import RefusedError
from vepe.serve.settings import Limits

MAX_FIELDS, MAX_FIELD_BYTES, MAX_PARTS = 20, 1000, 30
MAX_JSON_BYTES = 20_000


@dataclass
class Form:
    """A form: its fields, and the one file that it may hold.

    Attributes:
        fields: by name.
        path: of the file on this machine, under a name of ours; None without one.
        name: of the file, as the client gave it.
        bytes: of the file.
    """

    fields: dict[str, str] = field(default_factory=dict)
    path: Path | None = None
    name: str = ""
    bytes: int = 0


class _FormReader:
    """Callbacks of the parser: the part named `file` goes to the disk, all others are fields."""

    def __init__(self, boundary: bytes, folder: Path, max_bytes: int) -> None:
        self.form = Form()
        self.complete = False
        self._folder, self._max_bytes = folder, max_bytes
        self._parts = 0
        self._header, self._value = bytearray(), bytearray()
        self._headers: dict[str, bytes] = {}
        self._field: str | None = None
        self._text = bytearray()
        self._file: IO[bytes] | None = None
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_header_field": lambda data, a, b: self._header.extend(data[a:b]),
                "on_header_value": lambda data, a, b: self._value.extend(data[a:b]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_end": self._finish,
            },
        )

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RefusedError(400, "The form has too many parts.")
        self._headers, self._field = {}, None
        self._text.clear()

    def _end_header(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != "file":
            self._field = name[:100]
            if len(self.form.fields) >= MAX_FIELDS:
                raise RefusedError(400, "The form has too many fields.")
            return
        if self.form.path is not None:
            raise RefusedError(400, "The form holds several files; send one at a time.")
        self.form.name = options.get(b"filename", b"").decode("utf-8", "replace")
        self.form.path = self._folder / secrets.token_hex(12)
        self._file = self.form.path.open("wb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            if len(self._text) + end - start > MAX_FIELD_BYTES:
                raise RefusedError(400, "A field of the form is too long.")
            self._text.extend(data[start:end])
            return
        self.form.bytes += end - start
        if self.form.bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        self._file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        elif self._field is not None:
            self.form.fields[self._field] = self._text.decode("utf-8", "replace")

    def _finish(self) -> None:
        self.complete = True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def too_large(max_bytes: int) -> RefusedError:
    """The answer to a body above a limit."""
    return RefusedError(413, f"The file is larger than {max_bytes / 1e6:g} MB, the server's limit.")


@asynccontextmanager
async def read_form(
    request: Request, folder: Path, limits: Limits, max_bytes: int
) -> AsyncIterator[Form]:
    """The form of a request; its file is deleted at the end, unless it was moved.

    Args:
        request: whose body is `multipart/form-data`.
        folder: where the file lies meanwhile.
        limits: of the server.
        max_bytes: of the file.

    Raises:
        RefusedError: 400 and 415 where it is no form, 408 where the client stops sending, 413 where
            it is too large, 507 where the disk is full.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
        raise RefusedError(415, "Send the file as a form: multipart/form-data with a field 'file'.")
    _check_length(request, max_bytes)
    _check_disk(folder, limits)
    try:
        reader = _FormReader(boundary, folder, max_bytes)
    except (MultipartParseError, ValueError):
        raise RefusedError(400, "The form has a boundary that is not possible.") from None
    try:
        await _feed(request, reader, folder, limits)
        yield reader.form
    finally:
        reader.close()
        if reader.form.path is not None:
            with suppress(OSError):
                reader.form.path.unlink(missing_ok=True)


async def _feed(request: Request, reader: _FormReader, folder: Path, limits: Limits) -> None:
    loop = asyncio.get_running_loop()
    received = 0
    try:
        async for chunk in body_of(request, limits):
            received += len(chunk)
            # In another thread: a slow disk must not stop the requests of others.
            await loop.run_in_executor(None, reader.parser.write, chunk)
            if received % (64 << 20) < len(chunk):
                _check_disk(folder, limits)
        reader.parser.finalize()
    except MultipartParseError:
        raise RefusedError(400, "The form is malformed.") from None
    except OSError:
        raise RefusedError(507, "The server's disk is full; delete some jobs.") from None
    if not reader.complete:
        raise RefusedError(400, "The form is cut off.")


async def body_of(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """The chunks of a body. Raises RefusedError 408 where none comes for a while."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(limits.idle_s):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise RefusedError(408, f"Nothing came for {limits.idle_s:g} seconds.") from None
        if chunk:
            yield chunk


async def read_json(request: Request, limits: Limits) -> dict[str, Any]:
    """The JSON object of a request. Raises RefusedError where it is none, or too large."""
    _check_length(request, MAX_JSON_BYTES)
    raw = bytearray()
    async for chunk in body_of(request, limits):
        raw += chunk
        if len(raw) > MAX_JSON_BYTES:
            raise RefusedError(413, f"The JSON is longer than {MAX_JSON_BYTES} bytes.")
    try:
        value = parse_json(bytes(raw), "the request")
        orjson.dumps(value)  # no lone surrogates, no integers beyond 64 bits
    except (VepeError, TypeError, ValueError, RecursionError):
        raise RefusedError(400, "The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise RefusedError(400, "The JSON must be an object.")
    return value


def _check_length(request: Request, max_bytes: int) -> None:
    """Refuses a body by the length that is stated, before it is read."""
    stated = request.headers.get("content-length", "")
    if stated.isascii() and stated.isdigit() and int(stated[:18]) > max_bytes + 100_000:
        raise too_large(max_bytes)


def _check_disk(folder: Path, limits: Limits) -> None:
    if shutil.disk_usage(folder).free < limits.free_disk_mb * 1e6:
        raise RefusedError(507, "The server's disk is almost full; delete some jobs.")


def check_inside(root: Path, text: str) -> Path:
    """The file below `root` that a client names. Raises RefusedError where it is none.

    Links are followed first, so that none leads out of the root.
    """
    outside = RefusedError(
        403, "The path is not below the server's --root, or there is no such file."
    )
    if not text or "\0" in text or len(text) > 4000:
        raise outside
    try:
        path = Path(os.path.realpath(root / text))
        inside = path.is_relative_to(os.path.realpath(root)) and path.is_file()
    except (OSError, ValueError):
        raise outside from None
    if not inside:
        raise outside
    return path
