"""Text on the terminal: names of files and labels may hold anything, and never act on it."""

from __future__ import annotations

import typer

from vepe.errors import printable


def echo(text: object, *, err: bool = False) -> None:
    """Prints a line to stdout or stderr, with control characters written as escapes."""
    typer.echo(printable(str(text)), err=err)
