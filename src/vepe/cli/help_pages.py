"""How the help of every command looks: plain names of values, whole paragraphs, examples."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

_VALUES: dict[Any, str] = {str: "TEXT", int: "N", float: "X", Path: "PATH"}


class Command(TyperCommand):
    """A command whose help names values as `N` and `PATH`, not by Python's types."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.help = paragraphs(self.help)

    def get_params(self, ctx: Any) -> Any:
        return [_simplify(parameter) for parameter in super().get_params(ctx)]


class Group(TyperGroup):
    """A group of commands with the same help."""

    def get_params(self, ctx: Any) -> Any:
        return [_simplify(parameter) for parameter in super().get_params(ctx)]


def plain_help(app: typer.Typer) -> typer.Typer:
    """Gives all commands of an app, and of the groups in it, the help of `Command`."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            plain_help(group.typer_instance)
    return app


def examples(*lines: str) -> str:
    """The end of a command's help: how it is called, one call per line."""
    return "Examples:\n\n" + "\n".join("  " + line.replace("[", "\\[") for line in lines)


def paragraphs(text: str | None) -> str | None:
    """A docstring with its line ends only between paragraphs, for terminals of any width."""
    if text is None:
        return None
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def _simplify(parameter: Any) -> Any:
    """The parameter with names of its values for users; it is changed, once."""
    if isinstance(parameter, TyperArgument):
        shown = parameter.metavar or parameter.name.upper()
        if parameter.nargs != 1 and not shown.endswith("..."):
            shown += "..."
        parameter.metavar = shown
        usage = shown if parameter.required else f"[{shown}]"
        # The name stands in the first column already, and braces mean nothing to users.
        parameter.display_type_rich = lambda ctx: None  # type: ignore[method-assign]
        parameter.get_usage_pieces = lambda ctx: [usage]  # type: ignore[method-assign]
    elif isinstance(parameter, TyperOption) and parameter.metavar is None:
        parameter.metavar = "" if parameter.is_flag else _value_of(parameter)
    if isinstance(getattr(parameter, "show_default", None), str):  # shown in parentheses otherwise
        parameter.help = f"{parameter.help or ''} [dim]\\[default: {parameter.show_default}][/dim]"
        parameter.show_default = False
    return parameter


def _value_of(option: TyperOption) -> str:
    """What stands for the value of an option."""
    kind = option.type_descriptor
    if kind.is_choice:
        return "|".join(str(getattr(choice, "value", choice)) for choice in kind.choices or ())
    inside = [kind.annotation, *get_args(kind.annotation)]
    return next((_VALUES[part] for part in inside if part in _VALUES), "VALUE")
