"""Entries of docstrings that describe several names at once, such as `width, height: in pixels`.

griffe, which reads docstrings for mkdocstrings, looks for one name and takes the others for a type.
Such entries are rewritten before it does: with the type that the names have in the code.
"""

from __future__ import annotations

import re

from griffe import Class, Extension, Function, Object, Parameters

_ENTRY = re.compile(r"^( +)([a-z_]\w*(?:, [a-z_]\w*)+)(?=: )", re.MULTILINE)
_NO_BREAK = ",\N{NO-BREAK SPACE}"
"""Between names: a plain space would end the name."""


class SharedEntries(Extension):
    """What mkdocstrings is given in `mkdocs.yml`."""

    def on_class_members(self, *, cls: Class, **_: object) -> None:
        types = {name: member.annotation for name, member in cls.attributes.items()}
        rewrite(cls, types | _types(cls.parameters))

    def on_function_instance(self, *, func: Function, **_: object) -> None:
        rewrite(func, _types(func.parameters))


def rewrite(described: Object, types: dict[str, object]) -> None:
    """Changes the docstring's entries whose names all have a type."""
    if described.docstring is None:
        return

    def typed(entry: re.Match[str]) -> str:
        names = entry[2].split(", ")
        found = dict.fromkeys(str(types.get(name) or "") for name in names)
        if "" in found:
            return entry[0]
        return f"{entry[1]}{_NO_BREAK.join(names)} ({' or '.join(found)})"

    described.docstring.value = _ENTRY.sub(typed, described.docstring.value)


def _types(parameters: Parameters) -> dict[str, object]:
    return {parameter.name: parameter.annotation for parameter in parameters}
