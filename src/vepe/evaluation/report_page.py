"""The report's HTML: one file, styles and pictures inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from vepe.evaluation.differences import Difference
from vepe.evaluation.results import HOTA_VALUES, JointTable, PoseTrackResult
from vepe.viz.html_page import PageFigure, cards, document, pictures, table


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
