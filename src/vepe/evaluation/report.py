"""The HTML report of a PoseTrack evaluation: scores, curves, tracks over time, worst frames.

The page's body is the template `report.html`; plots are in `report_plots`.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vepe.errors import VepeError, missing_extra
from vepe.evaluation.error_analysis import FrameErrors, timelines, worst_frames
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.evaluation.results import HOTA_VALUES, JointTable, PoseTrackResult
from vepe.formats.data_paths import is_inside
from vepe.formats.files import check_repeatable, load_json, replacing_folder, write_bytes
from vepe.viz.html_page import PageFigure, data_address, render_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_TIMELINES = 30
"""Most timelines on the page; every sequence has a PNG file next to it."""
MAX_FRAMES = 8
"""Most frames in the section of the worst ones."""
_MANIFEST = ".vepe-report.json"
"""Lists the files of a report with their SHA-256, by which a later report recognises them."""
_TEMPLATE = Path(__file__).with_name("report.html")


def write_report(
    match: PoseTrackMatch,
    result: PoseTrackResult,
    folder: str | Path,
    *,
    images: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes `index.html`, which contains everything, and its images as PNG files.

    Args:
        match: the data that were scored.
        result: the scores.
        folder: created; a previous report in it is replaced.
        images: folder that the ground truth's image names are relative to; if given, the worst
            frames are drawn.
        overwrite: whether the report may be written among other files. They stay, except for those
            with the name of a file of the report.

    Returns:
        Path of the page.

    Raises:
        VepeError: if matplotlib is missing, the folder cannot be written, or it holds other files
            and `overwrite` is not set.
    """
    if find_spec("matplotlib") is None:
        raise missing_extra("The report", "matplotlib", "report")
    folder = Path(folder)
    _check_foreign(folder, overwrite=overwrite)
    if _foreign_files(folder):
        with tempfile.TemporaryDirectory() as scratch:
            _merge(
                write_report(match, result, Path(scratch, "report"), images=images).parent, folder
            )
        return folder / "index.html"
    with replacing_folder(folder) as partial:
        writer = _FigureWriter(partial)
        figures = _figures(writer, match, result)
        worst = _worst_frames(writer, match, None if images is None else Path(images))
        page = _page(result, figures, worst)
        (partial / "index.html").write_text(page, encoding="utf-8")
        hashes = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
        (partial / _MANIFEST).write_text(json.dumps(hashes), encoding="utf-8")
    return folder / "index.html"


def check_report_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Checks before the work that a report may be written to a folder; changes nothing.

    Without `overwrite`, a report that another process writes there from now on is not replaced, if
    there is none yet.

    Raises:
        VepeError: if it is a file, or may not be written to, or holds files that are not of a
            previous report and `overwrite` is not set; lists them.
    """
    _check_foreign(folder, overwrite=overwrite)
    if not overwrite:
        check_repeatable(folder)


def _check_foreign(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise VepeError(f"{folder} is a file, but a folder is to be written; name another.")
    foreign = _foreign_files(folder)
    if foreign and not overwrite:
        more = f" and {len(foreign) - 10} more" if len(foreign) > 10 else ""
        raise VepeError(
            f"{folder} holds other files ({', '.join(foreign[:10])}{more}); name a new folder, or "
            "add --overwrite to write the report among them."
        )


def _merge(report: Path, folder: Path) -> None:
    """Writes the files of a report among the other files of a folder."""
    names = {path.name for path in report.iterdir()}
    outdated = _own_files(folder) - names
    for name in sorted(names):
        write_bytes(folder / name, (report / name).read_bytes())
    for name in outdated:
        (folder / name).unlink(missing_ok=True)


def _foreign_files(folder: Path) -> list[str]:
    """Names in the folder that are not provably of a previous report."""
    if not folder.is_dir():
        return []
    return sorted({path.name for path in folder.iterdir()} - _own_files(folder))


def _own_files(folder: Path) -> set[str]:
    """Names of the files of a previous report that have not changed since."""
    try:
        hashes = load_json(folder / _MANIFEST)
    except VepeError:
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


def _page(
    result: PoseTrackResult, figures: dict[str, list[PageFigure]], worst: list[PageFigure]
) -> str:
    """The whole page; a frame of `worst` without an image has the source ''."""
    hota = result.hota
    return render_page(
        _TEMPLATE.read_text(encoding="utf-8"),
        title="PoseTrack evaluation",
        result=result,
        headline=_headline(result),
        score_head=["", *result.ap.columns()],
        score_rows=_score_rows(result),
        hota_head=["", *HOTA_VALUES],
        hota_rows=[[f"HOTA ({result.hota_rule})", *(_number(hota[n]) for n in HOTA_VALUES)]]
        if hota
        else [],
        images=figures,
        num_timelines=len(result.sequences),
        worst=worst,
        sequence_head=["", "frames", "people", "AP", "MOTA", "MOTP", "HOTA", "DetA", "AssA"],
        sequence_rows=_sequence_rows(result),
    )


def _headline(result: PoseTrackResult) -> list[tuple[str, str]]:
    values = [("AP", result.ap.total)]
    if result.mota is not None and result.motp is not None:
        values += [("MOTA", result.mota.total), ("MOTP", result.motp.total)]
    if result.hota is not None:
        values += [(n, result.hota[n]) for n in ("HOTA", "DetA", "AssA", "LocA", "FA-HOTA")]
    return [(name, _number(value)) for name, value in values]


def _score_rows(result: PoseTrackResult) -> list[list[str]]:
    tables: list[tuple[str, JointTable | None]] = [
        ("AP", result.ap), ("precision", result.precision), ("recall", result.recall),
        ("MOTA", result.mota), ("MOTP", result.motp), ("MOT precision", result.mot_precision),
        ("MOT recall", result.mot_recall),
        ("MOTP (newer motmetrics)", result.motp_motmetrics),
    ]  # fmt: skip
    return [[n, *map(_number, t.columns().values())] for n, t in tables if t is not None]


def _sequence_rows(result: PoseTrackResult) -> list[list[str]]:
    rows = []
    for name, s in result.sequences.items():
        hota = [s.hota[n] if s.hota else math.nan for n in ("HOTA", "DetA", "AssA")]
        mot = [t.total if t else math.nan for t in (s.mota, s.motp)]
        values = map(_number, [s.ap.total, *mot, *hota])
        rows.append([name, str(s.counts.frames), str(s.counts.people), *values])
    return rows


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.1f}"


@dataclass(frozen=True)
class _FigureWriter:
    """Saves figures as PNG files in a folder and returns them as data for the page."""

    folder: Path

    def save(self, name: str, figure: Figure, caption: str) -> PageFigure:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        (self.folder / f"{name}.png").write_bytes(buffer.getvalue())
        return PageFigure(data_address(buffer.getvalue()), caption)


def _figures(
    writer: _FigureWriter, match: PoseTrackMatch, result: PoseTrackResult
) -> dict[str, list[PageFigure]]:
    """The plots by section: 'ap', 'curves', 'timelines'."""
    from vepe.evaluation.report_plots import ap_plot, curves_plot, timeline_plot

    ap = writer.save("ap", ap_plot(result), "AP by joint, and the seven columns of papers.")
    curves = writer.save(
        "precision_recall", curves_plot(match, result), "Precision over recall by joint."
    )
    saved = []
    if match.has_tracks:
        for line in sorted(timelines(match), key=lambda t: -t.severity):
            name = f"timeline_{''.join(c if c.isalnum() else '_' for c in line.sequence)}"
            saved.append(writer.save(name, timeline_plot(line), ""))
    return {"ap": [ap], "curves": [curves], "timelines": saved[:MAX_TIMELINES]}


def _worst_frames(
    writer: _FigureWriter, match: PoseTrackMatch, images: Path | None
) -> list[PageFigure]:
    """The worst frames, drawn where their image exists."""
    from vepe.evaluation.report_plots import frame_plot
    from vepe.video.images import read_image

    result = []
    for rank, frame in enumerate(worst_frames(match, MAX_FRAMES), start=1):
        caption = (
            f"{frame.sequence}, frame {frame.position} ({frame.image}): {frame.missed} joints "
            f"missed, {frame.wrong} wrong"
        )
        path = None if images is None else _find_image(images, frame)
        if path is None:
            result.append(PageFigure("", caption))
        else:
            plot = frame_plot(match, frame.index, read_image(path))
            result.append(writer.save(f"worst_{rank}", plot, caption))
    return result


def _find_image(images: Path, frame: FrameErrors) -> Path | None:
    """The frame's image: its name under the folder, or the last part of it; None if absent."""
    for name in (frame.image, Path(frame.image).name):
        if name and is_inside(images, name) and (images / name).is_file():
            return images / name
    return None
