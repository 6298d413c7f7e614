"""What all commands share: one line and exit code 2 for errors that a user can fix."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import vepe
from vepe.cli import app as cli
from vepe.cli.output import echo
from vepe.errors import BatchError, VepeError, VepeWarning

SOURCE = Path(cli.__file__).parents[2]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Makes every command raise the given exception."""

    def install(error: BaseException) -> None:
        def explode(**_: object) -> None:
            raise error

        monkeypatch.setattr(cli, "app", explode)

    return install


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch"], "No such command 'nosuch'. Try 'vepe --help'."),
        (["--nosuch"], "No such option: --nosuch. Try 'vepe --help'."),
        (["doctor", "--nosuch"], "No such option: --nosuch. Try 'vepe doctor --help'."),
        (["track"], "Missing argument 'SOURCE...'. Try 'vepe track --help'."),
        (["data", "nosuch"], "No such command 'nosuch'. Try 'vepe data --help'."),
        (["trak"], "No such command 'trak'. Did you mean 'track', 'train'? Try 'vepe --help'."),
        (
            ["track", "a.mp4", "--smooth", "no"],
            "Invalid value for '--smooth': 'no' is not one of 'off', 'causal', 'offline'. Try",
        ),
        (["doctor", "surplus"], "Got unexpected extra argument"),
    ],
)
def test_wrong_usage_is_one_line(arguments, says, capsys) -> None:
    assert cli.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"vepe: {says}")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (VepeError("'a.mp4' is empty; give a video."), "'a.mp4' is empty; give a video."),
        (VepeError("'a\nb.mp4' is empty; give one."), "'a\\nb.mp4' is empty; give one."),
        (
            OSError(errno.ENOSPC, "No space left on device", "out.mp4"),
            "The disk is full ('out.mp4'); free some space or choose another output folder.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/root/x"),
            "No permission ('/root/x'); choose another place or change its access rights.",
        ),
    ],
)
def test_user_errors_are_one_line(error, line, failing, capsys) -> None:
    failing(error)
    assert cli.run([]) == 2
    assert capsys.readouterr().err == f"vepe: {line}\n"


def test_a_batch_that_failed_in_part_is_3(failing, capsys) -> None:
    failing(BatchError("1 of 3 videos failed."))
    assert cli.run([]) == 3
    assert capsys.readouterr().err == "vepe: 1 of 3 videos failed.\n"


@pytest.mark.parametrize("bug", [ValueError("ours"), OSError(errno.EIO, "odd"), KeyError("k")])
def test_bugs_keep_their_traceback(bug, failing) -> None:
    failing(bug)
    with pytest.raises(type(bug)):
        cli.run([])


def test_interruption_is_130(failing, capsys) -> None:
    failing(KeyboardInterrupt())
    assert cli.run([]) == 130
    assert capsys.readouterr().err == ""


def test_no_arguments_print_only_the_help(capsys) -> None:
    assert cli.run([]) == 2
    captured = capsys.readouterr()
    assert "Usage" in captured.out + captured.err
    assert "vepe: " not in captured.err


@pytest.mark.parametrize(
    ("start", "option"),
    [(["-m", "vepe"], "--version"), (["-c", "from vepe.cli.app import main; main()"], "-V")],
)
def test_the_process_prints_its_version(start: list[str], option: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, *start, option]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, f"vepe {vepe.__version__}\n")


def test_the_process_fails_without_a_traceback() -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "vepe", "doctor", "--nosuch"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "vepe: No such option: --nosuch. Try 'vepe doctor --help'.\n"


def test_commands_are_listed_in_order(capsys) -> None:
    assert cli.run(["--help"]) == 0
    lines = capsys.readouterr().out.split("Commands")[1].splitlines()[1:]
    listed = [re.split(r" {2,}", line[2:])[0] for line in lines if line[2:3].isalpha()]
    assert listed == [name for name in cli.ORDER if name != "page"]  # hidden, an old name


def test_the_help_does_not_load_vepe_synth() -> None:
    code = (
        "import sys; from vepe.cli.app import run; run(['--help']); "
        "print([m for m in sys.modules if m.startswith('vepe_synth')])"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "synth " in result.stdout
    assert result.stdout.endswith("[]\n")


def test_synth_has_its_own_help_and_usage_errors(capsys) -> None:
    assert cli.run(["synth", "--help"]) == 0
    assert "--videos" in capsys.readouterr().out
    assert cli.run(["synth", "--nosuch"]) == 2
    assert "Try 'vepe synth --help'." in capsys.readouterr().err


def test_warnings_are_one_line_and_the_usual_format_comes_back(monkeypatch, capsys) -> None:
    def warn(**_: object) -> None:
        warnings.warn("mind the gap", VepeWarning, stacklevel=2)
        warnings.warn("something else", RuntimeWarning, stacklevel=2)

    monkeypatch.setattr(cli, "app", warn)
    usual = warnings.formatwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = _show
        assert cli.run([]) == 0
    first, second = capsys.readouterr().err.split("\n", 1)
    assert first == "vepe: mind the gap"
    assert second == ""  # of a library, hence hidden
    assert warnings.formatwarning is usual


def _show(message, category, filename, lineno, file=None, line=None) -> None:
    """Python's own way to show a warning; pytest replaces it."""
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
@pytest.mark.parametrize(("closing", "code"), [("2>&-", 2), (">&-", 0), ("<&- >&- 2>&-", 2)])
def test_closed_standard_streams(closing: str, code: int, tmp_path: Path) -> None:
    """As services start commands. A result file must not become the standard stream."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    arguments = "doctor --nosuch" if code else "--version"
    command = f"exec '{sys.executable}' -m vepe {arguments} {closing}"
    result = subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == code
    assert "Traceback" not in result.stderr


def test_warnings_of_libraries_are_hidden_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for options, expected in (([], ""), (["default"], "f.py:1: UserWarning: odd")):
        monkeypatch.setattr(sys, "warnoptions", options)
        with cli._one_line_warnings():
            text = warnings.formatwarning("odd", UserWarning, "f.py", 1, "")
            assert text[: len(expected) or None] == expected
            assert warnings.formatwarning("ours", VepeWarning, "f.py", 1) == "vepe: ours\n"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\udcffb", "a\\udcffb"),
        ("a\nvepe: b", "a\\nvepe: b"),
        ("a\t\r\u2028b", "a\\t\\r\\u2028b"),
        ("Grüße", "Grüße"),
    ],
)
def test_names_never_act_on_the_terminal(capsys, text: str, printed: str) -> None:
    echo(text, err=True)
    assert capsys.readouterr().err == printed + "\n"
    assert cli.run(["track", text]) == 2
    assert text not in capsys.readouterr().err or text == printed


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_a_name_of_two_lines_is_printed_in_one(tmp_path: Path, capsys, monkeypatch) -> None:
    """In errors, warnings, results and notes: a name must not look like a message."""
    monkeypatch.chdir(tmp_path)
    odd = "a\nvepe: all is well"
    Path(f"{odd}.json").write_text("{")
    Path("table.csv").write_text("")
    assert cli.run(["convert", f"{odd}.json", "b.json", "--to", "coco"]) == 2
    assert cli.run(["convert", "table.csv", f"{odd}/b.json", "--to", "coco"]) == 2
    assert cli.run(["data", "check", odd]) == 2

    def warn(**_: object) -> None:
        warnings.warn(f"'{odd}' is odd", VepeWarning, stacklevel=2)
        raise OSError(errno.EACCES, "denied", odd)

    monkeypatch.setattr(cli, "app", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = _show
        assert cli.run([]) == 2
    printed = capsys.readouterr()
    lines = (printed.err + printed.out).splitlines()
    assert len(lines) == 5
    assert sum("a\\nvepe: all is well" in line for line in lines) >= 4
