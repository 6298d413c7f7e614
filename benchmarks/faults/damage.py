"""Ways to damage bytes, JSON-like values, tables and texts, drawn from a random generator."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

Bytes = bytes | bytearray


def _flip(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice([1, 3, 20])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _overwrite(rng: random.Random, data: bytearray) -> bytearray:
    at, length = rng.randrange(len(data)), rng.choice([1, 8, 64, 400])
    junk = rng.choice([rng.randbytes(length), b"\0" * length, b"\xff" * length])
    data[at : at + length] = junk[: len(data) - at]
    return data


def _cut(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.randrange(len(data))]


def _insert(rng: random.Random, data: bytearray) -> bytearray:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice([1, 7, 300])) + data[at:]


def _remove(rng: random.Random, data: bytearray) -> bytearray:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice([1, 7, 300]) :]


def _repeat(rng: random.Random, data: bytearray) -> bytearray:
    at, end = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:end] + data[at:end] + data[end:]


def _number(rng: random.Random, data: bytearray) -> bytearray:
    """A large or negative number of 1 to 8 bytes somewhere, as in a field of a header."""
    width = rng.choice([1, 2, 4, 8])
    top = 256**width
    value = rng.choice([0, 1, top // 2, top // 2 - 1, top - 1, rng.randrange(top)])
    at = rng.randrange(min(len(data), rng.choice([64, 512, len(data)])))
    data[at : at + width] = value.to_bytes(width, rng.choice(["little", "big"]))
    return data


def _replaced(rng: random.Random, data: bytearray) -> bytearray:
    return rng.choice([bytearray(), bytearray(b"\n"), bytearray(rng.randbytes(500)), data + data])


_BYTE_DAMAGE: tuple[Callable[[random.Random, bytearray], bytearray], ...] = (
    _flip, _flip, _overwrite, _overwrite, _cut, _cut, _insert, _remove, _repeat, _number, _number,
    _replaced,
)  # fmt: skip


def damaged_bytes(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """What was done, and the damaged bytes."""
    kind = rng.choice(_BYTE_DAMAGE)
    result = kind(rng, bytearray(data or b"\0"))
    return kind.__name__.strip("_"), bytes(result)


JUNK: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3.5, -0.0, 1e308, 10**30, -(10**30), 2**63, 2**31, 10**400,
    float("inf"), float("nan"), "x", "", "0", "1e3", "NaN", "\ud800", "\0", "a" * 5000,
    "../../up.jpg", "/etc/passwd", "C:\\x", "\x1b[31mred", [], {}, [1], [[1]], {"a": 1}, [None],
    [[]], {"": None}, [1, "x"], [0] * 2000,
)  # fmt: skip
"""Values that do not belong where they are put."""


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values below a node (of lists, the first two and the last)."""
    children: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, list):
        numbers = sorted({0, 1, len(node) - 1} & set(range(len(node))))
        children = [(number, node[number]) for number in numbers]
    here = [(*path, key) for key, _ in children]
    return here + [p for key, child in children for p in places(child, (*path, key))]


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def damaged_value(rng: random.Random, document: Any) -> tuple[str, Any]:
    """A copy of a JSON-like value with one to three faults in its structure, and what they are."""
    document = copy.deepcopy(document)
    done = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        paths = places(document)
        if not paths:
            break
        path = _path(rng, paths)
        parent, key = _at(document, path[:-1]), path[-1]
        action = rng.randrange(8)
        done.append(f"{'.'.join(map(str, path))}#{action}")
        if action == 0:
            del parent[key]
        elif action == 1:  # the value of another place
            parent[key] = copy.deepcopy(_at(document, _path(rng, paths)))
        elif action == 2:  # a list around it, or its first item
            parent[key] = [parent[key]] if rng.random() < 0.5 else _first(parent[key])
        elif action == 3 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif action == 4 and isinstance(parent, dict):
            parent[str(key) + rng.choice(["s", " ", "\ud800", ""])] = parent.pop(key)
        elif action == 5 and isinstance(parent[key], int | float):
            parent[key] = _other_number(rng, parent[key])
        else:
            parent[key] = copy.deepcopy(rng.choice(JUNK))
    return ",".join(done), document


def _path(rng: random.Random, paths: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """A path, with short ones (the skeleton of the document) as likely as the many long ones."""
    depth = rng.choice(sorted({len(path) for path in paths}))
    return rng.choice([path for path in paths if len(path) == depth])


def _first(value: Any) -> Any:
    if isinstance(value, list):
        return value[0] if value else None
    if isinstance(value, dict):
        return next(iter(value.values()), None)
    return {"value": value}


def _other_number(rng: random.Random, value: Any) -> Any:
    if abs(value) > 1e100:  # a ninth power of before, which no float can hold when it grows
        return -value
    return rng.choice([-value, value * 1e9, value + 0.5, str(value), 0, int(value) ** 9, 1 / 3])


def json_text(rng: random.Random, document: Any) -> tuple[str, bytes]:
    """The document as JSON, sometimes damaged as text, too; what was done to the text."""
    text = json.dumps(document)
    action = rng.randrange(14)
    if action == 0:
        return "cut", text[: rng.randrange(len(text))].encode()
    if action == 1:
        return "utf-16", text.encode("utf-16")
    if action == 2:
        return "byte order mark", b"\xef\xbb\xbf" + text.encode()
    if action == 3:
        depth = rng.choice([70, 2000, 200_000])
        return "deep", b'{"images":' + b"[" * depth + b"]" * depth + b"}"
    if action == 4:
        return "digits", text.replace(": ", ": " + "9" * rng.choice([90, 400, 5000]), 1).encode()
    if action == 5:
        return damaged_bytes(rng, text.encode())
    if action == 6:
        return "twice", (text + text).encode()
    return "", text.encode()


def damaged_table(rng: random.Random, text: str) -> tuple[str, bytes]:
    """A table of comma-separated values with one to three faults, and what they are."""
    rows = [line.split(",") for line in text.splitlines()]
    done = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        row = rng.randrange(len(rows))
        column = rng.randrange(len(rows[row])) if rows[row] else 0
        action = rng.randrange(8)
        done.append(f"{row}.{column}#{action}")
        if action == 0 and rows[row]:
            del rows[row][column]
        elif action == 1:
            rows[row].insert(column, "7")
        elif action == 2:
            rows.insert(row, list(rows[rng.randrange(len(rows))]))
        elif action == 3 and len(rows) > 1:
            del rows[row]
        elif action == 4:
            rows[row] = [rng.choice(["", "x", "\0", '"', "9" * 5000, "é" * 300_000])]
        elif rows[row]:
            junk = [
                "",
                "x",
                "-1",
                "1e999",
                "nan",
                "inf",
                "1.5",
                "9" * 400,
                '"',
                '""',
                "\0",
                "\x1b[",
            ]
            rows[row][column] = rng.choice([*junk, "true", " 1", "0x10", "1_000", "١٢", "99999999"])
    text = rng.choice(["\n", "\n", "\r\n"]).join(",".join(row) for row in rows) + "\n"
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        more, data = damaged_bytes(rng, data)
        done.append(more)
    return ",".join(done), data
