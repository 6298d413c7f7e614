"""Text on the terminal: names of files and labels may hold anything, and never act on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from vepe.errors import printable

_quiet = False


def echo(text: object, *, err: bool = False) -> None:
    """Prints one line to stdout or stderr, with control characters written as escapes."""
    typer.echo(printable(str(text)), err=err)


def note(text: object, *, err: bool = False) -> None:
    """As `echo`, but nothing under --quiet: what a script does not need."""
    if not _quiet:
        echo(text, err=err)


def shows_progress() -> bool:
    """Whether progress is drawn: on terminals, without --quiet."""
    return not _quiet and sys.stderr is not None and sys.stderr.isatty()


def set_quiet(quiet: bool) -> bool:
    """Sets --quiet for this process; returns the value, so that it can be an option's callback."""
    global _quiet
    _quiet = quiet
    return quiet


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        callback=set_quiet,
        help="Print only results that were asked for, warnings and errors.",
    ),
]


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Says on terminals that something is being loaded, until the block ends."""
    if not shows_progress():
        yield
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(f"Loading {escape(printable(what))} ..."):
        yield
