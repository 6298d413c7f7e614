"""From the pages of the repository to those of the site.

Pages stay readable where they lie: links are those of the repository. A link that leaves `docs/` is
rewritten here, to the page that the site makes of that file, or to a copy of the file.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from docs.generator import api, commands, configuration

from vepe import __version__

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

OUTSIDE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
    "assets/README.md": "clips.md",
    "src/vepe/weights/vepe-n.md": "vepe-n.md",
    "src/vepe/weights/vepe-s.md": "vepe-s.md",
}
"""Pages that lie elsewhere in the repository -> their names in the site."""

OPTIONAL_PAGES = {"serve.md", "cluster.md", *(f"{name}.md" for name in api.OPTIONAL)}
"""Pages that may be absent without an error."""

ICON = "src/vepe/serve/page/icon.svg"
"""The icon of the page that `vepe serve` shows, which is that of the site too."""

FILES = "files"
"""Folder of the site with copies of files that pages link to."""

GENERATED = {
    "commands": commands.reference,
    "configuration": configuration.reference,
    "api": lambda: "\n".join(
        f"- [{page.title}]({name}.md): {page.text}" for name, page in api.pages().items()
    ),
}
"""Text of `<!-- generated: NAME -->` in a page -> what takes its place."""

VERSIONED = {"extra": {"version": {"provider": "mike"}}}
"""Settings with which the theme shows a selector, from `../versions.json`."""

_LINK = re.compile(r"(?P<before>\]\()(?P<target>(?!https?:|mailto:|#)[^)\s]+)(?P<after>\))")
_PLAYER = re.compile(r"\[!\[(?P<alt>[^]]*)\]\((?P<poster>[^)]+)\)\]\((?P<video>[^)]+\.mp4)\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)


def stage(folder: Path, versioned: bool = False) -> Path:
    """Writes all pages of the site into a new folder; returns the configuration of the build."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(DOCS / "images", folder / "images")
    shutil.copyfile(ROOT / ICON, folder / "images" / "icon.svg")
    for page in sorted(DOCS.glob("*.md")):
        (folder / page.name).write_text(staged(page, folder), encoding="utf-8")
    for name, target in OUTSIDE.items():
        if name != "README.md":
            (folder / target).write_text(staged(ROOT / name, folder), encoding="utf-8")
    for name, documented in api.pages().items():
        (folder / f"{name}.md").write_text(api.markdown(documented), encoding="utf-8")
    return _configuration(folder, versioned)


def staged(page: Path, folder: Path) -> str:
    """The text of a page as the site needs it; files that it links to are copied."""
    text = page.read_text(encoding="utf-8")

    def moved(match: re.Match[str]) -> str:
        path, sign, anchor = match["target"].partition("#")
        if (page.parent / path).resolve() == ROOT / "README.md":  # its parts are pages of the site
            part = f"{anchor}.md" if (DOCS / f"{anchor}.md").exists() else "index.md"
            return f"{match['before']}{part}{match['after']}"
        return f"{match['before']}{_site_path(page, path, folder)}{sign}{anchor}{match['after']}"

    text = outside_fences(text, lambda part: _PLAYER.sub(_player, _LINK.sub(moved, part)))
    for name, make in GENERATED.items():
        marker = f"<!-- generated: {name} -->"
        if marker in text:
            text = text.replace(marker, make())
    return text


def _player(match: re.Match[str]) -> str:
    """A linked image of a video, which a forge can show, as a video."""
    return (
        f'<video controls loop muted playsinline preload="none" poster="{match["poster"]}" '
        f'aria-label="{match["alt"]}"><source src="{match["video"]}" type="video/mp4"></video>'
    )


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """The text with all but its code blocks changed by a function."""
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def _site_path(page: Path, target: str, folder: Path) -> str:
    """Where a link of a page leads in the site."""
    file = (page.parent / target).resolve()
    name = file.relative_to(ROOT).as_posix()
    if name in OUTSIDE:
        return OUTSIDE[name]
    if file.parent == DOCS or DOCS / "images" in file.parents:
        return file.relative_to(DOCS).as_posix()
    if file.is_dir():
        raise ValueError(f"{page.name} links to the folder {name}; the site has files only")
    copy = folder / FILES / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, copy)
    return quote(f"{FILES}/{name}")


def _configuration(folder: Path, versioned: bool) -> Path:
    """`mkdocs.yml` without pages that are not there yet, next to the staged pages."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    settings["nav"] = _present(settings["nav"], folder)
    settings["copyright"] = f"VEPE {__version__} · Apache-2.0"
    settings["docs_dir"] = folder.name
    settings["site_dir"] = "html"
    if versioned:
        settings |= VERSIONED
    for plugin in settings["plugins"]:
        if "mkdocstrings" in plugin:
            python = plugin["mkdocstrings"]["handlers"]["python"]
            python["paths"] = [str(ROOT / "src")]
            python["options"]["extensions"] = [
                str(ROOT / name) for name in python["options"]["extensions"]
            ]
    path = folder.parent / "mkdocs.yml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


def _present(nav: list[Any], folder: Path) -> list[Any]:
    """The navigation without optional pages that do not exist; every other page has to."""
    kept: list[Any] = []
    for entry in nav:
        ((title, target),) = entry.items() if isinstance(entry, dict) else ((None, entry),)
        if isinstance(target, list):
            kept.append({title: _present(target, folder)})
        elif (folder / target).exists():
            kept.append(entry)
        elif target not in OPTIONAL_PAGES:
            raise ValueError(f"mkdocs.yml names {target}, but there is no such page in docs/")
    return kept
