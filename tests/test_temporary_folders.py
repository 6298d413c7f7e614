"""Temporary folders of killed processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vepe.temporary_folders import temporary_folder

pytest.importorskip("fcntl")
HOLD = """
import subprocess, sys
from pathlib import Path
from vepe.temporary_folders import temporary_folder
with temporary_folder("own-", Path(sys.argv[1])) as folder:
    (folder / "file").touch()
    child = subprocess.Popen(["sleep", "60"])
    print(child.pid, folder, flush=True)
    sys.stdin.read()
"""


def test_only_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    """Though a program that the killed one started, like Ray's, lives on."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        child, _, name = process.stdout.readline().partition(" ")
        held = Path(name.strip())
        (tmp_path / "other-1").mkdir()
        (tmp_path / "own-file").touch()
        (tmp_path / "own-link").symlink_to(tmp_path / "other-1")
        with temporary_folder("own-", tmp_path) as own:
            assert (held / "file").exists()
            process.kill()
            process.wait()
            assert held.exists()
            with temporary_folder("own-", tmp_path) as second:
                assert not held.exists()
                assert {own.name, second.name, "other-1", "own-file", "own-link"} == {
                    path.name for path in tmp_path.iterdir()
                }
        os.kill(int(child), signal.SIGKILL)
    assert {path.name for path in tmp_path.iterdir()} == {"other-1", "own-file", "own-link"}


def test_a_folder_that_was_taken_for_abandoned_is_made_again(tmp_path: Path, monkeypatch) -> None:
    """Another process may delete it between its creation and its lock."""
    from vepe import temporary_folders

    lock, taken = temporary_folders._lock, []

    def too_late(path: Path) -> int | None:
        if not taken:
            taken.append(path)
            path.rmdir()
        return lock(path)

    monkeypatch.setattr(temporary_folders, "_lock", too_late)
    with temporary_folder("own-", tmp_path) as folder:
        assert folder != taken[0]
        assert folder.exists()


def test_errors_delete_it_too(tmp_path: Path) -> None:
    def fail() -> None:
        with temporary_folder("own-", tmp_path) as folder:
            (folder / "inside").mkdir()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())
