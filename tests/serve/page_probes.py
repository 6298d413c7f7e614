"""What the tests of the page measure in the browser, and the clip that they send.

Every frame of the clip carries its number as eight black or white squares, so that a test can read
from the pixels which frame is on the screen.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import av
import numpy as np
from PIL import Image
from running_server import CLIP

from tiny_models import write_video
from vepe.skeleton import POSETRACK15
from vepe.viz.body import covering_circle

if TYPE_CHECKING:
    from playwright.sync_api import Page

FRAMES, WIDTH, HEIGHT = 16, 480, 270
TIMES_S = [0.6 + 0.08 * n + (0.05 if n % 3 else 0.0) for n in range(FRAMES)]
"""Uneven, and not from 0 on, as in many files of phones."""
_SQUARE = 12


def numbered_frames() -> list[np.ndarray]:
    """The first frames of the clip with two walkers, each with its number in the upper corner."""
    with av.open(str(CLIP)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    frames = []
    for number, image in enumerate(images[:FRAMES]):
        for bit in range(8):
            left = bit * _SQUARE
            image[:_SQUARE, left : left + _SQUARE] = 255 if number >> bit & 1 else 0
        frames.append(image)
    assert len(frames) == FRAMES
    return frames


def numbered_clip(folder: Path) -> Path:
    return write_video(folder / "walkers.mp4", numbered_frames(), TIMES_S)


def camera_file(folder: Path) -> Path:
    """The clip as Motion JPEG, which Chromium's fake camera repeats."""
    path = folder / "camera.mjpeg"
    with path.open("wb") as file:
        for image in numbered_frames():
            jpeg = io.BytesIO()
            Image.fromarray(image).save(jpeg, "JPEG", quality=90)
            file.write(jpeg.getvalue())
    return path


@dataclass(frozen=True)
class Tracked:
    """A job that was sent through the page: its id, and what the page showed meanwhile."""

    id: str
    states: list[str]
    followed: list[list[int]]
    frames: list[dict[str, Any]]

    def circles(self) -> dict[int, list[list[float]]]:
        """Where heads are in each frame, by `vepe.viz`."""
        result = {}
        for frame in self.frames:
            people = [np.array(p["keypoints"], float) for p in frame["people"]]
            heads = [covering_circle(k[:, :2], k[:, 2], POSETRACK15, 0.3) for k in people if len(k)]
            result[frame["frame"]] = [[c.x, c.y, c.radius] for c in heads if c is not None]
        return result


def elsewhere(url: str, port: int) -> list[str]:
    parts = urlsplit(url)
    inside = parts.scheme == "blob" or (parts.hostname, parts.port) == ("127.0.0.1", port)
    return [] if inside else [url]


def policy_errors(text: str) -> list[str]:
    return [text] if "Content Security Policy" in text else []


def until(page: Page, condition: str) -> None:
    """Waits until a JavaScript expression is true; Playwright's own waiting needs `eval`, which the
    page's policy forbids.
    """
    end_s = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < end_s, f"never true: {condition}"
        page.wait_for_timeout(30)


def opened(page: Page, tracked: Tracked) -> Page:
    """The page with the finished job, at its first frame."""
    page.goto(f"/#/job/{tracked.id}")
    page.locator(".track .run").first.wait_for()
    until(page, "document.getElementById('video').readyState >= 2")
    return page


PROBES = """
window.probes = {
  canvas() {
    const canvas = document.getElementById("canvas");
    const fit = Math.min(canvas.width / 480, canvas.height / 270);
    const left = Math.round((canvas.width - fit * 480) / 2);
    const top = Math.round((canvas.height - fit * 270) / 2);
    return { context: canvas.getContext("2d"), fit, left, top };
  },
  // The number that the pixels of the canvas say.
  shownNumber() {
    const { context, fit, left, top } = this.canvas();
    let number = 0;
    for (let bit = 0; bit < 8; bit++) {
      const x = Math.round(left + fit * (12 * bit + 6));
      const [red] = context.getImageData(x, Math.round(top + fit * 6), 1, 1).data;
      if (red > 128) number |= 1 << bit;
    }
    return number;
  },
  // The number that the page says.
  saidNumber() {
    return Number(document.getElementById("frame-number").textContent.replace("frame ", ""));
  },
  // How much pixels inside a circle of the video differ from the mean of their neighbours.
  detail([x, y, radius]) {
    const { context, fit, left, top } = this.canvas();
    const half = 0.6 * radius * fit;
    const size = Math.max(Math.round(2 * half), 4);
    const at = [Math.round(left + fit * x - half), Math.round(top + fit * y - half)];
    const { data } = context.getImageData(...at, size, size);
    let sum = 0;
    for (let i = 4; i < data.length - 4; i += 4) {
      if ((i / 4) % size === 0 || (i / 4 + 1) % size === 0) continue;
      sum += Math.abs(2 * data[i] - data[i - 4] - data[i + 4]);
    }
    return sum / (size * size);
  },
  // [shown, said, details of the frame's circles] of every animation frame until the video ends.
  async play(circles) {
    const video = document.getElementById("video");
    const samples = [];
    document.getElementById("play").click();
    for (let i = 0; i < 600 && !video.ended; i++) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const shown = this.shownNumber();
      samples.push([shown, this.saidNumber(), (circles[shown] ?? []).map((c) => this.detail(c))]);
    }
    return samples;
  },
};
"""

TEXT_CONTRASTS = """
() => {
  const parse = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
    if (!text.startsWith("rgb")) throw new Error("a colour that the test cannot read: " + text);
    return [red, green, blue, alpha];
  };
  const over = (top, below) => {
    const mixed = [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]);
    return [...mixed, 1];
  };
  const background = (element) => {
    if (!element) return [255, 255, 255, 1];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, background(element.parentElement));
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => {
      const c = value / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const result = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest("noscript, script")) continue;
    const style = getComputedStyle(element);
    const behind = background(element);
    const pair = [luminance(over(parse(style.color), behind)), luminance(behind)].sort();
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    result.push([text, ratio, isLarge ? 3 : 4.5]);
  }
  return result;
}
"""

REACHABLE = """
() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0 &&
    !e.classList.contains("skip") && !e.classList.contains("visually-hidden"))
  .map((e) => e.id || e.textContent.trim() || e.getAttribute("aria-label") || e.dataset.draw)
"""

FOCUSED = """
() => {
  const element = document.activeElement;
  if (element === document.body) return null;
  const marked = [element, element.closest("label")].filter(Boolean);
  return {
    name: element.id || element.textContent.trim() || element.getAttribute("aria-label") ||
      element.dataset.draw,
    isVisible: marked.some((e) => getComputedStyle(e).outlineStyle !== "none"),
    label: element.getAttribute("aria-label") || element.labels?.[0]?.textContent.trim() ||
      element.textContent.trim() || element.getAttribute("aria-labelledby") || "",
  };
}
"""

DROP = """
([name, bytes]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: "video/mp4" }));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
  }
}
"""
