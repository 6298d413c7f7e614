"""The conversions that docs/interoperability.md names in its text run; its blocks run elsewhere."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from vepe.cli.app import run
from vepe.formats.conversion import ENDINGS
from vepe.formats.tracks import EXTRAS

ROOT = Path(__file__).parents[2]
POSES = ROOT / "tests" / "formats" / "data" / "pt18_000902_mpii_test.json"
TEXT = (ROOT / "docs" / "interoperability.md").read_text("utf-8")


@pytest.mark.parametrize("command", re.findall(r"`(vepe convert out/walk\.json [^`]+)`", TEXT))
def test_conversions_run(command, tmp_path, monkeypatch) -> None:
    words = command.split()[1:]
    package, _ = EXTRAS.get(ENDINGS[Path(words[2]).suffix], ("json", ""))
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "walk.json").write_bytes(POSES.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert run(words) == 0
    assert (tmp_path / words[2]).stat().st_size > 0
