"""Builds the documentation site: `python -m docs.generator`, or `make docs`.

`--version 0.1.0`, or `make docs VERSION=0.1.0`, adds it to the versions in `build/site` instead.

Warnings are errors: a link or an anchor that leads nowhere fails the build, and so does a name of
the API that has no docstring to show.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from docs.generator import versions
from docs.generator.pages import ROOT, stage

SHIM = "https://unpkg.com/iframe-worker/shim"
"""What Zensical's plugin `offline` loads so that search works from the disk."""


_SHORT_CODE = re.compile(r"<code>([^<\n]{1,24})</code>")
"""Inline code such as an option; blocks have line feeds."""


def finish(site: Path) -> None:
    """Marks short code, and replaces the script that every page would fetch by one of our own."""
    shutil.copyfile(Path(__file__).with_name("file_worker.js"), site / "assets" / "file_worker.js")
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        address = "../" * (len(page.relative_to(site).parts) - 1) + "assets/file_worker.js"
        text = _SHORT_CODE.sub(r'<code class="short">\1</code>', text.replace(SHIM, address))
        page.write_text(text, encoding="utf-8")


def main() -> int:
    """Stages the pages and builds the site; returns Zensical's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage-only", action="store_true", help="write build/docs, no HTML")
    parser.add_argument("--version", help="add the site to those of other versions, as this one")
    parser.add_argument(
        "--into", type=Path, default=ROOT / "build" / "site", help="folder of those"
    )
    arguments = parser.parse_args()
    if arguments.version and not versions.NAME.fullmatch(arguments.version):
        parser.error("a version is letters, digits, dots, dashes and underscores, such as 0.1.0")
    config = stage(ROOT / "build" / "docs", versioned=bool(arguments.version))
    if arguments.stage_only:
        return 0
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run([*command, "--config-file", str(config)], cwd=config.parent, check=False)
    if done.returncode:
        return done.returncode
    built = config.parent / "html"
    finish(built)
    if arguments.version:
        versions.add_version(built, arguments.into, arguments.version)
        print(f"All versions: serve the folder {arguments.into} over HTTP")
    else:
        shutil.rmtree(ROOT / "site", ignore_errors=True)
        built.replace(ROOT / "site")
        print(f"The site: {ROOT / 'site' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
