"""Results in object stores: in memory, and on a server of S3 where one is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3_stores import KINDS, s3
from vepe.errors import VepeError
from vepe.inference.result_info import stored_result_state
from vepe.inference.result_store import ResultStore

pytest.importorskip("fsspec")


@pytest.fixture(params=KINDS)
def system(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What s3:// addresses reach."""
    with s3(request.param) as system:
        yield system


def test_a_result_is_unfinished_until_all_of_it_is_there(system: Any, tmp_path: Path) -> None:
    store = ResultStore.at("S3://bucket/results/")
    assert store.listing() == {}
    assert store.starts([]) == {}
    (tmp_path / "v.json").write_bytes(b"x" * 100_000)
    (tmp_path / "v.csv").write_text("csv")
    (tmp_path / "v_openpose").mkdir()
    for name in ("1.json", "2.json"):
        (tmp_path / "v_openpose" / name).write_text(name)
    paths = [tmp_path / name for name in ("v.json", "v.csv", "v_openpose")]
    store.publish(paths, "v.json", "old")
    assert store.listing() == {"v.json": 100_000, "v.csv": 3, "v_openpose": None}
    starts = store.starts(["v.csv", "v.json", "missing"])
    assert starts["v.csv"] == b"csv"
    assert 4096 < len(starts["v.json"]) < 100_000
    assert "missing" not in starts

    (tmp_path / "v_openpose" / "2.json").unlink()
    (tmp_path / "v.csv").unlink()  # its upload fails: the old JSON must not stand next to others
    with pytest.raises(VepeError, match=r"'s3://bucket/results/v\.csv' cannot be written"):
        store.publish(paths, "v.json", "new")
    for key, state in (("new", "unfinished"), ("old", "different")):
        start = store.starts(["v.json"])["v.json"]
        assert stored_result_state("v.json", key, ["v.csv"], start, store.listing()) == state
    assert json.loads(store.read("v.json"))["annotations"] == []
    (tmp_path / "v.csv").write_text("new")
    store.publish(paths, "v.json", "new")
    assert store.read("v.csv") == b"new"
    assert store.exists("v_openpose/1.json")
    assert not store.exists("v_openpose/2.json")
    store.remove("v_openpose")
    store.remove("v_openpose")
    assert set(store.listing()) == {"v.json", "v.csv"}


def test_objects_of_another_process_are_seen(system: Any) -> None:
    """What a driver has listed before is not remembered."""
    store = ResultStore.at("s3://bucket/results")
    store.write("first", b"1")
    assert set(store.listing()) == {"first"}
    assert not store.exists("second")
    system.pipe_file("s3://bucket/results/second", b"2")
    assert set(store.listing()) == {"first", "second"}
    assert store.exists("second")
    system.rm_file("bucket/results/second")
    assert not store.exists("second")


def test_writing_is_tried_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("Access Denied")

    with s3("memory") as system:
        store = ResultStore.at("s3://bucket/results")
        store.check_writable()
        assert store.listing() == {}
        monkeypatch.setattr(type(system), "pipe_file", refuse)
        denied = r"cannot be written \(PermissionError: Access Denied\); check the address, the rig"
        with pytest.raises(VepeError, match=denied):
            store.check_writable()


@pytest.mark.parametrize("address", ["s3://", "s3:///", "s3://bucket/*"])
def test_addresses_that_are_no_folder(address: str) -> None:
    with pytest.raises(VepeError, match="is no folder for results; give one such as s3://BUCKET"):
        ResultStore.at(address)


def test_a_missing_object(system: Any) -> None:
    with pytest.raises(VepeError, match=r"There is no 's3://bucket/r/none'; check"):
        ResultStore.at("s3://bucket/r").read("none")
