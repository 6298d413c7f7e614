"""The reference of the command line, from the commands themselves."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from vepe.cli.app import app


def commands() -> Iterator[tuple[str, Any, Any]]:
    """Every command that `vepe --help` lists: its full name, itself, and its context."""
    root = typer.main.get_command(app)
    context = root.make_context("vepe", [], resilient_parsing=True)
    yield from _below(root, context, "vepe")


def _below(group: Any, context: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    for name in group.list_commands(context):
        if group.get_command(context, name).hidden:
            continue
        # Resolved as from the shell, since `vepe synth` loads its options only then.
        _, command, _ = group.resolve_command(context, name.split())
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        inner.info_name = name
        if hasattr(command, "list_commands"):
            yield from _below(command, inner, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command, inner


def reference() -> str:
    """A section per command: what it does, how it is called, its options, examples."""
    return "\n\n".join(section(*command) for command in commands())


def section(name: str, command: Any, context: Any) -> str:
    """One command."""
    parameters = [p for p in command.get_params(context) if not getattr(p, "hidden", False)]
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"## {name}", _plain(command.help or ""), f"```text\n{usage}\n```"]
    rows = [row for p in parameters if (row := _row(p, context)) and p.name != "help"]
    if rows:
        parts.append("| option | default | meaning |\n|---|---|---|\n" + "\n".join(rows))
    calls = _examples(command.epilog)
    if calls:
        parts.append("```sh\n" + "\n".join(calls) + "\n```")
    return "\n\n".join(parts)


def _row(parameter: Any, context: Any) -> str:
    """A row of the table of options."""
    help_text, default = parameter.help or "", ""
    if shown := re.search(r"\s*\[dim\]\\?\[default: (.*?)\]\[/dim\]", help_text):
        help_text, default = help_text.replace(shown[0], ""), shown[1]
    elif getattr(parameter, "show_default", False):
        value = parameter.get_default(context)
        value = getattr(value, "value", value)
        if getattr(parameter, "is_flag", False):
            default = "on" if value else ""
        elif value is not None and value != () and value != []:
            default = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names, default = (
            parameter.metavar or parameter.name.upper(),
            "" if default == "None" else default,
        )
    elif parameter.metavar and not getattr(parameter, "is_flag", False):
        names += f" {parameter.metavar}"
    names = html.escape(names, quote=False).replace("|", "&#124;")  # backticks would show "\\|"
    return f"| <code>{names}</code> | {_cell(default)} | {_cell(help_text)} |"


def _cell(text: str) -> str:
    return _plain(" ".join(text.split())).replace("|", "\\|")


def _plain(text: str) -> str:
    """Help texts without the markup of terminals; what looks like HTML or Markdown is escaped."""
    text = inspect.cleandoc(re.sub(r"\[/?(dim|bold|italic)\]", "", text).replace("\\[", "["))
    parts = re.split(r"(`[^`]*`)", text)  # code spans stay as they are
    return "".join(p if p.startswith("`") else _escaped(p) for p in parts)


def _escaped(text: str) -> str:
    return re.sub(r"([*_])", r"\\\1", html.escape(text, quote=False))


def _examples(epilog: str | None) -> list[str]:
    lines = (epilog or "").partition("Examples:")[2].splitlines()
    return [line.strip().replace("\\[", "[") for line in lines if line.strip()]
