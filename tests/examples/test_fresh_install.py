"""`benchmarks/fresh_install.py` adds up the files of what is installed, without installing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fresh_install.py"


def _installed(site: Path, name: str, files: dict[str, int]) -> None:
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir()
    for file, size in files.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_bytes(b"0" * size)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, f"{name}/gone.py"]))


def test_sizes_of_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("fresh_install", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fresh_install", script)
    spec.loader.exec_module(script)
    _installed(tmp_path, "small", {"small/a.py": 1000, "small/__pycache__/a.cpython-311.pyc": 500})
    _installed(tmp_path, "large", {"large/b.so": 4_000_000, "large.libs/c.so": 1_000_000})
    _installed(tmp_path, "pip", {"pip/d.py": 9_000_000})
    sizes = script.packages(tmp_path)
    assert [(s.name, s.files_mb, s.bytecode_mb) for s in sizes] == [
        ("large", pytest.approx(5.0), 0.0),
        ("small", pytest.approx(0.001), pytest.approx(0.0005)),
    ]
    script.print_sizes(sizes)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:-2] for line in lines] == [["MB"], ["large"], ["1", "others"], ["all"]]
    assert lines[-1] == ["all", "5.0", "0.0"]
