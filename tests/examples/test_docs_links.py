"""Pages: links lead somewhere, and each page is in the site's navigation and reachable by links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from doc_blocks import PAGES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def links(page: Path) -> list[tuple[Path, str]]:
    """Files that a page links to, with the heading after `#` or an empty text."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)
    parts = [link.partition("#") for link in found]
    return [((page.parent / path).resolve() if path else page, name) for path, _, name in parts]


def headings(page: Path) -> set[str]:
    """As the addresses that a forge gives them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def is_generated(page: Path) -> bool:
    """Whether headings of the page exist only on the site, whose strict build checks them."""
    return "<!-- generated: " in page.read_text("utf-8")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, name in links(page):
        assert target.exists(), target
        if name and not is_generated(target):
            assert name in headings(target), f"{target.name}#{name}"


def test_every_page_is_reachable() -> None:
    reached, waiting = set(), [ROOT / "README.md", DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [target for target, _ in links(page)]
    assert [page.name for page in DOCS.glob("*.md") if page not in reached] == []


def test_every_page_is_in_the_navigation() -> None:
    def targets(nav: list) -> list[str]:
        values = [v for e in nav for v in (e.values() if isinstance(e, dict) else [e])]
        return [t for v in values for t in (targets(v) if isinstance(v, list) else [v])]

    listed = targets(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert len(listed) == len(set(listed)), "a page is listed twice"
    assert [page.name for page in DOCS.glob("*.md") if page.name not in listed] == []


def test_every_image_is_used() -> None:
    used = {target for page in PAGES for target, _ in links(page)}
    media = {".jpg", ".png", ".svg", ".mp4", ".webp"}
    files = [path for path in (DOCS / "images").rglob("*") if path.suffix in media]
    assert [path.name for path in files if path not in used] == []
