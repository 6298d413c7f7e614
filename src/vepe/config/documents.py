"""JSON and YAML from files, with limits: no document can exhaust memory or Python's stack.

Every reader of the package parses here. Within the limits, all integers fit float64, and nested
values can be walked, copied and written recursively.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import yaml

from vepe.errors import VepeError
from vepe.limits import advice, limit

MAX_DEPTH = 64
"""Most levels of nesting in YAML."""
MAX_DIGITS = 100
"""Most digits of an integer."""
MAX_YAML_BYTES = 1 << 20
MAX_YAML_VALUES = 100_000
"""Most values of a YAML document, aliases written out."""

_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"PK\x03\x04": ("zip", "unzip"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
}
"""How compressed files begin: their format, and the program that unpacks them."""

_CONTAINERS = frozenset({dict, list})
_STR, _INT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"
_KEY_TAGS = (_STR, "tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")


def parse_json(raw: bytes | str, source: str) -> Any:
    """The value in a JSON text.

    Args:
        raw: the text; also UTF-16, with a byte order mark, or with NaN.
        source: how messages name it.

    Raises:
        VepeError: if it is no JSON, compressed, or beyond the limits of this module.
    """
    if not raw.strip():
        raise VepeError(f"{source} is empty; write it again or leave it out.")
    if isinstance(raw, bytes):
        _check_uncompressed(raw, source)
    check_document_size(len(raw), source)
    try:
        value = _loads(raw)
    except UnicodeDecodeError:
        raise VepeError(f"{source} is not text, hence no JSON; check what it is.") from None
    except json.JSONDecodeError as error:
        raise VepeError(
            f"{source} is not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}); "
            "it may be cut off, so write it again."
        ) from None
    except ValueError:
        raise VepeError(f"{source} holds a number with too many digits; correct it.") from None
    except RecursionError:
        raise _too_deep(source) from None
    level = [value]
    max_depth = limit("VEPE_MAX_JSON_DEPTH")
    for _ in range(max_depth):
        level = list(_containers_in(level))
        if not level:
            return value
    raise VepeError(
        f"{source} is nested too deeply to be read; check what it is, "
        f"{advice('VEPE_MAX_JSON_DEPTH')} levels."
    )


def check_document_size(num_bytes: int, source: str) -> None:
    """Raises VepeError for a JSON or text file that is larger than VEPE_MAX_DOCUMENT_MB."""
    if num_bytes > limit("VEPE_MAX_DOCUMENT_MB") * 1_000_000:
        raise VepeError(
            f"{source} has {num_bytes / 1e6:.0f} MB, more than the limit; split it, "
            f"{advice('VEPE_MAX_DOCUMENT_MB')}."
        )


def _loads(raw: bytes | str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        # orjson is strict: the standard library also reads UTF-16, a byte order mark, NaN and
        # integers beyond 64 bits, and its errors name the line.
        return json.loads(raw, parse_int=_integer)


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("too many digits")
    return int(text)


def _containers_in(level: list[Any]) -> Iterator[Any]:
    for node in level:
        for child in node.values() if type(node) is dict else node if type(node) is list else ():
            if type(child) in _CONTAINERS:
                yield child


def parse_yaml(raw: bytes | str, source: str) -> Any:
    """The value in a YAML text; its mappings have strings as keys, and dates stay strings.

    Args:
        raw: the text, in UTF-8.
        source: how messages name it.

    Raises:
        VepeError: if it is no YAML, a value does not fit its tag, a key is no string, or it is
            beyond the limits of this module.
    """
    if isinstance(raw, bytes):
        _check_uncompressed(raw, source)
    if len(raw) > MAX_YAML_BYTES:
        raise VepeError(f"{source} has more than {MAX_YAML_BYTES >> 20} MiB; check what it is.")
    try:
        loader = _Loader(raw if isinstance(raw, str) else raw.decode("utf-8"))
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node, source)
        return loader.construct_document(node)
    except VepeError:
        raise
    except RecursionError:
        raise _too_deep(source) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise VepeError(f"{source} is not valid YAML: {' '.join(str(error).split())}.") from None
    except Exception as error:  # such as `!!int x` or `!!bool x`: PyYAML does not check these
        raise VepeError(
            f"{source} is not valid YAML: a value does not fit its tag ({type(error).__name__}); "
            "remove the tag."
        ) from None


def read_limited(path: Path) -> bytes:
    """The start of a file: all of it, or one byte more than `parse_yaml` accepts."""
    with path.open("rb") as file:
        return file.read(MAX_YAML_BYTES + 1)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without dates, which no setting has and which may be impossible."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _check_unique(keys: list[str], source: str) -> None:
    """PyYAML would silently take the last of two equal keys."""
    if len(set(keys)) < len(keys):
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise VepeError(f"{source} has the key '{twice[:40]}' twice at one place; remove one.")


def _check_nodes(root: yaml.Node, source: str) -> None:
    """Checks depth, size, keys and digits before anything is built, level by level."""
    level, total = [root], 0
    for _ in range(MAX_DEPTH):
        children: list[yaml.Node] = []
        for node in level:
            if isinstance(node, yaml.MappingNode):
                for key, _value in node.value:
                    if key.tag not in _KEY_TAGS:
                        shown = str(key.value)[:40]
                        raise VepeError(f"{source}: the key {shown} is not text; quote it.")
                _check_unique([key.value for key, _ in node.value if key.tag == _STR], source)
                children += [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                children += node.value
            elif node.tag == _INT and len(node.value) > MAX_DIGITS:
                raise VepeError(f"{source} holds a number with too many digits; correct it.")
            if total + len(children) > MAX_YAML_VALUES:
                raise VepeError(
                    f"{source} has more than {MAX_YAML_VALUES} values, aliases written out; "
                    "remove some."
                )
        total += len(children)
        level = children
        if not level:
            return
    raise _too_deep(source)


def _check_uncompressed(raw: bytes, source: str) -> None:
    for start, (name, program) in _COMPRESSED.items():
        if raw.startswith(start):
            raise VepeError(f"{source} is compressed with {name}; unpack it first ({program}).")


def _too_deep(source: str) -> VepeError:
    return VepeError(
        f"{source} is nested too deeply to be read (more than {MAX_DEPTH} levels); check what "
        "it is."
    )
