"""The description of the API as one page of HTML, without scripts: it works offline."""

from __future__ import annotations

import html
import json
import re
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
section { border: 1px solid #8886; border-radius: 8px; margin: 1rem 0; padding: .2rem 1rem 1rem; }
h2 { font-size: 1.05rem; overflow-wrap: anywhere; }
h2 code { font-size: 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem; }
.wide { overflow-x: auto; }
pre { overflow-x: auto; background: #8881; padding: .6rem; border-radius: 6px; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; }
summary { cursor: pointer; }
"""


def api_page(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = document["info"]
    sections = [
        _section(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    schemas = document.get("components", {}).get("schemas", {})
    details = [
        f"<details><summary><code>{_text(name)}</code></summary>"
        f"<pre>{_text(json.dumps(schema, indent=2))}</pre></details>"
        for name, schema in schemas.items()
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(info['title'])}: API</title>"
        '<link rel="stylesheet" href="/docs/style.css"></head><body>'
        f"<h1>{_text(info['title'])}: API {_text(info['version'])}</h1>"
        f"<p>{_prose(info.get('description', ''))}</p>"
        '<p>As a document for tools: <a href="/openapi.json">openapi.json</a></p>'
        f"<main>{''.join(sections)}</main><h2>Schemas</h2>{''.join(details)}</body></html>"
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (p["name"], p["in"], _type(p.get("schema", {})), p.get("description", ""))
        for p in operation.get("parameters", [])
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        for name, schema in content.get("schema", {}).get("properties", {}).items():
            rows.append((name, kind, _type(schema), schema.get("description", "")))
    table = "".join(
        f"<tr><td><code>{_text(name)}</code></td><td>{_text(where)}</td><td>{_text(kind)}</td>"
        f"<td>{_text(meaning)}</td></tr>"
        for name, where, kind, meaning in rows
    )
    head = "<tr><th>name</th><th>in</th><th>type</th><th>meaning</th></tr>"
    answers = ", ".join(operation.get("responses", {}))
    return (
        f"<section><h2>{method.upper()} <code>{_text(path)}</code></h2>"
        f"<p>{_prose(operation.get('description', ''))}</p>"
        + (f'<div class="wide"><table>{head}{table}</table></div>' if rows else "")
        + f"<p>Answers: {_text(answers)}</p></section>"
    )


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_type(option) for option in schema["anyOf"])
    return str(schema.get("format") or schema.get("type", ""))


def _text(value: object) -> str:
    return html.escape(str(value))


def _prose(value: object) -> str:
    """Text with `code` in it."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(value))
