"""`vepe synth`: its options and what it says."""

from __future__ import annotations

import sys

import pytest

from vepe.cli.app import run
from vepe.errors import VepeError
from vepe.formats.folder_lock import locked_folder
from vepe_synth.gl import open_context


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--size", "640"], "--size is '640'; write it as 640x384."),
        (["--size", "10x10"], "width:"),
        (["--people", "many"], "--people is 'many'; write it as 1-6."),
        (["--people", "6-1"], "people_min is above people_max"),
        (["--people", "0-3"], "people"),
        (["--frames", "0"], "frames:"),
        (["--blur", "1.5"], "blur_share:"),
        (["--avatars", "nowhere.tar"], "nowhere.tar"),
        (["--on", "slurm"], "--on is 'slurm'; the only kind of cluster is ray."),
        (["--address", "auto"], "--address is for clusters; add --on ray."),
        (["--backgrounds", "nowhere"], "There is no folder nowhere"),
    ],
)
def test_wrong_options_are_one_sentence(options, text, tmp_path, capsys) -> None:
    assert run(["synth", str(tmp_path / "out"), "--videos", "1", *options]) == 2
    error = capsys.readouterr().err.strip()
    assert text in error
    assert error.count("\n") == 0
    assert not (tmp_path / "out" / "images").exists()


def test_two_runs_at_a_time_do_not_share_a_folder(tmp_path, capsys) -> None:
    with locked_folder(tmp_path):
        assert run(["synth", str(tmp_path), "--videos", "1"]) == 2
    assert "Another run writes into" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_missing_package_names_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(VepeError, match=r"pip install '\.\[synth\]'"):
        open_context()


def test_missing_driver_names_what_to_install(monkeypatch) -> None:
    moderngl = pytest.importorskip("moderngl")

    def no_driver(**_: object) -> None:
        raise Exception("(detect_all) libEGL.so.1 not found")

    monkeypatch.setattr(moderngl, "create_context", no_driver)
    with pytest.raises(VepeError, match=r"libEGL.* apt-get install libegl1 libgl1-mesa-dri"):
        open_context()
