"""Builds the documentation site: `python -m docs.generator`, or `make docs`.

Warnings are errors: a link or an anchor that leads nowhere fails the build, and so does a name of
the API that has no docstring to show.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

from docs.generator.pages import ROOT, stage


def main() -> int:
    """Stages the pages and builds the site; returns Zensical's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage-only", action="store_true", help="write build/docs, no HTML")
    arguments = parser.parse_args()
    config = stage(ROOT / "build" / "docs")
    if arguments.stage_only:
        return 0
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    built = subprocess.run([*command, "--config-file", str(config)], cwd=config.parent, check=False)
    if built.returncode == 0:
        shutil.rmtree(ROOT / "site", ignore_errors=True)
        (config.parent / "site").replace(ROOT / "site")
        print(f"The site: {ROOT / 'site' / 'index.html'}")
    return built.returncode


if __name__ == "__main__":
    sys.exit(main())
