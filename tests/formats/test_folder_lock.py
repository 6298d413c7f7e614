"""Two runs at a time do not write into one folder."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vepe.errors import VepeError
from vepe.formats import folder_lock
from vepe.formats.files import write_bytes
from vepe.formats.folder_lock import NAME, locked_folder
from vepe.partial_files import SUFFIX

_REFUSED = r"^Another run writes into '.*run' .* another folder\.$"
_HOLDER = """
import os, sys, time
from pathlib import Path
from vepe.formats.folder_lock import locked_folder
with locked_folder(Path(sys.argv[1])):
    if len(sys.argv) > 2 and os.fork() == 0:
        time.sleep(60)
    print("held", flush=True)
    time.sleep(60)
"""


def _holder(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Another process that holds the folder."""
    command = [sys.executable, "-c", _HOLDER, str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_run_is_one_sentence_and_ends_no_lock(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    holder = _holder(folder)
    for _ in range(2):
        with pytest.raises(VepeError, match=_REFUSED), locked_folder(folder):
            pytest.fail("both hold it")
    write_bytes(folder / "log", b"")  # this process removes what killed runs left, but no lock
    assert (folder / NAME).exists()
    holder.kill()
    holder.wait()


@pytest.mark.parametrize("options", [(), ("with a worker",)])
def test_a_killed_run_blocks_no_other(tmp_path: Path, options: tuple[str, ...]) -> None:
    holder = _holder(tmp_path, *options)
    holder.kill()
    holder.wait()
    try:
        assert (tmp_path / NAME).exists()
        with locked_folder(tmp_path):
            assert (tmp_path / NAME).exists()
        assert not list(tmp_path.iterdir())
    finally:
        if options:
            os.killpg(holder.pid, signal.SIGKILL)


def test_a_folder_that_stays_empty_is_removed(tmp_path: Path) -> None:
    for content in ("", "result"):
        with locked_folder(tmp_path / "a" / "b"):
            if content:
                (tmp_path / "a" / "b" / "result").write_text(content)
        assert bool(list(tmp_path.iterdir())) == bool(content)
    with locked_folder(tmp_path / "a" / "b"):
        pass
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["result"]


def _no_locks(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def flock(handle: int, flags: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_lock.fcntl, "flock", flock)


def _no_fcntl(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(folder_lock, "fcntl", None)


def _a_folder_in_its_place(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / NAME).mkdir()


def _a_file_is_in_the_way(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    folder.rmdir()
    folder.write_text("mine")


@pytest.mark.parametrize(
    "trouble", [_no_locks, _no_fcntl, _a_folder_in_its_place, _a_file_is_in_the_way]
)
def test_where_nothing_can_be_held_nothing_breaks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[pytest.MonkeyPatch, Path], None],
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    trouble(monkeypatch, folder)
    before = sorted(tmp_path.rglob("*"))
    for _ in range(2):
        with locked_folder(folder):
            assert sorted(tmp_path.rglob("*")) == before
    assert sorted(tmp_path.rglob("*")) == before


def test_the_end_of_the_other_run_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It removes its file between the two steps by which this one opens and locks it."""
    assert folder_lock.fcntl is not None
    flock, calls = folder_lock.fcntl.flock, []

    def slow(handle: int, flags: int) -> None:
        if not calls:
            (tmp_path / NAME).unlink()
        calls.append(handle)
        flock(handle, flags)

    monkeypatch.setattr(folder_lock.fcntl, "flock", slow)
    with locked_folder(tmp_path):
        assert len(calls) == 2
        assert (tmp_path / NAME).exists()
    assert not list(tmp_path.iterdir())


def test_it_is_removed_where_deleting_fails_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink, failed = Path.unlink, []

    def full(path: Path, *, missing_ok: bool = False) -> None:
        if not failed:
            failed.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        unlink(path, missing_ok=missing_ok)

    with locked_folder(tmp_path):
        monkeypatch.setattr(Path, "unlink", full)
    assert failed
    assert not list(tmp_path.glob(f"*{SUFFIX}"))
