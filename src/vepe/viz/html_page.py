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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
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


# Superseded by render_page; removed once the reports use it.
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --quiet: #616e7c; --pale: #7b8794;
  --line: #e4e7eb; --card: #f5f7fa; --paper: #fff; --warn: #fff6e5; --edge: #d98c3f;
  --main: #2f6f9f; --second: #c77722; --third: #5b7f4b; --bad: #c8372d; --fourth: #8a5a9e;
  --fifth: #3d8f8a; --sixth: #857c1a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --quiet: #a3aeb9; --pale: #8d98a4;
  --line: #323b45; --card: #1f262e; --paper: #151a20; --warn: #332a18; --main: #6fb1e2;
  --second: #e6a254; --third: #98bf86; --bad: #f07f75; --fourth: #c49ad6; --fifth: #72c4be;
  --sixth: #d9d05f; } }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: var(--ink);
  background: var(--paper); margin: 0 auto; max-width: 1080px; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 10px; }
p.quiet, figcaption { color: var(--quiet); font-size: 13px; margin: 4px 0 12px; }
.cards { display: flex; gap: 12px; flex-wrap: wrap; margin: 20px 0 8px; }
.card { background: var(--card); border-radius: 8px; padding: 10px 16px; min-width: 84px; }
.card b { display: block; font-size: 24px; font-weight: 600; font-variant-numeric: tabular-nums; }
.card span { color: var(--quiet); font-size: 12.5px; }
table { border-collapse: collapse; width: 100%; margin-bottom: 14px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; text-align: right; border-bottom: 1px solid var(--line);
  font-size: 14px; }
th { color: var(--quiet); font-weight: 500; font-size: 12.5px; }
th:first-child, td:first-child, table.words td, table.words th { text-align: left; }
table.words td { vertical-align: top; } tr.same td { color: var(--pale); }
td.total { font-weight: 600; } figure { margin: 0 0 14px; }
img, figure svg { max-width: 100%; height: auto; } img { border-radius: 4px; }
.warn { background: var(--warn); border-left: 4px solid var(--edge); padding: 8px 14px;
  margin: 6px 0; font-size: 14px; } .scroll { overflow-x: auto; } .key b { font-weight: 600; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 0 20px; }
pre { background: var(--card); border-radius: 8px; padding: 12px 16px; overflow-x: auto;
  font-size: 12.5px; line-height: 1.45; } summary { cursor: pointer; }
@media (max-width: 520px) { body { padding: 20px 14px 40px; } .pair { display: block; } }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """The whole page; `parts` are HTML."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def cards(values: Iterable[tuple[str, str]]) -> str:
    """The most important numbers, large: pairs of name and value."""
    made = (
        f"<div class=card><b>{escape(value)}</b><span>{escape(name)}</span></div>"
        for name, value in values
    )
    return f"<div class=cards>{''.join(made)}</div>"


def table(head: Iterable[str], rows: Iterable[Sequence[str]], *, total: bool = False) -> str:
    """A table of numbers, names in the first column; `total` makes the last column stand out."""
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = ""
    for row in rows:
        cells = [f"<td>{escape(cell)}</td>" for cell in row]
        if total:
            cells[-1] = cells[-1].replace("<td>", "<td class=total>")
        body += f"<tr>{''.join(cells)}</tr>"
    return f"<div class=scroll><table><tr>{top}</tr>{body}</table></div>"


def pictures(figures: Iterable[PageFigure]) -> str:
    """Pictures, one below the other."""
    return "".join(
        f'<figure><img src="{f.source}" alt="">'
        f"{f'<figcaption>{f.caption}</figcaption>' if f.caption else ''}</figure>"
        for f in figures
    )
