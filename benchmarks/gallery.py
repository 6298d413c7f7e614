"""Demo clips as short animations with the default model: docs/gallery.md and its media.

    python benchmarks/gallery.py [--clips FOLDER] [--model vepe-n] [--seconds 4] [--only NAME]

Left: every frame read alone (window 1); right: with the model's own window. The same weights and
thresholds, and nothing is chosen by how it looks: each clip is shown from its start. Without
`--clips`, only the clips of `assets/` are made; the page keeps what it has of the others.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from vepe.inference.predictor import load
from vepe.results.frame import FrameResult
from vepe.viz.colours import DARK, WHITE
from vepe.viz.options import DrawingOptions

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "gallery.md"
MEDIA = ROOT / "docs" / "images" / "gallery"
BEGIN, END = "<!-- made by benchmarks/gallery.py -->", "<!-- end -->"
HEADING_PX, GAP_PX = 26, 4


@dataclass(frozen=True)
class Clip:
    """A clip of the gallery.

    Attributes:
        name: of the file, without `.mp4`.
        text: who is in view, and what to look at; failures are named as such.
        height_px: of each half of the animation.
        still: the frame number of the poster.
        crop: x, y, width and height in pixels of the part that is shown; the whole image if None.
    """

    name: str
    text: str
    height_px: int
    still: int
    crop: tuple[int, int, int, int] | None = None


CLIPS = (
    Clip(
        "walking",
        "Two people walk towards the camera. Both are found in every frame, and keep their "
        "ids; the two runs hardly differ. Where feet leave the image, nothing is drawn.",
        202,
        27,
    ),
    Clip(
        "store_aisle",
        "A woman is covered by another who walks in front of her. **Failures**: while she is "
        "covered (from 2.3 s), she is lost, and the head of the one in front (3) is put on her;"
        " legs behind the shelf are guessed. She is not found again, though in view at the end.",
        202,
        50,
    ),
    Clip(
        "pedestrians",
        "People of 30 to 80 pixels, far below the camera (cropped). **Failures**: the walker "
        "on the lawn and the person behind the sign are never found, and the man in black is "
        "lost where he meets another at the end. With the window there are fewer poses and "
        "fewer ids here: he is not found before he has passed the sign. `--model vepe-s` and "
        "`--imgsz 640` find more of them.",
        200,
        39,
        (0, 40, 768, 340),
    ),
    Clip(
        "bedroom",
        "Two children jump on a bed, at high speed. **Failures**: the boy is lost as soon as "
        "the girl is in front of him. When he comes out again at the end, he gets a new id (3).",
        202,
        119,
    ),
    Clip(
        "acrobats",
        "A man balances on a board; a drawn figure stands in front, and a woman behind "
        "(cropped). All three ids hold; with the window, poses shake less.",
        260,
        36,
        (0, 250, 1088, 1000),
    ),
)


@dataclass(frozen=True)
class Made:
    """What one run over a clip gave, for its row: people per frame and ids."""

    people: float
    ids: int
    frames: int


def halves(source: Path, clip: Clip, model: str, end_s: float) -> tuple[list[np.ndarray], ...]:
    """The drawn frames alone and with the window, what each run gave, and the times."""
    drawn, made, times = [], [], []
    for window, heading in ((1, "each frame alone"), (None, "window of 7 frames")):
        predictor = load(model, window=window)
        frames: list[FrameResult] = list(predictor.track(source, end_s=end_s))
        drawn.append([panel(frame, clip, heading) for frame in frames])
        ids = {int(i) for frame in frames for i in frame.track_ids}
        made.append(Made(sum(map(len, frames)) / len(frames), len(ids), len(frames)))
        times = [frame.time_s for frame in frames]
    return drawn, made, times


def panel(frame: FrameResult, clip: Clip, heading: str) -> np.ndarray:
    """The drawn frame at the clip's height, below its heading."""
    image, height_px = frame.draw(DrawingOptions()), clip.height_px
    if clip.crop is not None:
        x, y, width, height = clip.crop
        image = image[y : y + height, x : x + width]
    width = round(image.shape[1] * height_px / image.shape[0] / 2) * 2
    image = cv2.resize(image, (width, height_px), interpolation=cv2.INTER_AREA)
    strip = np.full((HEADING_PX, width, 3), DARK, np.uint8)
    place = (8, HEADING_PX - 8)
    cv2.putText(strip, heading, place, cv2.FONT_HERSHEY_DUPLEX, 0.45, WHITE, 1, cv2.LINE_AA)
    return np.concatenate([strip, image])


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    gap = np.full((len(left), GAP_PX, 3), WHITE, np.uint8)
    image = np.concatenate([left, gap, right], axis=1)
    return np.ascontiguousarray(image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2])


def write_video(path: Path, images: list[np.ndarray], times_s: list[float]) -> None:
    """Small H.264 without sound, with the clip's own times."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "30", "preset": "slow"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for image, time_s in zip(images, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def section(clip: Clip, alone: Made, window: Made) -> str:
    """The part of the page about a clip."""
    picture = f"images/gallery/{clip.name}"
    return (
        f"### {clip.name}\n\n[![{clip.name}: each frame alone, and with the window]({picture}.jpg)]"
        f"({picture}.mp4)\n\n{clip.text}\n\n"
        f"{window.frames} frames: {alone.people:.1f} people per frame and {alone.ids} ids alone, "
        f"{window.people:.1f} and {window.ids} with the window.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, default=ROOT / "assets")
    parser.add_argument("--model", default="vepe-n")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--only", help="one clip")
    options = parser.parse_args()
    MEDIA.mkdir(parents=True, exist_ok=True)
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    old, _, after = rest.partition(END)
    sections = dict(re.findall(r"^(?=### (\w+)\n)(.*?)(?=^### |\Z)", old, re.DOTALL | re.MULTILINE))
    for clip in CLIPS:
        source = options.clips / f"{clip.name}.mp4"
        if options.only not in (None, clip.name) or not source.exists():
            continue
        (left, right), made, times = halves(source, clip, options.model, options.seconds)
        images = [side_by_side(*pair) for pair in zip(left, right, strict=True)]
        write_video(MEDIA / f"{clip.name}.mp4", images, times)
        poster = images[min(clip.still, len(images) - 1)]
        cv2.imwrite(
            str(MEDIA / f"{clip.name}.jpg"), poster[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80]
        )
        sections[clip.name] = section(clip, *made)
        size = (MEDIA / f"{clip.name}.mp4").stat().st_size
        print(f"{clip.name}: {len(images)} frames, {size / 1000:.0f} kB")
    body = "\n".join(sections[clip.name].strip() + "\n" for clip in CLIPS if clip.name in sections)
    PAGE.write_text(f"{before}{BEGIN}\n\n{body}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
