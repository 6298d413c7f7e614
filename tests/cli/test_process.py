"""The process of the `vepe` command: its streams, signals and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vepe.cli import process
from vepe.cli.app import run

SOURCE = Path(__file__).parents[2] / "src"


def run_main(code: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Runs `vepe.cli.app.main` in a process of its own, with a command that `code` defines."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom vepe.cli import app\n"
        f"def command(**_):\n    {code}\n    return 0\n"
        "app.app = command\nsys.argv = ['vepe']\napp.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), **options}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_lines_of_libraries_in_c_do_not_stand_next_to_ours() -> None:
    code = "os.write(2, b'libwhatever: odd\\n'); print('vepe: ours', file=sys.stderr)"
    assert run_main(code).stderr == "vepe: ours\n"
    assert "libwhatever: odd" in run_main(code, PYTHONWARNINGS="default").stderr


@pytest.mark.parametrize("kept", [True, False])
def test_an_error_that_a_thread_keeps_for_its_owner_is_not_printed(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Writer(threading.Thread):
        exception: Exception | None = None

        def run(self) -> None:
            error = OSError(28, "full")
            self.exception = error if kept else OSError(5, "an earlier one")
            raise error

    printed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)
    process._hide_reported_errors()
    thread = Writer()
    thread.start()
    thread.join()
    assert len(printed) == (0 if kept else 1)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_signals_end_a_command_as_ctrl_c_does(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    code = (
        "from vepe.formats.files import replacing\n"
        f"    with replacing(Path({str(path)!r})) as partial:\n"
        f"        partial.write_text('half'); os.kill(os.getpid(), signal.{name})"
    )
    result = run_main(code)
    assert (result.returncode, result.stderr) == (130, "")
    assert not list(tmp_path.iterdir())


def test_crashes_are_reported() -> None:
    result = run_main("os.kill(os.getpid(), signal.SIGSEGV)")
    assert result.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in result.stderr


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("MemoryError()", "not enough memory"),
        ('RuntimeError("DefaultCPUAllocator: can\'t allocate memory")', "not enough memory"),
        ("OSError(27, 'File too large')", "too large for its disk"),
    ],
)
def test_lack_of_memory_and_space_is_a_sentence(error: str, says: str) -> None:
    result = run_main(f"raise {error}")
    assert result.returncode == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="other systems keep the current folder")
def test_a_current_folder_that_was_deleted_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    assert run(["models"]) == 2
    assert capsys.readouterr().err == (
        "vepe: The current folder was deleted; change to one that exists.\n"
    )
