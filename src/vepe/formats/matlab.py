"""MATLAB's .mat files of level 5 (`save -v6` and `-v7`) as plain lists, dicts, numbers and texts.

Written by hand because SciPy's reader crashes on some damaged files and has no limit on memory.
Here every size that the file states is compared with the bytes that there are before it is used.

Source: MAT-File Format, MathWorks (levels 5 and 7.3): an element is a tag (type, number of bytes)
and its data, padded to 8 bytes; arrays are elements of elements.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from struct import unpack
from typing import Any

import numpy as np

from vepe.errors import VepeError

MAX_BYTES = 100_000_000
"""Of a file, and of what it is uncompressed."""
MAX_VALUES = 5_000_000
"""Numbers and arrays in a file; Python needs up to 100 bytes for each."""
_MAX_DEPTH = 20
_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC = range(6, 16)


class _DamagedError(ValueError):
    """What is wrong, without the name of the file."""


def read_mat(path: Path, variable: str) -> Any:
    """A variable of a .mat file.

    Arrays become flat lists in MATLAB's order, arrays of one element that element (so does a cell
    of one), texts `str`, structs dicts, and several structs a list of dicts. Of complex numbers
    this is the real part.

    Raises:
        VepeError: if the file is missing, not MATLAB's, in its HDF5 form, damaged or too large, or
            lacks the variable.
    """
    raw = _content(path)
    try:
        order = {b"IM": "<", b"MI": ">"}[raw[126:128]]
        for element in _Reader(raw, order).variables():
            name, value = element
            if name == variable:
                return value
    except (_DamagedError, zlib.error, KeyError, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, _DamagedError) else "wrong bytes"
        raise VepeError(f"{path} is not a readable .mat file ({reason}); copy it again.") from None
    raise VepeError(f"{path} has no '{variable}'; it is not a PoseTrack17 file.")


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise VepeError(f"{path} is larger than {MAX_BYTES} bytes; check what it is.")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise VepeError(f"{path} does not exist; check the path.") from None
    except OSError as error:
        raise VepeError(f"{path} cannot be read ({error.strerror}); check its rights.") from error
    if raw[:10] == b"MATLAB 7.3" or raw[512:516] == b"\x89HDF" or raw[:4] == b"\x89HDF":
        raise VepeError(
            f"{path} is a MATLAB v7.3 file; save it again in MATLAB with the option '-v7'."
        )
    return raw


@dataclass
class _Element:
    """One element: its type, and where its data is in a buffer."""

    kind: int
    start: int
    stop: int


@dataclass
class _Reader:
    """Reads the elements of a buffer; `order` is the byte order of numbers.

    Attributes:
        num_values: numbers and arrays so far, also of the buffers that were uncompressed.
    """

    data: bytes
    order: str
    position: int = _HEADER_BYTES
    counts: dict[str, int] = field(default_factory=lambda: {"values": 0, "bytes": 0})

    def variables(self) -> Any:
        """Name and value of every variable, as far as the caller reads."""
        if len(self.data) < _HEADER_BYTES:
            raise _DamagedError("it is too short")
        end = len(self.data)
        while self.position + 8 <= end:
            element = self._element(end)
            if element.kind == _COMPRESSED:
                inner = _Reader(self._uncompressed(element), self.order, 0, self.counts)
                yield inner._array(inner._element(len(inner.data)), 0)
            elif element.kind == _MATRIX:
                yield self._array(element, 0)
            self.position = element.stop

    def _uncompressed(self, element: _Element) -> bytes:
        room = MAX_BYTES - self.counts["bytes"]
        stream = zlib.decompressobj()
        data = stream.decompress(self.data[element.start : element.stop], max(room, 1))
        if stream.unconsumed_tail:
            raise _DamagedError(f"it holds more than {MAX_BYTES} bytes")
        self.counts["bytes"] += len(data)
        return data

    def _element(self, end: int) -> _Element:
        """The element at the position, which moves behind it; all of it lies before `end`."""
        at = self.position
        if at + 8 > end:
            raise _DamagedError("an element is cut off")
        kind, size = unpack(f"{self.order}II", self.data[at : at + 8])
        if kind >> 16:  # up to four bytes of data are in the tag itself
            kind, size, start, padded = kind & 0xFFFF, kind >> 16, at + 4, 4
        else:
            start, padded = at + 8, size if kind == _COMPRESSED else -(-size // 8) * 8
        if size > (4 if start == at + 4 else end - start):
            raise _DamagedError("an element is cut off")
        self.position = min(start + padded, end)
        return _Element(kind, start, start + size)

    def _numbers(self, end: int) -> list[Any]:
        """The values of an element of numbers."""
        element = self._element(end)
        if element.kind not in _NUMBERS:
            raise _DamagedError("numbers are of an unknown type")
        kind = np.dtype(self.order + _NUMBERS[element.kind])
        size = element.stop - element.start
        if size % kind.itemsize:
            raise _DamagedError("a number is cut off")
        self._count(size // kind.itemsize)
        return np.frombuffer(self.data, kind, size // kind.itemsize, element.start).tolist()

    def _text(self, end: int) -> str:
        """The characters of an element of texts or of character codes."""
        start = self.position
        element = self._element(end)
        if element.kind in _TEXTS:
            width = {"<": "-le", ">": "-be"}[self.order] if element.kind > 16 else ""
            text = self.data[element.start : element.stop].decode(_TEXTS[element.kind] + width)
            self._count(len(text))
            return text
        self.position = start
        codes = self._numbers(end)
        if not all(isinstance(code, int) and 0 <= code < 0x110000 for code in codes):
            raise _DamagedError("a text has codes that are no characters")
        return "".join(map(chr, codes))

    def _count(self, values: int) -> None:
        self.counts["values"] += values
        if self.counts["values"] > MAX_VALUES:
            raise _DamagedError(f"it holds more than {MAX_VALUES} values")

    def _array(self, element: _Element, depth: int) -> tuple[str, Any]:
        """Name and value of an array."""
        self._count(1)
        if element.kind != _MATRIX or depth > _MAX_DEPTH:
            raise _DamagedError("an array is expected, or arrays are nested too deeply")
        end = element.stop
        if element.start == end:
            return "", []
        self.position = element.start
        flags = self._numbers(end)
        shape = self._numbers(end)
        if len(flags) != 2 or not all(isinstance(n, int) and n >= 0 for n in (*flags, *shape)):
            raise _DamagedError("the header of an array is wrong")
        name, total, kind = self._text(end), prod(shape), flags[0] & 0xFF
        if kind == _CHAR:
            return name, _lines(self._text(end), shape)
        if kind in _NUMERIC:
            values = self._numbers(end)
            if len(values) != total:
                raise _DamagedError("an array has not the size that it states")
        elif kind == _CELL:
            values = self._arrays(total, end, depth)
        elif kind == _STRUCT:
            values = self._structs(total, end, depth)
        elif depth == 0:
            return name, None  # a kind of variable that annotations have no use for
        else:
            raise _DamagedError(f"it has an array of the unknown kind {kind}")
        return name, values[0] if len(values) == 1 else values

    def _arrays(self, count: int, end: int, depth: int) -> list[Any]:
        if count * 8 > end - self.position:
            raise _DamagedError("an array has not the size that it states")
        values = []
        for _ in range(count):
            element = self._element(end)
            behind = self.position
            values.append(self._array(element, depth + 1)[1])
            self.position = behind
        return values

    def _structs(self, count: int, end: int, depth: int) -> list[dict[str, Any]]:
        (width,) = self._numbers(end) or [0]
        text = self._text(end)
        if not isinstance(width, int) or width < 1 or len(text) % width:
            if text or count > MAX_VALUES:
                raise _DamagedError("the names of a struct are wrong")
            return []
        names = [text[i : i + width].partition("\0")[0] for i in range(0, len(text), width)]
        values = self._arrays(count * len(names), end, depth)
        if not names:
            return []
        return [
            dict(zip(names, values[i : i + len(names)], strict=True))
            for i in range(0, len(values), len(names))
        ]


def _lines(text: str, shape: list[int]) -> Any:
    """A row of characters is a text, several rows a list of them; [] where there is none."""
    if not text:
        return []
    rows = shape[0] if shape else 1
    if rows < 2 or len(text) % rows:
        return text
    return [text[row::rows].rstrip() for row in range(rows)]
