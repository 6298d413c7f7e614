"""The images of docs/quickstart.md, from the commands that the page shows.

    python benchmarks/quickstart_images.py [--only doctor] [--chromium /usr/bin/chromium]

Terminals become SVG files without fonts from elsewhere; the quality page is photographed by a
headless Chromium, and left as it is where there is none.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

import vepe

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images" / "quickstart"
AISLE, WALKING = ROOT / "assets" / "store_aisle.mp4", ROOT / "assets" / "walking.mp4"
FRAME = 40
MAX_LINES = 24

SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {terminal_width} {terminal_height}">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace;
font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>{lines}</defs>
<rect width="{terminal_width}" height="{terminal_height}" rx="6" fill="#1c1f24"/>
<g transform="translate(9, 9)"><g class="{unique_id}-matrix">{backgrounds}{matrix}</g></g>
</svg>
"""


def vepe_command(*words: str | Path) -> str:
    """What a command prints; a terminal shows both streams."""
    command = [sys.executable, "-m", "vepe", *map(str, words)]
    run = subprocess.run(
        command, cwd=Path.cwd(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
    )
    return run.stdout.decode()


def terminal(name: str, shown: str, output: str, width: int = 100) -> None:
    """A terminal with a command and the first lines that it printed."""
    lines = [line.rstrip() for line in output.splitlines()][:MAX_LINES]
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {shown}", style="bold bright_green"))
    for line in lines:
        console.print(Text(line[:width]), soft_wrap=True)
    svg = console.export_svg(theme=MONOKAI, code_format=SVG, unique_id="terminal")
    # Its height is that of one line less than there are.
    svg = re.sub(r'(viewBox="0 0 \S+ )([\d.]+)"', lambda m: f'{m[1]}{float(m[2]) + 25:.0f}"', svg)
    svg = re.sub(
        r'(<rect width="\S+" height=)"([\d.]+)"(?= rx)',
        lambda m: f'{m[1]}"{float(m[2]) + 25:.0f}"',
        svg,
    )
    (IMAGES / f"{name}.svg").write_text(svg, encoding="utf-8")


def save(name: str, image: Image.Image, width: int = 720) -> None:
    height = round(image.height * width / image.width)
    image.resize((width, height), Image.Resampling.LANCZOS).convert("RGB").save(
        IMAGES / f"{name}.jpg", quality=82
    )


def doctor(out: Path) -> None:
    terminal("doctor", "vepe doctor", vepe_command("doctor"))


def track(out: Path) -> None:
    output = vepe_command("track", AISLE, "-o", out, "--overwrite")
    output = output.replace(str(out), "out").strip().splitlines()[-1]
    terminal("track", "vepe track assets/store_aisle.mp4 -o out", output)


def demo(out: Path) -> None:
    frames = vepe.read(out / "store_aisle.json", video=AISLE)
    frame = next(frame for frame in frames if len(frame) == 3 and frame.time_s > 2)
    save("../demo", Image.fromarray(frame.draw()), 960)


def table(out: Path) -> None:
    vepe_command("convert", out / "store_aisle.json", out / "poses.csv", "--overwrite")
    rows = (out / "poses.csv").read_text().splitlines()[:5]
    terminal("table", "head -n 5 poses.csv | cut -c -90", "\n".join(row[:90] for row in rows))


def report(out: Path) -> None:
    page, shot = out / "quality.html", out / "quality.png"
    vepe_command("report", out / "store_aisle.json", AISLE, "-o", page, "--overwrite")
    if not CHROMIUM:
        print("no Chromium: report.jpg stays as it is")
        return
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    flags += ["--disable-quic", "--disable-background-networking", "--disable-sync"]
    flags += ["--disable-component-update"]
    flags += [f"--user-data-dir={out}/chromium", "--window-size=1000,620"]
    command = [CHROMIUM, *flags, f"--screenshot={shot}", page.as_uri()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    save("report", Image.open(shot), 900)


def angles(out: Path) -> None:
    vepe_command("track", WALKING, "-o", out, "--overwrite", "--no-video", "--smooth", "offline")
    plot = out / "walking.png"
    vepe_command("measure", out / "walking.json", "--plot", plot, "--overwrite")
    image = Image.open(plot)
    image = image.crop((0, 0, image.width, round(0.49 * image.height)))  # three of six rows
    image.quantize(32).save(IMAGES / "angles.png", optimize=True)


def draw(out: Path) -> None:
    words = ["--hide", "faces", "--trail", "2", "--boxes", "--overwrite"]
    vepe_command("draw", out / "store_aisle.json", AISLE, "-o", out / "shared.mp4", *words)
    capture = cv2.VideoCapture(str(out / "shared.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, FRAME)
    save("draw", Image.fromarray(capture.read()[1][..., ::-1]), 480)


def python(out: Path) -> None:
    frame = vepe.read(out / "store_aisle.json", video=AISLE)[FRAME]
    save("python", Image.fromarray(frame.draw(background="black")), 480)


STEPS: dict[str, Callable[[Path], None]] = {
    step.__name__: step for step in (doctor, track, demo, table, report, angles, draw, python)
}
CHROMIUM: str | None = None


def main() -> None:
    global CHROMIUM
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=STEPS, action="append")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    CHROMIUM = options.chromium
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, step in STEPS.items():
            if options.only and name not in options.only and name != "track":
                continue  # all others read what `track` wrote
            step(Path(folder))
            print(name)


if __name__ == "__main__":
    main()
