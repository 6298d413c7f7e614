"""Tables that are damaged, state more than they hold, or have other separators."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.formats.table import read_csv, read_parquet

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def written(path: Path, rows: int) -> Path:
    names = ("frame_index", "track_id", "nose_x", "nose_y")
    parquet.write_table(arrow.table({name: np.arange(float(rows)) for name in names}), path)
    return path


def test_rows_are_limited_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.parquet", 100)
    assert len(read_parquet(path).frames) == 100
    monkeypatch.setenv("VEPE_MAX_TABLE_CELLS", "300")
    with pytest.raises(VepeError, match="states 400 cells"):
        read_parquet(path)


def test_damaged_bytes_give_a_sentence(tmp_path: Path, rng: np.random.Generator) -> None:
    path = written(tmp_path / "a.parquet", 3)
    good = path.read_bytes()
    for _ in range(200):
        raw = bytearray(good)
        for at in rng.integers(0, len(raw), rng.integers(1, 5)):
            raw[at] = rng.integers(256)
        path.write_bytes(raw)
        with suppress(VepeError):  # anything else is a bug
            read_parquet(path)


@pytest.mark.parametrize(("separator", "called"), [(";", "semicolons"), ("\t", "tabs")])
def test_separators_of_spreadsheets_are_named(separator: str, called: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("frame_index,track_id,nose_x,nose_y\n0,1,2,3\n".replace(",", separator))
    with pytest.raises(VepeError, match=rf"a\.csv has {called} between its columns; save it"):
        read_csv(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space")
def test_little_memory_is_an_error_and_no_crash(tmp_path: Path) -> None:
    code = """
import resource
import pyarrow.parquet
from vepe.formats.columns import load_pyarrow
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 2_000_000,) * 2)
try:
    load_pyarrow()
except MemoryError:
    print("said")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"said\n"
