"""Atomic files and folders, and the guarded image opener."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vepe.errors import VepeError
from vepe.formats.files import replacing_folder, write_bytes
from vepe.video.images import open_image, read_image


def _old(folder: Path) -> Path:
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    return folder


def test_folder_is_replaced_without_leftovers(tmp_path: Path) -> None:
    folder = _old(tmp_path / "out")
    with replacing_folder(folder) as beside:
        (beside / "new.txt").write_text("new")
    assert [p.name for p in folder.iterdir()] == ["new.txt"]
    assert list(tmp_path.iterdir()) == [folder]


def test_failed_rename_restores_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _old(tmp_path / "out")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
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
    with pytest.raises(VepeError, match="not a picture"):
        read_image(path)


def test_pixel_limit_holds_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("1", (20, 20)).save(path)
    with pytest.raises(VepeError, match="limit of 100"):
        open_image(path, max_pixels=100)
