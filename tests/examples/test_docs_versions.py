"""A site with two versions: what lies in its folder, and the selector in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # `docs.generator` is no part of the package

from docs.generator import __main__, pages, versions  # noqa: E402


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def built(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in ("index.html", *names):
        (folder / name).write_text(f"<p>{name}</p>")
    return folder


@pytest.mark.parametrize(
    ("names", "newest_first"),
    [
        (["0.9.0", "0.10.0"], ["0.10.0", "0.9.0"]),
        (["1.0", "main"], ["1.0", "main"]),
        (["main", "0.1.0"], ["0.1.0", "main"]),
        (["0.1.0", "0.2.0", "0.1.0"], ["0.2.0", "0.1.0"]),
    ],
)
def test_the_root_leads_to_the_newest_release(
    names: list[str], newest_first: list[str], tmp_path: Path
) -> None:
    for number, name in enumerate(names):
        versions.add_version(built(tmp_path / f"html{number}"), tmp_path / "site", name)
    entries = json.loads((tmp_path / "site" / "versions.json").read_text())
    assert [entry["version"] for entry in entries] == newest_first
    assert [entry["aliases"] for entry in entries] == [["latest"], *([[]] * (len(entries) - 1))]
    assert f'url={newest_first[0]}/index.html"' in (tmp_path / "site" / "index.html").read_text()


def test_a_version_replaces_itself_and_nothing_else(tmp_path: Path) -> None:
    site = tmp_path / "site"
    versions.add_version(built(tmp_path / "a", "old.html"), site, "0.1.0")
    versions.add_version(built(tmp_path / "b"), site, "0.2.0")
    versions.add_version(built(tmp_path / "c", "new.html"), site, "0.1.0")
    pages_of = {path.relative_to(site).as_posix() for path in site.glob("*/*.html")}
    assert pages_of == {"0.1.0/index.html", "0.1.0/new.html", "0.2.0/index.html"}


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b", "-x"])
def test_names_that_are_no_folder_are_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["docs.generator", f"--version={name}"])
    with pytest.raises(SystemExit) as end:
        __main__.main()
    assert end.value.code == 2
    assert "such as 0.1.0" in capsys.readouterr().err


@pytest.mark.skipif(not find_spec("zensical"), reason="zensical is not installed")
def test_the_selector_leads_to_the_same_page(tmp_path: Path) -> None:
    path = os.environ.get("VEPE_BROWSER") or shutil.which("chromium")
    if path is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    project = {name: settings[name] for name in ("site_name", "use_directory_urls", "theme")}
    project |= pages.VERSIONED | {"plugins": ["search", "offline"], "site_dir": "html"}
    project["theme"] = {k: v for k, v in project["theme"].items() if k not in ("logo", "favicon")}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(project))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n")
    (tmp_path / "docs" / "both.md").write_text("# Both\n")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    for name, only in (("0.1.0", "old"), ("0.2.0", "new")):
        (tmp_path / "docs" / f"{only}.md").write_text(f"# {only}\n")
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        (tmp_path / "docs" / f"{only}.md").unlink()
        __main__.finish(tmp_path / "html")
        versions.add_version(tmp_path / "html", tmp_path / "site", name)
    handler = partial(Quiet, directory=str(tmp_path / "site"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        chromium = playwright.chromium.launch(executable_path=path, args=flags)
        page = chromium.new_page()
        page.set_default_timeout(20_000)
        page.goto(root)
        page.wait_for_url(f"{root}/0.2.0/index.html")
        for start, link, goal in (
            ("0.2.0/both.html", "0.1.0", "0.1.0/both.html"),
            ("0.1.0/both.html", "0.2.0", "0.2.0/both.html"),
            ("0.2.0/new.html", "0.1.0", "0.1.0/"),
        ):
            page.goto(f"{root}/{start}")
            page.locator(".md-version__current").focus()
            page.locator(".md-version__link", has_text=link).click()
            page.wait_for_url(f"{root}/{goal}")
        chromium.close()
    server.shutdown()
    server.server_close()
