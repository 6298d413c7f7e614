"""The frames with the most errors, and how they look.

The report's HTML: one file, styles and pictures inside.

One page that shows how good tracked poses are and where they fail.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from vepe.errors import VepeError
from vepe.evaluation.differences import Difference, differences
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.evaluation.results import HOTA_VALUES, JointTable, PoseTrackResult
from vepe.evaluation.timelines import timelines
from vepe.formats.files import replacing_folder
from vepe.viz.html_page import PageFigure, cards, data_address, document, pictures, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class BadFrame:
    """A scored frame and its errors.

    Attributes:
        index: of the scored frame.
        sequence, position, picture: where it is.
        missed: annotated joints that were not found.
        wrong: predicted joints that are no annotated joint's.
    """

    index: int
    sequence: str
    position: int
    picture: str
    missed: int
    wrong: int


def worst_frames(match: PoseTrackMatch, count: int) -> list[BadFrame]:
    """The frames with the most missed and wrong joints, worst first; at most two a sequence."""
    frames, labels = match.frames, match.labels
    size = len(frames)
    hits = _per_frame(frames.found.frame, labels.correct, size)
    missed = _per_frame(frames.truth.frame, frames.truth.present, size) - hits
    wrong = _per_frame(frames.found.frame, frames.found.present, size) - hits
    taken = np.zeros(len(frames.sequences), int)
    result: list[BadFrame] = []
    for index in np.argsort(-(missed + wrong), kind="stable"):
        sequence = int(frames.sequence[index])
        if len(result) == count or missed[index] + wrong[index] == 0:
            break
        if taken[sequence] == 2:
            continue
        taken[sequence] += 1
        result.append(
            BadFrame(
                int(index),
                frames.sequences[sequence],
                int(frames.position[index]),
                frames.names[index],
                int(missed[index]),
                int(wrong[index]),
            )
        )
    return result


def find_picture(images: Path, frame: BadFrame) -> Path | None:
    """The frame's picture: its name under the folder, or the last part of it; None if absent."""
    for path in (images / frame.picture, images / Path(frame.picture).name):
        if frame.picture and path.is_file():
            return path
    return None


def _per_frame(frame: Int[np.ndarray, "N"], joints: np.ndarray, size: int) -> Int[np.ndarray, "F"]:
    return np.bincount(frame, joints.sum(axis=1), size).astype(int)


def page(
    result: PoseTrackResult,
    rows: Sequence[Difference],
    figures: dict[str, list[PageFigure]],
    frames: Sequence[tuple[str, PageFigure | None]],
) -> str:
    """The whole page.

    Args:
        rows: where evaluators differ.
        figures: by section: 'ap', 'curves', 'timelines'.
        frames: the worst frames: a line of HTML, and a picture where there is one.
    """
    c = result.counts
    head = (
        f"{c.sequences} sequences, {c.frames} labelled frames, {c.people} people. Protocol "
        f"{result.protocol}, HOTA by the {result.hota_rule} rule. All values in percent."
    )
    parts = [
        f"<h1>PoseTrack evaluation</h1><p class=quiet>{head}</p>",
        _cards(result),
        *(f"<p class=warn>{escape(text)}</p>" for text in result.warnings),
        "<h2>Scores</h2>",
        _scores(result),
        pictures(figures["ap"]),
        "<h2>Precision and recall</h2>",
        pictures(figures["curves"]),
        _timelines(figures["timelines"], len(result.sequences)),
        _worst(frames),
        "<h2>Where evaluators count differently, on these files</h2>",
        _differences(rows),
        "<h2>Sequences</h2>",
        _sequences(result),
    ]
    return document("PoseTrack evaluation", parts)


def _cards(result: PoseTrackResult) -> str:
    values = [("AP", result.ap.total)]
    if result.mota is not None and result.motp is not None:
        values += [("MOTA", result.mota.total), ("MOTP", result.motp.total)]
    if result.hota is not None:
        values += [(n, result.hota[n]) for n in ("HOTA", "DetA", "AssA", "LocA", "FA-HOTA")]
    return cards((name, _number(value)) for name, value in values)


def _scores(result: PoseTrackResult) -> str:
    tables: list[tuple[str, JointTable | None]] = [
        ("AP", result.ap), ("precision", result.precision), ("recall", result.recall),
        ("MOTA", result.mota), ("MOTP", result.motp), ("MOT precision", result.mot_precision),
        ("MOT recall", result.mot_recall),
        ("MOTP (newer motmetrics)", result.motp_motmetrics),
    ]  # fmt: skip
    rows = [[n, *map(_number, t.columns().values())] for n, t in tables if t is not None]
    text = table(["", *result.ap.columns()], rows, total=True)
    if result.hota is not None:
        values = [_number(result.hota[n]) for n in HOTA_VALUES]
        text += table(["", *HOTA_VALUES], [[f"HOTA ({result.hota_rule})", *values]])
    return text


def _timelines(figures: Sequence[PageFigure], sequences: int) -> str:
    if not figures:
        return ""
    shown = (
        f"The {len(figures)} sequences with the most trouble; the others are PNG files beside."
        if len(figures) < sequences
        else "Those with the most trouble first."
    )
    key = (
        "A row is a labelled person, a colour the predicted track that most of its joints were "
        "matched with. Thin grey: labelled, not found. <b>&#9670; red: switch</b> to another "
        "track; <b>&#9675; white: fragmentation</b>, found again after a gap. The last labelled "
        "frame is not tracked."
    )
    head = f"<h2>Who was followed by whom</h2><p class='quiet key'>{key} {shown}</p>"
    return head + pictures(figures)


def _worst(frames: Sequence[tuple[str, PageFigure | None]]) -> str:
    if not frames:
        return ""
    key = (
        "White: ground truth; yellow dots: prediction. Green: found; red ring: missed; red cross: "
        "wrong, or not annotated, which counts as wrong."
    )
    drawn = any(figure for _, figure in frames)
    note = key if drawn else "Give --images to see them."
    parts = [
        pictures([figure]) if figure else f"<p class=quiet>{text}</p>" for text, figure in frames
    ]
    return f"<h2>Worst frames</h2><p class=quiet>{note}</p>{''.join(parts)}"


def _differences(rows: Sequence[Difference]) -> str:
    body = "".join(
        f"<tr{'' if r.matters else ' class=same'}><td>{escape(r.rule)}</td>"
        f"<td>{escape(r.here)}</td><td>{escape(r.other)}</td>"
        f"<td>{'yes' if r.matters else 'no'}</td></tr>"
        for r in rows
    )
    head = "<tr><th>Rule</th><th>This report</th><th>Others</th><th>Matters here</th></tr>"
    return f"<table class=words>{head}{body}</table>"


def _sequences(result: PoseTrackResult) -> str:
    head = ["", "frames", "people", "AP", "MOTA", "MOTP", "HOTA", "DetA", "AssA"]
    rows = []
    for name, s in result.sequences.items():
        hota = [s.hota[n] if s.hota else math.nan for n in ("HOTA", "DetA", "AssA")]
        mot = [t.total if t else math.nan for t in (s.mota, s.motp)]
        values = map(_number, [s.ap.total, *mot, *hota])
        rows.append([name, str(s.counts.frames), str(s.counts.people), *values])
    return table(head, rows)


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.1f}"


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
    from vepe.evaluation.report_plots import ap_plot, curves_plot, timeline_plot

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
    from vepe.evaluation.report_plots import frame_plot
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
