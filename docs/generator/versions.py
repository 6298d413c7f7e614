"""A site with several versions: a folder for each, and what the selector in the header reads.

FOLDER/index.html      leads to the newest release
FOLDER/versions.json   read by the theme, in the layout of mike (https://github.com/jimporter/mike)
FOLDER/0.1.0/...       the pages of a version
"""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

from vepe.formats.files import write_bytes

NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
"""Names that versions may have: they are folders and parts of addresses."""

_RELEASE = re.compile(r"v?(\d+(?:\.\d+)*)")


def add_version(built: Path, folder: Path, version: str) -> None:
    """Moves a built site into the folder of all versions, in the place of the same version."""
    (built / "404.html").unlink(missing_ok=True)  # servers show that of their root
    write_bytes(built / "sitemap.xml", _sitemap(built).encode())
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / version, ignore_errors=True)
    shutil.move(built, folder / version)
    names = sorted((page.parent.name for page in folder.glob("*/index.html")), key=_order)[::-1]
    entries = [
        {"version": name, "title": name, "aliases": ["latest"] if name == names[0] else []}
        for name in names
    ]
    write_bytes(folder / "versions.json", json.dumps(entries, indent=2).encode())
    write_bytes(folder / "index.html", _redirect(f"{names[0]}/index.html").encode())


def _order(name: str) -> tuple[bool, list[int], str]:
    """Releases by their numbers, above names such as `main`."""
    release = _RELEASE.fullmatch(name)
    return bool(release), [int(part) for part in release[1].split(".")] if release else [], name


def _sitemap(built: Path) -> str:
    """The pages of a version. The selector goes to the same page of another version if it is there.

    The theme compares paths only, but wants whole addresses, and the site's own is not known here.
    """
    pages = ["", *sorted(page.relative_to(built).as_posix() for page in built.glob("*.html"))]
    entries = "\n".join(f"<url><loc>https://vepe.invalid/{page}</loc></url>" for page in pages)
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{space}">\n{entries}\n</urlset>\n'
    )


def _redirect(target: str) -> str:
    address = html.escape(target)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>VEPE</title>\n'
        f'<meta http-equiv="refresh" content="0; url={address}">\n'
        f'<p><a href="{address}">Documentation of the newest version</a></p>\n</html>\n'
    )
