"""Atomic files and folders, and the guarded image opener."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vepe import partial_files
from vepe.errors import VepeError
from vepe.formats import files
from vepe.formats.files import (
    check_targets,
    replacing,
    replacing_folder,
    replacing_named,
    write_bytes,
)
from vepe.video.images import open_image, read_image
from vepe.video.writer import VideoWriter


def _old(folder: Path) -> Path:
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    return folder


def test_folder_is_replaced_without_leftovers(tmp_path: Path) -> None:
    folder = _old(tmp_path / "out")
    with replacing_folder(folder) as partial:
        (partial / "new.txt").write_text("new")
    assert [p.name for p in folder.iterdir()] == ["new.txt"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_signal_waits_until_the_old_folder_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _old(tmp_path / "out")
    rmtree = files.shutil.rmtree

    def interrupted(path: Path, **options: bool) -> None:
        signal.raise_signal(signal.SIGINT)
        rmtree(path, **options)

    monkeypatch.setattr(files.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing_folder(folder) as partial:
        (partial / "new.txt").write_text("new")
    assert [p.name for p in folder.iterdir()] == ["new.txt"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_loop_of_links_is_replaced(tmp_path: Path) -> None:
    loop = tmp_path / "a.json"
    loop.symlink_to("a.json")
    check_targets([loop], [loop.with_name("b.json")])
    write_bytes(loop, b"data")
    assert loop.read_bytes() == b"data"


def test_a_folder_that_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VepeError, match="is a file, not a folder"):
        check_targets([tmp_path / "file" / "a" / "b.json"], [])
    check_targets([tmp_path / "new" / "b.json"], [])
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may everywhere
    for target in ("b.json", "new/folder/b.json"):
        with pytest.raises(VepeError, match="may not be written to; change its rights"):
            check_targets([tmp_path / target], [])


@pytest.mark.skipif(os.name != "posix", reason="devices have other names")
def test_devices_and_pipes_get_the_content_and_stay(tmp_path: Path, capfd) -> None:
    null, pipe = tmp_path / "null.json", tmp_path / "pipe.json"
    null.symlink_to("/dev/null")
    os.mkfifo(pipe)
    check_targets([null, pipe, Path("/dev/stdout")], [])  # as they are there already
    write_bytes(null, b"data")
    assert null.is_symlink()
    with pytest.raises(VepeError, match=r"pipe\.json cannot be written"):
        write_bytes(pipe, b"nobody reads this")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(pipe, b"data")
    assert os.read(reader, 100) == b"data"
    os.close(reader)
    write_bytes(Path("/dev/stdout"), b"to the standard output")
    assert capfd.readouterr().out == "to the standard output"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["null.json", "pipe.json"]
    with pytest.raises(VepeError, match="no regular file"):
        VideoWriter(null, width=64, height=48, fps=25)


def test_a_hidden_file_with_an_ending_is_cleaned_up_too(tmp_path: Path) -> None:
    with replacing_named(tmp_path / "a", ".slp") as named:
        assert named.suffix == ".slp"
        named.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    code = """
import os, sys
from pathlib import Path
from vepe.formats.files import replacing_named
with replacing_named(Path("b"), ".slp") as named:
    named.write_text("half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert len(list(tmp_path.iterdir())) == 3  # the file, and what the killed process left
    partial_files._cleaned.discard(tmp_path)
    write_bytes(tmp_path / "c", b"another")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "c"]


def test_failed_rename_restores_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _old(tmp_path / "out")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith("-part"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr("vepe.formats.files.exchange", lambda first, second: False)
    with pytest.raises(VepeError), replacing_folder(folder):
        pass
    assert (folder / "old.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_folder_left_aside_by_a_kill_is_restored(tmp_path: Path) -> None:
    _old(tmp_path / ".out.vepe-old")
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "out"):
        raise RuntimeError
    assert (tmp_path / "out" / "old.txt").is_file()


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_bytes_to(tmp_path / "a.jpg", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(VepeError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def write_bytes_to(path: Path, data: bytes) -> Path:
    write_bytes(path, data)
    return path


def test_eps_named_jpg_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, "EPS")
    with pytest.raises(VepeError, match="not an image"):
        read_image(path)


def test_pixel_limit_holds_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEPE_MAX_PIXELS", "100")
    path = tmp_path / "a.png"
    Image.new("1", (20, 20)).save(path)
    with pytest.raises(VepeError, match="VEPE_MAX_PIXELS to more than 100"):
        open_image(path)


def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    for name in (".a.json.vepe-part", ".a.json.1.vepe-part", ".a.json.7.vepe-part"):
        (tmp_path / name).write_bytes(b"left" * 100)
    (tmp_path / ".out.vepe-part").mkdir()
    (tmp_path / ".out.vepe-part" / "left.txt").write_text("left")
    write_bytes(tmp_path / "a.json", b"new")
    with replacing_folder(tmp_path / "out") as partial:
        (partial / "new.txt").write_text("new")
    assert (tmp_path / "a.json").read_bytes() == b"new"
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        "a.json", "out", "out/new.txt",
    ]  # fmt: skip


def test_what_a_killed_process_left_goes_at_the_next_write_of_any_target(tmp_path: Path) -> None:
    (tmp_path / ".old.mp4.vepe-part").write_bytes(b"left")
    (tmp_path / ".mine.part").write_bytes(b"of another program")
    with replacing(tmp_path / "in_use") as partial:
        write_bytes(tmp_path / "other.json", b"new")
        assert partial.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine.part", "in_use", "other.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_folders_change_places_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _old(tmp_path / "out")
    monkeypatch.setattr(Path, "rename", None)
    with replacing_folder(folder) as partial:
        (partial / "new.txt").write_text("new")
    assert [p.name for p in folder.iterdir()] == ["new.txt"]
    assert list(tmp_path.iterdir()) == [folder]


def test_writers_of_one_target_do_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
        assert first.read_text() == "first"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_process_killed_while_writing_leaves_nothing_for_long(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    code = (
        "import os, pathlib, signal\nfrom vepe.formats.files import replacing\n"
        f"with replacing(pathlib.Path({str(path)!r})) as partial:\n"
        "    partial.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False)
    assert result.returncode == -signal.SIGKILL
    assert [p.name for p in tmp_path.iterdir()] == [".a.json.vepe-part"]
    write_bytes(path, b"whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_without_locks_names_are_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vepe.partial_files.fcntl", None)
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "a") as second:
        assert first != second
        first.write_text("first")
    with replacing_folder(tmp_path / "out"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "out"]


def test_link_in_the_place_of_the_hidden_file_is_not_followed(tmp_path: Path) -> None:
    other = write_bytes_to(tmp_path / "other", b"mine")
    (tmp_path / ".a.vepe-part").symlink_to(other)
    write_bytes(tmp_path / "a", b"new")
    assert other.read_bytes() == b"mine"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_short_write_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_bytes_to(tmp_path / "a", b"old")

    def short(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            return file.write(data[:2])

    monkeypatch.setattr(Path, "write_bytes", short)
    with pytest.raises(VepeError, match="only a part"):
        write_bytes(path, b"new content")
    assert path.read_bytes() == b"old"


def failing_write(path: Path) -> None:
    with replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_while_the_hidden_file_is_made_or_removed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """The signal arrives in another thread, which no mask of this one can delay."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name in ("_set_mode", "_delete"):
            step = getattr(partial_files, name)

            def interrupted(*arguments: object, step: Callable[..., None] = step) -> None:
                thread = threading.Thread(target=os.kill, args=(os.getpid(), number))
                thread.start()
                thread.join()
                step(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(partial_files, name, interrupted)
                with pytest.raises(KeyboardInterrupt):
                    failing_write(tmp_path / "a")
            assert not list(tmp_path.iterdir())
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
