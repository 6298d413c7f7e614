"""How soon the page of `vepe serve` shows poses of an upload, and whether it stays responsive.

    vepe serve --port 8000 --data /tmp/jobs
    python benchmarks/serve_page.py [--url http://127.0.0.1:8000] [--seconds 60] [--repeats 3]

Sends a demo clip, repeated and enlarged to 1920 x 1080, through Chromium (`apt-get install
chromium`), and reports for each upload: the time from the choice of the file, and from the moment
the page learns that the job runs, to the first skeletons on the screen; the gaps between animation
frames for ten seconds after that; and the tasks of 50 ms or longer. The job is then cancelled and
deleted.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import av

from vepe.video.writer import VideoWriter

if TYPE_CHECKING:
    from playwright.sync_api import Page

CLIP = Path(__file__).parents[1] / "assets" / "store_aisle.mp4"
WIDTH, HEIGHT, FPS = 1920, 1080, 25.0
WATCHED_MS = 10_000

WATCH = """() => {
  window.watch = { start: performance.now(), gaps: [], tasks: [] };
  const { watch } = window;
  new PerformanceObserver((list) => {
    watch.tasks.push(...list.getEntries().map(({ duration }) => duration));
  }).observe({ entryTypes: ["longtask"] });
  let last = performance.now();
  const frame = () => {
    const now = performance.now();
    watch.gaps.push(now - last);
    last = now;
    const text = document.getElementById("progress-text").textContent;
    if (/Starting|frames/.test(text)) watch.running ??= now;
    if (document.querySelector("#chips .chip:not([hidden])")) watch.poses ??= now;
    requestAnimationFrame(frame);
  };
  frame();
}"""


def long_clip(path: Path, seconds: float) -> None:
    """The demo clip, to and fro, in 1080p."""
    with av.open(str(CLIP)) as container:
        images = [
            frame.reformat(WIDTH, HEIGHT, "rgb24").to_ndarray()
            for frame in container.decode(video=0)
        ]
    images += images[-2:0:-1]
    with VideoWriter(path, width=WIDTH, height=HEIGHT, fps=FPS) as writer:
        for n in range(round(seconds * FPS)):
            writer.write(images[n % len(images)], n / FPS)


def measure(page: Page, url: str, clip: Path) -> None:
    page.goto(url)
    page.locator("#model option").first.wait_for(state="attached")
    page.evaluate(WATCH)
    page.set_input_files("#file", clip)
    page.locator("#chips .chip").first.wait_for(timeout=120_000)
    page.wait_for_timeout(WATCHED_MS)
    watch = page.evaluate("window.watch")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.locator("#job-error").wait_for(timeout=120_000)
    page.locator(".job:has([aria-current]) .job-stop").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    gaps = sorted(watch["gaps"])
    print(
        f"first poses after {(watch['poses'] - watch['start']) / 1000:.2f} s, "
        f"{(watch['poses'] - watch['running']) / 1000:.2f} s after the start; frames: "
        f"median {statistics.median(gaps):.0f} ms, p99 {gaps[int(0.99 * len(gaps))]:.0f} ms, "
        f"longest {gaps[-1]:.0f} ms; {len(watch['tasks'])} long tasks, "
        f"longest {max(watch['tasks'], default=0):.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        clip = Path(folder) / "long.mp4"
        long_clip(clip, args.seconds)
        print(f"{args.seconds:g} s of {WIDTH} x {HEIGHT}, {clip.stat().st_size / 1e6:.1f} MB")
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(args.repeats):
            page = chromium.new_page()
            measure(page, args.url, clip)
            page.close()
        chromium.close()


if __name__ == "__main__":
    main()
