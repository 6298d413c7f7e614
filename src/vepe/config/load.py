"""Reading configurations: YAML with one `extends:`, presets by name, errors that name the key."""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from vepe.config.base import Settings
from vepe.config.documents import MAX_DEPTH, parse_yaml, read_limited
from vepe.errors import VepeError, printable

S = TypeVar("S", bound=Settings)

MAX_EXTENDS = 20
"""Most files that extend each other in a chain."""


def preset_names(kind: str = "models") -> list[str]:
    """Names of the presets that ship with the package; `kind` is `models`, `recipes` or `grids`."""
    folder = resources.files("vepe.config") / "presets" / kind
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name != "__pycache__")


def read_yaml(source: str | Path, kind: str = "models") -> dict[str, Any]:
    """The mapping of a YAML file or preset, merged over what it `extends`.

    Raises:
        VepeError: where there is no such file or preset, it is not a mapping, or files extend
            each other in a cycle.
    """
    return _read(source, kind, ())


def _read(source: str | Path, kind: str, extending: tuple[str, ...]) -> dict[str, Any]:
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        data = _file_content(path)
        identity, folder = os.path.realpath(path), path.parent
    else:
        names = preset_names(kind)
        if str(source) not in names:
            raise VepeError(f"There is no preset '{source}'{nearest(str(source), names)}")
        preset = resources.files("vepe.config") / "presets" / kind / f"{source}.yaml"
        identity, folder = str(source), Path()
        data = preset.read_bytes()
    if identity in extending:
        raise VepeError(f"'{source}' extends itself; remove one `extends:`.")
    if len(extending) == MAX_EXTENDS:
        raise VepeError(
            f"'{source}' is the last of more than {MAX_EXTENDS} files that extend each other; "
            "merge some of them."
        )
    values = parse_yaml(data, f"'{source}'") or {}
    if not isinstance(values, dict):
        raise VepeError(f"'{source}' must have keys and values at its top level.")
    base = values.pop("extends", None)
    if base is None:
        return values
    base_source = folder / str(base) if str(base).endswith((".yaml", ".yml")) else str(base)
    return merge(_read(base_source, kind, (*extending, identity)), values)


def _file_content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise VepeError(f"There is no configuration file '{path}'; check the path.")
        return read_limited(path)
    except OSError as error:
        raise VepeError(
            f"The configuration file '{path}' cannot be read ({error.strerror}); check the path "
            "and its rights."
        ) from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, mappings merged key by key."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def override(data: Mapping[str, Any], settings: list[str]) -> dict[str, Any]:
    """`data` with `a.b=value` settings applied; values are read as YAML.

    A number in a key is an index into a list, `-1` its last item and `*` every item:
    `stages.0.minutes=5`. Settings below a `model` that is a preset's name change that preset.

    Raises:
        VepeError: where a setting has no `=`, its value is not YAML, or a list has no such index.
    """
    result: Any = copy.deepcopy(dict(data))
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise VepeError(f"'{setting}' is not a setting; write key=value.")
        value = parse_yaml(text, f"The value in '{setting}'")
        path = key.strip().split(".")
        if len(path) > MAX_DEPTH:
            raise VepeError(f"The key in '{setting}' has too many parts; check it.")
        if path[0] == "model" and len(path) > 1 and isinstance(result.get("model"), str):
            result["model"] = {"extends": result["model"]}
        result = _with_value(result, path, value, setting)
    return dict(result)


def _with_value(current: Any, path: list[str], value: Any, setting: str) -> Any:
    """`current` with `value` at the end of `path`."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(current, list):
        count = len(current)
        if first == "*":
            return [_with_value(item, rest, value, setting) for item in current]
        is_index = first.isdecimal() and len(first) < 9
        at = count - 1 if first == "-1" else int(first) if is_index else count
        if not 0 <= at < count:
            raise VepeError(
                f"'{setting}': '{first}' is no index into a list of {count}; count from 0, or "
                "write * for all."
            )
        return [*current[:at], _with_value(current[at], rest, value, setting), *current[at + 1 :]]
    mapping = dict(current) if isinstance(current, Mapping) else {}
    mapping[first] = _with_value(mapping.get(first), rest, value, setting)
    return mapping


def parse(
    model: type[S],
    data: Mapping[str, Any],
    source: str,
    context: dict[str, Any] | None = None,
) -> S:
    """A validated configuration.

    Args:
        model: class of the configuration.
        data: its keys and values.
        source: where they come from, for error messages.
        context: `vepe.config.base.SILENT` to accept renamed keys without a warning.

    Raises:
        VepeError: names the first wrong key, what is wrong, and the nearest valid key.
    """
    try:
        _check_unicode(data)
        return model.model_validate(dict(data), context=context)
    except UnicodeEncodeError as error:
        shown = printable(error.object[:80])
        raise VepeError(f"{source}: the text '{shown}' is not valid Unicode; correct it.") from None
    except ValidationError as error:
        first = error.errors()[0]
        keys, known = _walk(model, first["loc"])
        where = ".".join(keys)
        if first["type"] == "extra_forbidden":
            hint = nearest(keys[-1], known)
            raise VepeError(f"{source}: there is no option '{where}'{hint}") from None
        problem = _PLAIN.get(first["type"], first["msg"].removeprefix("Value error, "))
        problem = problem.format_map(first.get("ctx", {})) if first["type"] in _PLAIN else problem
        raise VepeError(f"{source}: {where or 'the whole'}: {problem}.") from None


def _check_unicode(value: Any) -> None:
    """Raises UnicodeEncodeError for a text anywhere in a value that no file can hold."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _check_unicode(key)
            _check_unicode(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_unicode(inner)


_PLAIN = {
    "model_type": "give keys and values here",
    "model_attributes_type": "give keys and values here",
    "dataclass_type": "give keys and values here",
    "tuple_type": "give a list here",
    "missing": "this option is missing",
    "union_tag_not_found": "give its `kind`",
    "int_parsing_size": "this number has too many digits",
    "too_short": "give at least {min_length}",
    "too_long": "give at most {max_length}",
    "less_than_equal": "give at most {le}",
    "less_than": "give less than {lt}",
    "greater_than_equal": "give at least {ge}",
    "greater_than": "give more than {gt}",
}
"""Pydantic's error types in terms of YAML."""


def _walk(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], list[str]]:
    """The keys of an error's location as written in the file, and the keys that are valid there.

    Pydantic lists the kind of a tagged union as if it were a key: it selects the member here and is
    left out of the keys.
    """
    keys: list[str] = []
    current: list[Any] = [model]
    valid = list(model.model_fields)
    for part in location:
        if isinstance(part, int):
            keys.append(str(part))
            continue
        tagged = [m for m in current if _kind(m) == part]
        if tagged:
            current = tagged
        else:
            keys.append(part)
            fields = [m.model_fields[part] for m in current if part in m.model_fields]
            if not fields:
                break
            current = [m for field in fields for m in _models(field.annotation)]
        valid = sorted({name for m in current for name in m.model_fields})
    return keys, valid


def _models(annotation: Any) -> list[type[BaseModel]]:
    """All models inside a type such as `tuple[A | B, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in get_args(annotation) for m in _models(argument)]


def _kind(model: type[BaseModel]) -> str | None:
    """The value of `kind` that selects this member of a tagged union."""
    field = model.model_fields.get("kind")
    return None if field is None else str(field.default)


def nearest(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, and all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    listed = f"nown are {', '.join(known)}." if known else ""
    if close:
        return f"; did you mean '{close[0]}'? K{listed}"
    return f"; k{listed}" if known else "."
