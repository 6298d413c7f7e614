"""Paths that come from data never leave their root."""

from pathlib import Path

import pytest

from vepe.errors import VepeError
from vepe.evaluation.run_model import image_paths
from vepe.formats.data_paths import path_inside


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a", "a/../../b", "C:\\x", "..\\x", "a\0b", "\ud800"]
)
def test_names_that_leave_the_root_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(VepeError, match="leads out"):
        path_inside(tmp_path, name)


def test_symlink_out_of_the_root_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"1")
    (root / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(VepeError, match="leads out"):
        image_paths(root, ["a.jpg"])


def test_symlink_within_the_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(b"1")
    (tmp_path / "a.jpg").symlink_to("b.jpg")
    assert image_paths(tmp_path, ["a.jpg"]) == [tmp_path / "a.jpg"]
