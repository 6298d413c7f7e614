"""The reference of configuration keys, from the pydantic models."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from vepe.config.grid import GridConfig
from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe_synth.config import SynthSettings

ROOTS: dict[str, tuple[type[BaseModel], str]] = {
    "Models": (ModelConfig, "A model file, or `model:` of a recipe with options."),
    "Recipes": (TrainConfig, "What `vepe train RECIPE` reads."),
    "Grids": (GridConfig, "What `vepe train --grid GRID` reads."),
    "Synthetic video": (SynthSettings, "What `vepe synth` is given by its options."),
}
"""Heading of each kind of file -> its model and what the file is."""


def reference() -> str:
    """A part for each kind of file, with a table for each group of keys in it."""
    parts, done = [], set[type[BaseModel]]()
    for title, (root, text) in ROOTS.items():
        parts.append(f"## {title}\n\n{text}")
        for model in models(root):
            if model not in done:
                done.add(model)
                parts.append(table(model))
    return "\n\n".join(parts)


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and all models inside it, outer ones first."""
    yield model
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            yield from models(inner)


def table(model: type[BaseModel]) -> str:
    """Keys, types, defaults and meanings of one model."""
    text = (inspect.getdoc(model) or "").partition("Attributes:")[0].strip()
    rest = _after_attributes(inspect.getdoc(model) or "")
    rows = [
        f"| `{name}` | {_cell(type_of(field))} | {_cell(default_of(field))} | {_cell(meaning)} |"
        for name, field in model.model_fields.items()
        for meaning in [meaning_of(model, name)]
    ]
    head = f"### {model.__name__}"
    body = "| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows)
    return "\n\n".join(part for part in (head, text, body, rest) if part)


def meaning_of(model: type[BaseModel], name: str) -> str:
    """The description of a field, or its entry in the class's docstring; "" where it has none."""
    field = model.model_fields[name]
    if field.description:
        return field.description
    for base in model.__mro__:
        if meaning := _attributes(base.__doc__ or "").get(name):
            return meaning
    inner = next(iter(_models_in(field.annotation)), None)
    if inner is not None:
        return f"see [{inner.__name__}](#{inner.__name__.lower()})"
    return ""


def type_of(field: FieldInfo) -> str:
    """The type of a field with its bounds, in words of a YAML file."""
    bounds = []
    for item in field.metadata:
        for sign, name in ((">=", "ge"), (">", "gt"), ("<=", "le"), ("<", "lt")):
            limit = getattr(item, name, None)
            if limit is not None:
                bounds.append(
                    f"{sign} {limit:,}" if isinstance(limit, int) else f"{sign} {limit:g}"
                )
    return ", ".join([_type(field.annotation), *bounds])


def default_of(field: FieldInfo) -> str:
    """The default of a field; "" where the key is required."""
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "*required*"
    if isinstance(default, BaseModel):
        return ""
    if default is None:
        return "`null`"
    if isinstance(default, tuple | list | set | frozenset):
        return f"`[{', '.join(map(str, default))}]`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str | int | float):
        return f"`{default}`" if default != "" else '`""`'
    return f"`{getattr(default, 'name', '{}')}`"


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments if part is not type(None))
    if origin in (tuple, list):
        if (len(arguments) == 2 and arguments[1] is Ellipsis) or origin is list:
            return f"list of {_type(arguments[0])}"
        return f"{len(arguments)} of {_type(arguments[0])}"
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    names = {int: "integer", float: "number", str: "text", bool: "`true` or `false`"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _attributes(doc: str) -> dict[str, str]:
    """The entries of a docstring's `Attributes:`; one entry may have several names."""
    block = inspect.cleandoc(doc).partition("Attributes:\n")[2]
    entries: dict[str, str] = {}
    names: list[str] = []
    for line in block.splitlines():
        if head := re.match(r"    (\w[\w, ]*):\s*(.*)", line):
            names = [name.strip() for name in head[1].split(",")]
            entries |= dict.fromkeys(names, head[2])
        elif line.startswith("        ") and names:
            for name in names:
                entries[name] += " " + line.strip()
        elif line.strip():
            break
    return entries


def _after_attributes(doc: str) -> str:
    """The paragraphs of a docstring below its `Attributes:`."""
    rest = re.search(r"^\S", doc.partition("Attributes:\n")[2], re.MULTILINE)
    return rest.string[rest.start() :].strip() if rest else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
