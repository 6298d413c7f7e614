"""Entries of docstrings that name several things at once, as the API pages show them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

griffe = pytest.importorskip("griffe")
ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # `docs.generator` is no part of the package

from docs.generator.shared_entries import SharedEntries  # noqa: E402

MODULE = '''
class Score:
    """A score, in short: one.

    Attributes:
        ap, ap50: precision over all limits,
            at 0.50: the loosest.
        names: of the joints.
        images, people: what was counted.
        other, kept: set elsewhere.
        unknown: set elsewhere, too.
    """

    ap: float
    ap50: float
    names: list[str]
    images: int
    people: float


def size(width: int, height: int, *, scale: float) -> None:
    """Sizes.

    width, height: a line of prose.

    Args:
        width, height: in pixels.
        scale: of both.
    """
'''


def test_entries_have_their_own_types(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(MODULE)
    module = griffe.load(
        "sample",
        search_paths=[tmp_path],
        extensions=griffe.load_extensions(SharedEntries),
        docstring_parser="google",
    )
    for name, expected in {
        "Score": [
            ("ap, ap50", "float"),
            ("names", "list[str]"),
            ("images, people", "int or float"),
            ("other, kept", ""),
            ("unknown", ""),
        ],
        "size": [("width, height", "int"), ("scale", "float")],
    }.items():
        section = module[name].docstring.parsed[-1]
        entries = [
            (e.name.replace("\N{NO-BREAK SPACE}", " "), str(e.annotation)) for e in section.value
        ]
        assert entries == expected
    assert "width, height: a line of prose" in module["size"].docstring.value
