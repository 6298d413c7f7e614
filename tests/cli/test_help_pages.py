"""The help of every command: examples, plain names of values, nothing of Python's or Typer's."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import typer

from vepe.cli import app as cli
from vepe.cli.help_pages import paragraphs


def every_command(app: typer.Typer, path: tuple[str, ...] = ()) -> Iterator[list[str]]:
    for command in app.registered_commands:
        if not command.hidden:
            yield [*path, *(command.name or command.callback.__name__).split(" ")]
    for group in app.registered_groups:
        yield from every_command(group.typer_instance, (*path, group.name))


@pytest.mark.parametrize("command", [*every_command(cli.app)], ids=" ".join)
def test_every_help_has_examples_and_plain_values(command: list[str], capsys) -> None:
    assert cli.run([*command, "--help"]) == 0
    text = capsys.readouterr().out
    before, _, after = text.partition("Examples:")
    assert re.search(rf"\bvepe {' '.join(command)}\b", after), "no example of this command"
    types = r"<(str|int|float|bool|path|file|list)[\[>|]|<\w+\||\{\w+\}|default: \("
    assert re.search(types, before) is None


@pytest.mark.parametrize("group", [[], ["evaluate"], ["data"]])
def test_groups_show_no_types_either(group: list[str], capsys) -> None:
    assert cli.run([*group, "--help"]) == 0
    assert "<bool>" not in capsys.readouterr().out


def test_paragraphs_have_no_line_ends_inside() -> None:
    text = """One line
    goes on.

    Another
    one.
    """
    assert paragraphs(text) == "One line goes on.\n\nAnother one."
