"""The site: what is generated covers the code, the strict build passes, and nothing is fetched."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from doc_blocks import PAGES, blocks

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # `docs.generator` is no part of the package

from docs.generator import api, commands, configuration  # noqa: E402

# Loaded by a page that asks for it: none of ours does (mermaid, instant players, ...).
OPTIONAL_SCRIPTS = re.compile(r"unpkg\.com|cdn\.jsdelivr\.net")


@pytest.fixture(scope="module")
def site() -> Path:
    """The built site."""
    if not find_spec("zensical"):
        pytest.skip("zensical is not installed")
    run = subprocess.run(
        [sys.executable, "-m", "docs.generator"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return ROOT / "site"


class Reader(HTMLParser):
    """Ids of a page, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids.add(values.get("id", ""))
        if tag in ("img", "script", "video", "source", "iframe"):
            self.loads += [values[name] for name in ("src", "poster") if name in values]
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(values.get("href", ""))


def test_every_public_name_has_a_page(site: Path) -> None:
    ids = {
        name
        for page in api.pages()
        for name in Reader((site / f"{page}.html").read_text("utf-8")).ids
    }
    expected = [
        name for page in api.pages().values() for m in page.modules for name in api.names(m)
    ]
    assert [name for name in expected if name not in ids] == []


def test_the_api_has_all_that_is_declared_and_shown() -> None:
    """Every `__all__` of a room, and every name that a page imports."""
    modules = {module for page in api.pages().values() for module in page.modules}
    rooms = [f"vepe.{p.parent.name}" for p in (ROOT / "src" / "vepe").glob("*/__init__.py")]
    declared = {room for room in rooms if hasattr(import_module(room), "__all__")} | {"vepe"}
    assert declared <= modules
    shown = {
        name
        for page in PAGES
        for block in blocks(page)
        if block.language == "python"
        for name in re.findall(r"^from ((?:vepe|vepe_synth)[\w.]*) import", block.text, re.M)
    }
    assert shown <= modules


def test_every_command_and_option_is_on_the_page() -> None:
    text = commands.reference()
    names = {name for name, _, _ in commands.commands()}
    assert {"vepe track", "vepe evaluate posetrack", "vepe train report", "vepe synth"} <= names
    for name, command, context in commands.commands():
        assert f"## {name}\n" in text
        for parameter in command.get_params(context):
            if not getattr(parameter, "hidden", False) and parameter.name != "help":
                assert parameter.help, f"{name}: {parameter.name} has no help"
                assert parameter.opts[-1] in text or (parameter.metavar or "") in text


def test_every_key_has_a_meaning() -> None:
    without = [
        f"{model.__name__}.{name}"
        for root, _ in configuration.ROOTS.values()
        for model in configuration.models(root)
        for name in model.model_fields
        if not configuration.meaning_of(model, name)
    ]
    assert without == []
    text = configuration.reference()
    assert "| `window` | integer, >= 1, <= 1,000 | `7` |" in text
    assert "*required*" in text


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    wrong = [
        f"{page.name}: {address}"
        for page in site.glob("*.html")
        for address in Reader(page.read_text("utf-8")).loads
        if address.startswith(("http", "//"))
        or not (site / address.partition("#")[0].lstrip("/")).exists()
    ]
    assert wrong == []
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?https?:|@import", styles)


def test_no_page_needs_the_scripts_that_the_theme_can_fetch(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text("utf-8")
        assert not OPTIONAL_SCRIPTS.search(text), page.name
        assert 'class="mermaid"' not in text, page.name


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    if not find_spec("zensical"):
        pytest.skip("zensical is not installed")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[nowhere](nowhere.md)\n")
    shutil.copyfile(ROOT / "mkdocs.yml", tmp_path / "mkdocs.yml")
    config = (tmp_path / "mkdocs.yml").read_text().partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(config)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "page does not exist" in run.stdout + run.stderr
