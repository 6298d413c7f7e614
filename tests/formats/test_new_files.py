"""Two runs at a time that write the same results: none replaces what the other has written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vepe import partial_files
from vepe.errors import VepeError
from vepe.formats.files import (
    check_repeatable,
    check_targets,
    replacing_folder,
    replacing_named,
    write_bytes,
)
from vepe.inference.track_job import TrackJob
from vepe.results.render import check_output
from vepe.video.writer import VideoWriter


def _no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_files, "_rename_with", lambda *_: errno.EINVAL)


def _no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    _no_flags(monkeypatch)
    monkeypatch.setattr(os, "link", link)


def _folder(path: Path) -> None:
    with replacing_folder(path) as partial:
        (partial / "mine").write_text("mine")


def _named(path: Path) -> None:
    with replacing_named(path, ".slp") as named:
        named.write_text("mine")


def _video(path: Path) -> None:
    with VideoWriter(path, width=32, height=32, fps=25) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8), 0.0)


WRITERS: dict[str, Callable[[Path], object]] = {
    "file": lambda path: write_bytes(path, b"mine"),
    "named": _named,
    "folder": _folder,
    "video": _video,
}


@pytest.mark.parametrize("system", [lambda _: None, _no_flags, _no_links])
@pytest.mark.parametrize("kind", WRITERS)
def test_what_another_process_wrote_stays(
    kind: str,
    system: Callable[[pytest.MonkeyPatch], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system(monkeypatch)
    target = tmp_path / "result.mp4"
    check_targets([target], [])
    other = target / "theirs" if kind == "folder" else target
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"theirs")
    with pytest.raises(VepeError, match=r"was written by another process .* add --overwrite"):
        WRITERS[kind](target)
    assert other.read_bytes() == b"theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["result.mp4"]

    check_targets([target], [], overwrite=True)
    WRITERS[kind](target)
    assert not other.exists() or other.read_bytes() != b"theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["result.mp4"]


@pytest.mark.parametrize("system", [lambda _: None, _no_flags, _no_links])
@pytest.mark.parametrize("kind", WRITERS)
def test_own_results_may_be_written_again(
    kind: str,
    system: Callable[[pytest.MonkeyPatch], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system(monkeypatch)
    target = tmp_path / "result.mp4"
    check_targets([target], [])
    for _ in range(2):  # a state that is written several times
        WRITERS[kind](target)
        assert [p.name for p in tmp_path.iterdir()] == ["result.mp4"]


@pytest.mark.parametrize(
    "check",
    [
        lambda path, overwrite: TrackJob(path.parent, path.stem, overwrite=overwrite).check(None),
        lambda path, overwrite: check_output(path, overwrite=overwrite),
    ],
)
def test_every_check_before_the_work_notes_it(
    check: Callable[[Path, bool], None], tmp_path: Path
) -> None:
    target = tmp_path / "a.mp4"
    check(target, False)
    target.write_bytes(b"theirs")
    with pytest.raises(VepeError, match="was written by another process"):
        write_bytes(target, b"mine")
    check(target, True)
    write_bytes(target, b"mine")
    assert target.read_bytes() == b"mine"


def test_a_link_that_leads_nowhere_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.symlink_to("nowhere")
    check_targets([target], [])
    write_bytes(target, b"mine")
    assert target.read_bytes() == b"mine"
    assert not target.is_symlink()


def test_a_second_name_of_a_killed_write_is_removed(tmp_path: Path) -> None:
    """Where a file is linked to its name, a kill before the next step leaves both names."""
    (tmp_path / "a").write_bytes(b"whole")
    os.link(tmp_path / "a", tmp_path / f".a{partial_files.SUFFIX}")
    partial_files._cleaned.discard(tmp_path)
    write_bytes(tmp_path / "a", b"next")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"next"


def test_scores_replace_those_that_were_there_before(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    for content in (b"first", b"second"):
        check_repeatable(target)
        write_bytes(target, content)
    target.unlink()
    check_repeatable(target)
    target.write_text("theirs")
    with pytest.raises(VepeError, match=r"and stays; run the command again to replace it, or"):
        write_bytes(target, b"mine")
    assert target.read_text() == "theirs"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("a.json", "./a.json"), r"Two results would be written to '.*a\.json'; name another"),
        (("a", "a/b.json"), "A result would lie in another, '.*a'; name a place outside"),
        (("link/b.json", "a/b.json"), "Two results would be written to"),
        (("a/b.json", "a/c.json", "/dev/null", "/dev/null"), ""),
    ],
)
def test_results_of_one_command_are_apart(
    names: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("a")
    targets = [tmp_path / name for name in names]
    if says:
        with pytest.raises(VepeError, match=says):
            check_targets(targets, [], overwrite=True)
    else:
        check_targets(targets, [])
