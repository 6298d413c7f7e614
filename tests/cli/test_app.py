"""The frame around every command: one line and exit code 2 for what a user can mend."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vepe
from vepe.cli import app as cli
from vepe.errors import VepeError

SOURCE = Path(cli.__file__).parents[2]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Makes every command line end in the given exception."""

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
        (["track"], "Missing argument 'source'. Try 'vepe track --help'."),
        (["data", "nosuch"], "No such command 'nosuch'. Try 'vepe data --help'."),
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
        (VepeError("Two lines\n  become one."), "Two lines become one."),
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


@pytest.mark.parametrize("bug", [ValueError("ours"), OSError(errno.EIO, "odd"), KeyError("k")])
def test_bugs_keep_their_traceback(bug, failing) -> None:
    failing(bug)
    with pytest.raises(type(bug)):
        cli.run([])


def test_interruption_is_130(failing, capsys) -> None:
    failing(KeyboardInterrupt())
    assert cli.run([]) == 130
    assert capsys.readouterr().err == ""


def test_no_arguments_print_the_help_alone(capsys) -> None:
    assert cli.run([]) == 2
    captured = capsys.readouterr()
    assert "Usage" in captured.out + captured.err
    assert "vepe: " not in captured.err


@pytest.mark.parametrize("start", [["-m", "vepe"], ["-c", "from vepe.cli.app import main; main()"]])
def test_the_process_prints_its_version(start: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, *start, "--version"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, f"vepe {vepe.__version__}\n")


def test_the_process_fails_without_a_traceback() -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "vepe", "doctor", "--nosuch"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "vepe: No such option: --nosuch. Try 'vepe doctor --help'.\n"


def test_every_command_has_its_place_in_the_help(capsys) -> None:
    assert cli.run(["--help"]) == 0
    listed = [
        line.split()[1]
        for line in capsys.readouterr().out.split("Commands")[1].splitlines()[1:]
        if line[2:3].isalpha()
    ]
    assert listed == cli.ORDER
