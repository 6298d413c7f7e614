"""HTML pages in one file: style, tables and images inside, light and dark, no script.

A report writes the body of its page as a jinja2 template and passes the values:

    render_page('<h1>{{ title }}</h1> {{ table(head, rows) }}', title="Run 3", head=..., rows=...)

Every value is escaped; `markupsafe.Markup` marks text that is HTML already (`plots.line_chart`
returns it). Templates can call `cards(values)`, `table(head, rows, total=False)`,
`text_table(head, rows)` and `figures(images)`; they are macros in `page_parts.html`. The frame of
the page and its style are in `page.html`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True)
class PageFigure:
    """An image on a page.

    Attributes:
        source: its address, usually a `data_address`.
        caption: plain text below it, or "".
    """

    source: str
    caption: str


def data_address(content: bytes, kind: str = "png") -> str:
    """An encoded image (`png` or `jpeg`) as a data URL, which needs no file."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def render_page(template: str, *, title: str, **values: Any) -> str:
    """The text of a whole HTML page.

    Args:
        template: text of the jinja2 template of the body; see the module docstring.
        title: of the page; the template can use it too.
        values: what the template names. All are escaped unless they are `Markup`.

    Raises:
        jinja2.UndefinedError: where the template names a value that is missing.
    """
    environment = _environment()
    body = environment.from_string(template).render(title=title, **values)
    page: str = environment.get_template("page.html").render(title=title, body=Markup(body))
    return page + "\n"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """The jinja2 environment, with the macros of `page_parts.html` as globals."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    macros = environment.get_template("page_parts.html").module
    for name in ("cards", "table", "text_table", "figures"):
        environment.globals[name] = getattr(macros, name)
    return environment
