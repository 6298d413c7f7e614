"""One page that shows how good tracked poses are and where they fail."""

from __future__ import annotations

import io
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vepe.errors import VepeError
from vepe.evaluation.differences import differences
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.evaluation.report_page import page
from vepe.evaluation.results import PoseTrackResult
from vepe.evaluation.timelines import timelines
from vepe.evaluation.worst_frames import find_picture, worst_frames
from vepe.formats.files import replacing_folder
from vepe.viz.html_page import PageFigure, data_address

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_TIMELINES = 30
"""Timelines on the page; every sequence has a PNG beside it."""
SHOWN_FRAMES = 8


def write_report(
    match: PoseTrackMatch,
    result: PoseTrackResult,
    folder: str | Path,
    *,
    images: str | Path | None = None,
) -> Path:
    """Writes `index.html`, which needs nothing beside it, and its pictures as PNG files.

    Args:
        match, result: what was scored, and the scores.
        folder: is made, or replaced as a whole.
        images: folder that the ground truth's picture names start from; with it, the worst frames
            are drawn.

    Returns:
        Path of the page.

    Raises:
        VepeError: where matplotlib is missing or the folder cannot be written.
    """
    if find_spec("matplotlib") is None:
        raise VepeError("The report needs matplotlib; install it with: pip install 'vepe[report]'.")
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "index.html").is_file():
        raise VepeError(
            f"{folder} holds other files; name a new folder, or one with a former report."
        )
    with replacing_folder(folder) as beside:
        writer = _Pictures(beside)
        figures = _figures(writer, match, result)
        frames = _frames(writer, match, None if images is None else Path(images))
        text = page(result, differences(match, result), figures, frames)
        (beside / "index.html").write_text(text, encoding="utf-8")
    return folder / "index.html"


@dataclass(frozen=True)
class _Pictures:
    """Saves figures as PNG files and gives them as data for the page."""

    folder: Path

    def save(self, name: str, figure: Figure, caption: str) -> PageFigure:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        (self.folder / f"{name}.png").write_bytes(buffer.getvalue())
        return PageFigure(data_address(buffer.getvalue()), caption)


def _figures(
    writer: _Pictures, match: PoseTrackMatch, result: PoseTrackResult
) -> dict[str, list[PageFigure]]:
    from vepe.evaluation.plots import ap_plot, curves_plot, timeline_plot

    figures = {
        "ap": [writer.save("ap", ap_plot(result), "AP of every joint, and the columns of tables.")],
        "curves": [
            writer.save(
                "precision_recall", curves_plot(match, result), "Precision over recall by joint."
            )
        ],
        "timelines": [],
    }
    if match.has_tracks:
        lines = sorted(timelines(match), key=lambda t: -t.troubles)
        for k, line in enumerate(lines):
            name = f"timeline_{''.join(c if c.isalnum() else '_' for c in line.sequence)}"
            shown = writer.save(name, timeline_plot(line), "")
            if k < SHOWN_TIMELINES:
                figures["timelines"].append(shown)
    return figures


def _frames(
    writer: _Pictures, match: PoseTrackMatch, images: Path | None
) -> list[tuple[str, PageFigure | None]]:
    from vepe.evaluation.plots import frame_plot
    from vepe.video.images import read_image

    result: list[tuple[str, PageFigure | None]] = []
    for k, frame in enumerate(worst_frames(match, SHOWN_FRAMES), start=1):
        text = escape(
            f"{frame.sequence}, frame {frame.position} ({frame.picture}): {frame.missed} joints "
            f"missed, {frame.wrong} wrong"
        )
        path = None if images is None else find_picture(images, frame)
        figure = None
        if path is not None:
            drawn = frame_plot(match, frame.index, read_image(path))
            figure = writer.save(f"worst_{k}", drawn, text)
        result.append((text, figure))
    return result
