"""Reads configurations: YAML with one `extends:`, presets by name, and errors that name the key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from vepe.config.base import Settings
from vepe.errors import VepeError

S = TypeVar("S", bound=Settings)


def preset_names(kind: str = "models") -> list[str]:
    """Names of the presets that ship with the package; `kind` is `models` or `recipes`."""
    folder = resources.files("vepe.config") / "presets" / kind
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name != "__pycache__")


def read_yaml(source: str | Path, kind: str = "models") -> dict[str, Any]:
    """The mapping of a YAML file or preset, with what it `extends` merged below it.

    Raises:
        VepeError: where there is no such file or preset, or it is not a mapping.
    """
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise VepeError(f"There is no configuration file '{source}'; check the path.")
        text, here = path.read_text(encoding="utf-8"), path.parent
    else:
        names = preset_names(kind)
        if str(source) not in names:
            raise VepeError(f"There is no preset '{source}'{_nearest(str(source), names)}.")
        preset = resources.files("vepe.config") / "presets" / kind / f"{source}.yaml"
        text, here = preset.read_text(encoding="utf-8"), Path()
    try:
        data = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise VepeError(f"'{source}' is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise VepeError(f"'{source}' must hold keys and values at its top.")
    base = data.pop("extends", None)
    if base is None:
        return data
    base_source = here / base if str(base).endswith((".yaml", ".yml")) else base
    return merge(read_yaml(base_source, kind), data)


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

    Raises:
        VepeError: where a setting has no `=`.
    """
    result = dict(data)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise VepeError(f"'{setting}' is not a setting; write key=value.")
        nested: Any = yaml.safe_load(value)
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        result = merge(result, nested)
    return result


def parse(model: type[S], data: Mapping[str, Any], source: str) -> S:
    """A validated configuration.

    Raises:
        VepeError: names the first wrong key, what is wrong, and the nearest valid key.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _known_keys(model, first["loc"][:-1])
            hint = _nearest(str(first["loc"][-1]), known)
            raise VepeError(f"{source}: there is no option '{where}'{hint}.") from None
        problem = first["msg"].removeprefix("Value error, ")
        raise VepeError(f"{source}: {where or 'the whole'}: {problem}.") from None


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Keys that are valid at a place inside a configuration."""
    current: Any = model
    for part in path:
        field = current.model_fields.get(part) if hasattr(current, "model_fields") else None
        if field is None:
            return []
        options = [field.annotation, *get_args(field.annotation)]
        current = next((o for o in options if hasattr(o, "model_fields")), None)
    return list(current.model_fields) if hasattr(current, "model_fields") else []


def _nearest(name: str, known: list[str]) -> str:
    """A hint with the nearest known name, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean '{close[0]}'?".removesuffix("?")
    return f"; known are {', '.join(known)}" if known else ""
