"""Entries of docstrings that describe several names at once, such as `width, height: in pixels`.

griffe, which reads docstrings for mkdocstrings, looks for one name and takes the others for a type,
also for that of the next entry. Such entries are rewritten before it does, with the type that the
code gives the names.
"""

from __future__ import annotations

import re

from griffe import Class, Extension, Function, Object, Parameters

_SECTION = re.compile(r"(?<=^Attributes:\n)(?: {4}.*\n?|\n)+|(?<=^Args:\n)(?: {4}.*\n?|\n)+", re.M)
_ENTRY = re.compile(r"^ {4}([a-z_]\w*(?:, [a-z_]\w*)*)(?=: )", re.M)
_NO_BREAK = ",\N{NO-BREAK SPACE}"
"""Between names: a plain space would end the name."""


class SharedEntries(Extension):
    """What mkdocstrings is given in `mkdocs.yml`."""

    def on_class_members(self, *, cls: Class, **_: object) -> None:
        attributes = {name: member.annotation for name, member in cls.attributes.items()}
        rewrite(cls, _types(cls.parameters) | attributes)

    def on_function_instance(self, *, func: Function, **_: object) -> None:
        rewrite(func, _types(func.parameters))


def rewrite(described: Object, types: dict[str, object]) -> None:
    """Changes the entries of several names, and of names whose types griffe would not find."""
    if described.docstring is None:
        return

    def typed(entry: re.Match[str]) -> str:
        names = entry[1].split(", ")
        if len(names) == 1 and types.get(names[0]):
            return entry[0]
        found = dict.fromkeys(str(types[name]) for name in names if types.get(name))
        return f"    {_NO_BREAK.join(names)} ({' or '.join(found)})"

    text = described.docstring.value
    described.docstring.value = _SECTION.sub(lambda part: _ENTRY.sub(typed, part[0]), text)


def _types(parameters: Parameters) -> dict[str, object]:
    return {parameter.name: parameter.annotation for parameter in parameters}
