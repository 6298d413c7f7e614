"""One page that shows how good tracked poses are and where they fail."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
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
from vepe.formats.files import replacing_folder, write_bytes
from vepe.viz.html_page import PageFigure, data_address

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_TIMELINES = 30
"""Timelines on the page; every sequence has a PNG beside it."""
SHOWN_FRAMES = 8
_MANIFEST = ".vepe-report.json"
"""Lists the files of a report with their SHA-256, which proves that they are its own."""


def write_report(
    match: PoseTrackMatch,
    result: PoseTrackResult,
    folder: str | Path,
    *,
    images: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes `index.html`, which needs nothing beside it, and its pictures as PNG files.

    Args:
        match, result: what was scored, and the scores.
        folder: is made; a former report in it is replaced.
        images: folder that the ground truth's picture names start from; with it, the worst frames
            are drawn.
        overwrite: whether the report may be written among other files. They stay, unless one has
            the name of a file of the report.

    Returns:
        Path of the page.

    Raises:
        VepeError: where matplotlib is missing, the folder cannot be written, or it holds files that
            are not a former report's and `overwrite` is not set.
    """
    if find_spec("matplotlib") is None:
        raise VepeError("The report needs matplotlib; install it with: pip install 'vepe[report]'.")
    folder = Path(folder)
    check_report_folder(folder, overwrite=overwrite)
    if _foreign_files(folder):
        with tempfile.TemporaryDirectory() as scratch:
            written = Path(scratch, "report")
            write_report(match, result, written, images=images)
            names = {path.name for path in written.iterdir()}
            old = _own_files(folder)
            for name in sorted(names):
                write_bytes(folder / name, (written / name).read_bytes())
            for name in old - names:
                (folder / name).unlink(missing_ok=True)
        return folder / "index.html"
    with replacing_folder(folder) as beside:
        writer = _Pictures(beside)
        figures = _figures(writer, match, result)
        frames = _frames(writer, match, None if images is None else Path(images))
        text = page(result, differences(match, result), figures, frames)
        (beside / "index.html").write_text(text, encoding="utf-8")
        hashes = {path.name: _sha256(path) for path in sorted(beside.iterdir())}
        (beside / _MANIFEST).write_text(json.dumps(hashes), encoding="utf-8")
    return folder / "index.html"


def check_report_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Checks that a report may be written to a folder; changes nothing.

    Raises:
        VepeError: where it is a file, or holds files that are not a former report's and
            `overwrite` is not set; they are listed.
    """
    if folder.exists() and not folder.is_dir():
        raise VepeError(f"{folder} is a file, but a folder is to be written; name another.")
    foreign = _foreign_files(folder)
    if foreign and not overwrite:
        more = f" and {len(foreign) - 10} more" if len(foreign) > 10 else ""
        raise VepeError(
            f"{folder} holds other files ({', '.join(foreign[:10])}{more}); name a new folder, or "
            "add --overwrite to write the report among them."
        )


def _foreign_files(folder: Path) -> list[str]:
    """Names in the folder that are not provably a former report's."""
    if not folder.is_dir():
        return []
    return sorted({path.name for path in folder.iterdir()} - _own_files(folder))


def _own_files(folder: Path) -> set[str]:
    """Names of the files of a former report that are as it wrote them."""
    try:
        hashes = json.loads((folder / _MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return set()
    if not isinstance(hashes, dict):
        return set()
    return {_MANIFEST} | {
        path.name
        for path in folder.iterdir()
        if path.name in hashes
        and path.is_file()
        and not path.is_symlink()
        and _sha256(path) == hashes[path.name]
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
