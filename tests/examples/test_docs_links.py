"""Pages of the docs: links lead somewhere, and each page is reachable from the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def links(page: Path) -> list[tuple[Path, str]]:
    """Files that a page links to, with the heading after `#` or an empty text."""
    found = re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text("utf-8"))
    parts = [link.partition("#") for link in found]
    return [((page.parent / path).resolve() if path else page, name) for path, _, name in parts]


def headings(page: Path) -> set[str]:
    """As the addresses that a forge gives them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, name in links(page):
        assert target.exists(), target
        assert not name or name in headings(target), f"{target.name}#{name}"


def test_every_page_is_reachable_from_the_readme() -> None:
    linked = {target for target, _ in links(PAGES[0])}
    assert [page.name for page in PAGES[1:] if page not in linked] == []
