"""From an installation to a tracked video in the browser, as a user does it: `make serve-check`.

    python benchmarks/serve_fresh.py [--python python3.12] [--clip a.mp4] [--shot page.png]

In an empty folder it runs the two commands of docs/serve.md, with a new virtual environment:

    pip install '.[serve]'
    vepe serve

Then it uploads the clip through the page in Chromium (`apt-get install chromium`), waits until the
tracked video plays and people are on its timeline, and takes a screenshot. The server sees nothing
of the repository: its environment has its own copy of VEPE, which is checked. Requires access to a
package index.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
WAIT_S = 300

COLOURS = """() => {
  const canvas = document.getElementById("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}"""
PLAYED = "document.getElementById('video').currentTime > 0.5"


def install(folder: Path, python: str) -> Path:
    """A new environment with what the clone installs; returns its folder of programs."""
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    programs = folder / "venv" / "bin"
    command = [programs / "pip", "install", "--quiet", "--disable-pip-version-check", ".[serve]"]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True)
    where = subprocess.run(
        [programs / "python", "-c", "import vepe; print(vepe.__file__)"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    if not Path(where).is_relative_to(folder):
        sys.exit(f"the fresh environment imports {where}, which is not its own")
    return programs


def environment() -> dict[str, str]:
    """The variables of this process without those that lead Python to other packages."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VEPE_", "VIRTUAL_ENV"))
    } | {"PYTHONNOUSERSITE": "1"}


@contextmanager
def serving(programs: Path, folder: Path) -> Iterator[str]:
    """`vepe serve` in an empty folder until the block ends; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, work = f"http://127.0.0.1:{port}", folder / "work"
    work.mkdir()
    command = [programs / "vepe", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=work, env=environment())
    try:
        end_s = time.monotonic() + WAIT_S
        while not answers(url):
            if process.poll() is not None or time.monotonic() > end_s:
                sys.exit("vepe serve did not start")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/healthz", timeout=5):
        return True
    return False


def upload(url: str, clip: Path, shot: Path) -> str:
    """Sends the clip through the page; returns what the page then shows, in words."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=os.environ.get("VEPE_BROWSER") or shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1000 * WAIT_S)
        page.goto(url)
        page.set_input_files("#file", clip)
        page.locator("#downloads").wait_for()  # the job is done
        page.locator("#timeline .run").first.wait_for()
        page.locator("#play").click()
        end_s = time.monotonic() + WAIT_S
        while not page.evaluate(PLAYED):
            if time.monotonic() > end_s:
                sys.exit("the video does not play")
            page.wait_for_timeout(100)
        page.locator("#play").click()
        if page.evaluate(COLOURS) < 1000:
            sys.exit("the page shows no image of the video")
        page.wait_for_timeout(500)  # until the frame on which it stopped is shown
        people, runs = page.locator(".track").count(), page.locator(".run").count()
        page.screenshot(path=shot)
        chromium.close()
    return f"{people} people in {runs} stretches of the timeline"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--python", default=sys.executable, help="Python of the new environment")
    parser.add_argument("--clip", type=Path, default=ROOT / "assets" / "store_aisle.mp4")
    parser.add_argument("--shot", type=Path, default=ROOT / "build" / "serve_check.png")
    options = parser.parse_args()
    options.shot.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        begun_s = time.monotonic()
        programs = install(Path(name), options.python)
        installed_s = time.monotonic()
        with serving(programs, Path(name)) as url:
            started_s = time.monotonic()
            shown = upload(url, options.clip.resolve(), options.shot)
            tracked_s = time.monotonic()
    print(
        f"installed in {installed_s - begun_s:.0f} s, started in {started_s - installed_s:.1f} s, "
        f"{options.clip.name} tracked and shown in {tracked_s - started_s:.1f} s: {shown}"
    )
    print(f"The page: {options.shot}")


if __name__ == "__main__":
    main()
