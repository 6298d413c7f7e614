"""The command line: `vepe COMMAND`. Each command has a file of its own next to this one.

Only Typer and the standard library load here, and the command modules do the same, so that
`vepe --help` is fast. What a command needs beyond that, it imports when it runs.

To add a command, write a function in a new module, register it below with an example or two, and
add it to `ORDER`.
"""

from __future__ import annotations

import errno
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from vepe import __version__
from vepe.cli import data, evaluate
from vepe.cli.benchmark import benchmark
from vepe.cli.convert import convert
from vepe.cli.doctor import doctor
from vepe.cli.draw import draw
from vepe.cli.edit import edit
from vepe.cli.export import export
from vepe.cli.help_pages import Command, Group, examples, plain_help
from vepe.cli.measure import measure
from vepe.cli.models import models
from vepe.cli.output import echo
from vepe.cli.predict import predict
from vepe.cli.process import check_current_folder, set_up
from vepe.cli.push import push
from vepe.cli.report import report as quality_report
from vepe.cli.serve import serve
from vepe.cli.track import track
from vepe.cli.train import average, page, report, train
from vepe.errors import DISK_FULL, BatchError, VepeError, VepeWarning, printable

EXIT_USER_ERROR = 2
EXIT_BATCH = 3
EXIT_INTERRUPTED = 130

# The order of use: run a model, score it, train one, then data.
ORDER = [
    *("track", "predict", "serve", "draw", "measure", "report", "edit", "models"),
    *("export", "benchmark", "evaluate", "train", "train report", "train average"),
    *("page", "synth", "data", "convert", "push", "doctor"),
]

_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


_SYNTH_EXAMPLES = examples(
    "vepe synth data/rendered --videos 200 --people 2-5",
    "vepe synth data/rendered --videos 20 --split val",
)


class _Commands(Group):
    """Lists the commands in `ORDER`, and loads `vepe synth` only when it runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # `train` has an argument, so it cannot be a group.
        if args[:1] == ["train"] and args[1:2] in (["report"], ["average"]):
            args = [" ".join(args[:2]), *args[2:]]
        name, command, rest = super().resolve_command(ctx, args)
        if name == "synth":
            from vepe_synth.command import synth

            lazy = typer.Typer(add_completion=False, context_settings=_HELP_OPTIONS)
            lazy.command("synth", cls=Command, epilog=_SYNTH_EXAMPLES)(synth)
            command = typer.main.get_command(lazy)
        return name, command, rest


app = typer.Typer(
    name="vepe",
    cls=_Commands,
    help="Every person's pose and identity in every frame of a video, from one network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_HELP_OPTIONS,
)
app.command(
    epilog=examples(
        "vepe track walk.mp4",
        "vepe track walk.mp4 -o out --model vepe-s --smooth offline --format csv,coco",
        "vepe track clips/ 'more/*.mov' list.txt -o out --resume",
        "vepe track frames/ --fps 30",
        "vepe track 0 --show",
        "ffmpeg -i tape.avi -f matroska - | vepe track -",
    )
)(track)
app.command(
    epilog=examples(
        "vepe predict photo.jpg -o photo.json --draw drawn",
        "vepe predict photos/ -o photos.json --conf 0.2",
    )
)(predict)
app.command(
    epilog=examples(
        "vepe serve",
        "vepe serve --port 9000 --data jobs --root videos",
        "VEPE_TOKEN=... vepe serve --host 0.0.0.0",
    )
)(serve)
app.command(
    epilog=examples(
        "vepe draw out/walk.json walk.mp4 -o drawn.mp4 --trail 2 --boxes",
        "vepe draw out/walk.json walk.mp4 -o shared.mp4 --hide faces --no-ids",
        "vepe draw out/walk.json -o on_black.mp4",
    )
)(draw)
app.command(
    epilog=examples(
        "vepe measure out/walk.json",
        "vepe measure out/walk.json -o walk.csv --plot walk.html",
        "vepe measure out/walk.json --ids 1 --height 1.80 -o walk.trc -o walk.mot",
    )
)(measure)
app.command(
    "report",
    epilog=examples("vepe report out/walk.json walk.mp4", "vepe report poses.csv -o quality.html"),
)(quality_report)
app.command(
    epilog=examples(
        "vepe edit out/walk.json --merge 3:2 --drop 7 -o repaired.json",
        "vepe edit out/walk.json --swap 1,2@3.0s --split 5@12.4s",
    )
)(edit)
app.command(epilog=examples("vepe export vepe-s", "vepe export runs/mine/weights.safetensors"))(
    export
)
app.command(epilog=examples("vepe models", "vepe models runs/mine/weights.safetensors --verbose"))(
    models
)
app.command(
    epilog=examples(
        "vepe benchmark",
        "vepe benchmark --backend onnxruntime,torch --people 1,50",
        "vepe benchmark clip.mp4 --model vepe-n,mine.onnx --imgsz 448,640 --json times.json",
    )
)(benchmark)
app.command(
    epilog=examples(
        "vepe train vepe-n --data-root data",
        "vepe train finetune --set stages.0.data.0.path=mine.json -o runs/mine",
        "vepe train vepe-n -o runs/mine --resume",
        "vepe train --grid ablation --data-root data",
    )
)(train)
app.command("train report", epilog=examples("vepe train report runs/mine"))(report)
app.command(
    "train average",
    epilog=examples("vepe train average a.safetensors b.safetensors -o mean.safetensors"),
)(average)
app.command(hidden=True)(page)
app.add_typer(evaluate.app, name="evaluate")
app.command(
    epilog=examples(
        "vepe convert out/walk.json walk.csv",
        "vepe convert annotations/ coco.json --to coco",
        "vepe convert out/ tables --to csv,parquet",
    )
)(convert)
app.add_typer(data.app, name="data")
app.command(
    epilog=examples(
        "vepe push runs/mine/weights.safetensors me/pose --license apache-2.0",
        "vepe push runs/mine/weights.safetensors me/pose --dry-run",
    )
)(push)
app.command(epilog=examples("vepe doctor"))(doctor)


@app.command(
    "synth",
    epilog=_SYNTH_EXAMPLES,
    help="Render labelled multi-person video, in PoseTrack18's layout.",
)
def _synth() -> None:
    """Stands for `vepe_synth.command.synth` in the list of commands, see `_Commands`."""


plain_help(app)


def _print_version(requested: bool) -> None:
    if requested:
        echo(f"vepe {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    pass


def run(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0 done, 2 user error, 3 part of a batch failed,
    130 interrupted.

    `arguments` defaults to those of the shell. An error that the user can fix becomes one line on
    stderr; anything else is a bug and leaves with its traceback.
    """
    try:
        check_current_folder()
        with _one_line_warnings():
            code = app(args=arguments, prog_name="vepe", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:
        if isinstance(error, VepeError):
            message: str | None = str(error)
        elif isinstance(error, OSError):
            message = _system_error(error)
        elif _is_lack_of_memory(error):
            message = "There is not enough memory; close other programs, or give less at a time."
        else:
            message = _usage_error(error)
        if message is None:
            raise
        if message:
            echo(f"vepe: {message}", err=True)
        return EXIT_BATCH if isinstance(error, BatchError) else EXIT_USER_ERROR


def main() -> None:
    """Entry point of the `vepe` command."""
    try:
        set_up()
        code = run()
    except KeyboardInterrupt:  # before or after the command
        code = EXIT_INTERRUPTED
    sys.exit(code)


def _system_error(error: OSError) -> str | None:
    """The sentence for a system error that the user can fix; None for any other."""
    where = f" ('{error.filename}')" if error.filename else ""
    if error.errno in DISK_FULL:
        return f"The disk is full{where}; free some space or choose another output folder."
    if error.errno == errno.EFBIG:
        return f"The file would be too large for its disk or quota{where}; choose another folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission{where}; choose another place or change its access rights."
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR):
        return f"{error.strerror}{where}; check the path."
    return None


def _is_lack_of_memory(error: Exception) -> bool:
    # torch has a class of its own for GPUs alone.
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("can't allocate memory" in text or "out of memory" in text)
    )


def _usage_error(error: Exception) -> str | None:
    """The sentence for a wrong option, argument or command; None for any other exception."""
    # The class of these errors moved between releases of Typer; the method did not.
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    message = format_message().rstrip(".").replace("Value error, ", "")
    if not message:  # no arguments at all: the help is printed and says enough
        return ""
    message += "" if message.endswith("?") else "."
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "vepe"
    return f"{' '.join(message.split())} Try '{command} --help'."


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Shows each `VepeWarning` as one line.

    Warnings of libraries are not for users, and are hidden unless Python is asked for warnings
    (`PYTHONWARNINGS=default`).
    """
    usual, last_resort = warnings.formatwarning, logging.lastResort

    def formatted(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        if issubclass(category, VepeWarning):
            return f"vepe: {printable(str(message))}\n"
        text = usual(message, category, filename, lineno, line) if sys.warnoptions else ""
        return printable(text, lines=True)

    warnings.formatwarning = formatted
    if not sys.warnoptions:
        logging.lastResort = logging.NullHandler()
    try:
        yield
    finally:
        warnings.formatwarning, logging.lastResort = usual, last_resort
