"""The examples in docs/interoperability.md run where their libraries are installed."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from vepe.cli.app import run

ROOT = Path(__file__).parents[2]
POSES = ROOT / "tests" / "formats" / "data" / "pt18_000902_mpii_test.json"
TEXT = (ROOT / "docs" / "interoperability.md").read_text("utf-8")
BLOCKS = {block.splitlines()[0]: block for block in re.findall(r"```python\n(.*?)```", TEXT, re.S)}
# Needs a camera and a window; needs a database.
NOT_RUN = ("import rerun as rr", "import fiftyone as fo")


def packages(code: str) -> set[str]:
    """The packages that an example imports."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TEXT, re.S))
def test_examples_run(code, tmp_path, monkeypatch, capsys) -> None:
    if any(first in code for first in NOT_RUN):
        pytest.skip("needs a camera or a database; only parsed")
    called = {"to_pandas": "pandas", "to_xarray": "xarray", "to_sleap": "sleap_io"}
    for package in packages(code) | {p for name, p in called.items() if name in code}:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "walk.json").write_bytes(POSES.read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "interoperability.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [*re.findall(r"`(vepe convert out/walk\.json [^`]+)`", TEXT), "label-studio"]
)
def test_conversions_run(command, tmp_path, monkeypatch) -> None:
    from vepe.formats.conversion import ENDINGS
    from vepe.formats.tracks import EXTRAS

    words = command.split()[1:]
    if command == "label-studio":
        assert "vepe convert out/walk.json walk.tasks.json --to label-studio" in TEXT
        words = ["convert", "out/walk.json", "walk.tasks.json", "--to", "label-studio"]
    package, _ = EXTRAS.get(ENDINGS[Path(words[2]).suffix], ("json", ""))
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "walk.json").write_bytes(POSES.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert run(words) == 0
    assert (tmp_path / words[2]).stat().st_size > 0
