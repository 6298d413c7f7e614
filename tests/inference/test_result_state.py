"""What earlier results say of themselves, without being read whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vepe.inference import result_info
from vepe.inference.result_info import result_state


def written(folder: Path, **info: object) -> Path:
    """A result as `vepe track` writes it."""
    block = json.dumps({"key": "k", "complete": True, "files": {}, **info})
    path = folder / "v.json"
    path.write_text(f'{{"info": {block}, "images": [], "categories": [{{"id": 1}}]}}\n')
    return path


@pytest.mark.parametrize(
    ("info", "state"),
    [
        ({}, "done"),
        ({"complete": False}, "unfinished"),
        ({"key": "other"}, "different"),
        ({"files": {"v.csv": 3}}, "done"),
    ],
)
def test_the_start_is_enough(info, state, tmp_path: Path, monkeypatch) -> None:
    path = written(tmp_path, **info)
    monkeypatch.setattr(result_info, "load_json", None)  # it would be called otherwise
    assert result_state(path, "k", []) == state


def test_other_layouts_are_read_whole(tmp_path: Path) -> None:
    path = written(tmp_path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({"images": [], "info": document["info"]}, indent=1))
    assert result_state(path, "k", []) == "done"
    path.write_text(json.dumps({"info": {**document["info"], "names": ["n" * 70_000]}}))
    assert result_state(path, "k", []) == "done"


def test_a_result_that_is_cut_off_is_another(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    assert result_state(path, "k", []) == "different"


def test_a_file_of_the_result_is_missing(tmp_path: Path) -> None:
    path = written(tmp_path, files={"v.csv": 3})
    assert result_state(path, "k", [tmp_path / "v.csv"]) == "unfinished"
    (tmp_path / "v.csv").write_bytes(b"abc")
    assert result_state(path, "k", [tmp_path / "v.csv"]) == "done"
