"""Videos in object stores, with fsspec's own file system in memory in place of S3."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from s3_stores import s3_in_memory
from vepe.errors import VepeError
from vepe.inference.result_info import RunInfo
from vepe.video import remote_files
from vepe.video.remote_files import LocalCopies, is_remote_file, list_remote
from vepe.video.sources import NamedSource, list_sources

fsspec = pytest.importorskip("fsspec")
REGISTRY = import_module("fsspec.registry")._registry


@pytest.fixture
def store() -> Iterator[object]:
    """What s3:// addresses read."""
    with s3_in_memory() as system:
        for name in ("b/day/2.mp4", "b/day/1.mp4", "b/day/notes.txt", "b/other.mov"):
            system.pipe_file(f"s3://{name}", name.encode())
        yield system


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("s3://b/other.mov", ["s3://b/other.mov"]),
        ("s3://b/missing.mp4", ["s3://b/missing.mp4"]),  # fails when it is fetched
        ("s3://b/day", ["s3://b/day/1.mp4", "s3://b/day/2.mp4"]),
        ("s3://b/*/*.mp4", ["s3://b/day/1.mp4", "s3://b/day/2.mp4"]),
    ],
)
def test_listing(address: str, names: list[str], store: object) -> None:
    assert is_remote_file(address)
    assert list_remote(address) == names
    listed = list_sources([address])
    assert [source.source for source in listed.sources] == names
    assert listed.several == (names != [address])


def test_a_list_with_addresses(store: object, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("s3://b/day\ns3://b/other.mov\n")
    listed = list_sources([str(tmp_path / "list.txt")])
    assert [source.name for source in listed.sources] == ["1", "2", "other"]
    assert all(source.path is None for source in listed.sources)


def test_nothing_there(store: object) -> None:
    with pytest.raises(VepeError, match=r"No video lies at 's3://b/\*\.avi'"):
        list_remote("s3://b/*.avi")
    with pytest.raises(VepeError, match="There is no 's3://nowhere'"):
        list_remote("s3://nowhere")


def test_a_copy_lives_until_the_next(store: object) -> None:
    copies = LocalCopies()
    first = NamedSource("s3://b/other.mov", "other")
    with copies.of(first) as copy:
        path = Path(copy.location)
        assert path.read_bytes() == b"b/other.mov"
        assert path.name == "other.mov"
        assert copy.path is None
        key = RunInfo("m", "0", {}).key
        assert key(copy) == key(first)
    with copies.of(first) as again:
        assert Path(again.location) == path
    with copies.of(NamedSource("s3://b/day/1.mp4", "1")) as other:
        assert not path.exists()
    copies.close()
    assert not Path(other.location).exists()


def test_what_cannot_be_fetched(store: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(address: str) -> None:
        with LocalCopies().of(NamedSource(address, "name")):
            pass

    with pytest.raises(VepeError, match=r"There is no 's3://b/none\.mp4'"):
        fetch("s3://b/none.mp4")
    usage = remote_files.shutil.disk_usage
    monkeypatch.setattr(
        remote_files.shutil, "disk_usage", lambda path: usage(path)._replace(free=3)
    )
    with pytest.raises(VepeError, match=r"There is no space for the 0 MB of 's3://b/other\.mov'"):
        fetch("s3://b/other.mov")


def test_errors_name_the_address(store: object) -> None:
    def fail(copies: LocalCopies) -> None:
        with copies.of(NamedSource("s3://b/other.mov", "other")) as copy:
            raise VepeError(f"'{copy.location}' is damaged.")

    copies = LocalCopies()
    with pytest.raises(VepeError, match=r"^'s3://b/other\.mov' is damaged\.$"):
        fail(copies)
    copies.close()


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    REGISTRY.pop("gs", None)
    with pytest.raises(VepeError, match="needs the package gcsfs on every machine"):
        list_remote("gs://bucket/folder")


def test_local_sources_stay(tmp_path: Path) -> None:
    source = NamedSource(str(tmp_path), "x")
    with LocalCopies().of(source) as same:
        assert same is source
