"""The command line: `vepe COMMAND`. Every command has a file of its own beside this one.

Only Typer and the standard library load here, and the command modules do the same, so that
`vepe --help` is quick. What a command needs beyond that, it imports when it runs.
"""

from __future__ import annotations

import errno
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vepe import __version__
from vepe.cli import data, evaluate
from vepe.cli.convert import convert
from vepe.cli.doctor import doctor
from vepe.cli.models import models
from vepe.cli.predict import predict
from vepe.cli.track import track
from vepe.cli.train import page, train
from vepe.errors import VepeError, VepeWarning
from vepe_synth.command import synth

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

# As one meets them: use, then score, then train, then data.
ORDER = [
    *("track", "predict", "models", "evaluate", "train", "page"),
    *("synth", "data", "convert", "doctor"),
]


class _InOrder(TyperGroup):
    """Lists the commands in `ORDER`; Typer would put those with commands of their own last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    name="vepe",
    cls=_InOrder,
    help="Every person's pose and identity in every frame of a video, from one network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(track)
app.command()(predict)
app.command()(models)
app.command()(train)
app.command()(synth)
app.command()(page)
app.add_typer(evaluate.app, name="evaluate")
app.command()(convert)
app.add_typer(data.app, name="data")
app.command()(doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vepe {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def _system_trouble(error: OSError) -> str | None:
    """A sentence for what the machine refuses and the user can mend; None for anything else."""
    where = f" ('{error.filename}')" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{where}; free some space or choose another output folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission{where}; choose another place or change its access rights."
    return None


def _usage_trouble(error: Exception) -> str | None:
    """The sentence of a wrong option, argument or command; None for any other exception."""
    # The class of these errors moved between releases of Typer; the method did not.
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    message = format_message().rstrip(".")
    if not message:  # no arguments at all: the help has been printed and says enough
        return ""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "vepe"
    return f"{' '.join(message.split())}. Try '{command} --help'."


def _warning_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """What we warn of is one line for the user; other warnings say where they come from."""
    if issubclass(category, VepeWarning):
        return f"vepe: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def run(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0 done, 2 user error, 130 interrupted.

    `arguments` are those of the shell unless given. A problem that the user can mend becomes one
    line on stderr; anything else is a bug and leaves with its traceback.
    """
    warnings.formatwarning = _warning_line
    try:
        code = app(args=arguments, prog_name="vepe", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:
        if isinstance(error, VepeError):
            message: str | None = " ".join(str(error).split())
        elif isinstance(error, OSError):
            message = _system_trouble(error)
        else:
            message = _usage_trouble(error)
        if message is None:
            raise
        if message:
            print(f"vepe: {message}", file=sys.stderr)
        return EXIT_USER_ERROR


def main() -> None:
    """Entry point of the `vepe` command."""
    sys.exit(run())
