"""The report's HTML: one file, styles and pictures inside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from vepe.evaluation.differences import Difference
from vepe.evaluation.results import HOTA_VALUES, JointTable, PoseTrackResult

_STYLE = """
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1f2933;
  background: #fff; margin: 0 auto; max-width: 1080px; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 10px; }
p.quiet, figcaption { color: #616e7c; font-size: 13px; margin: 4px 0 12px; }
.cards { display: flex; gap: 12px; flex-wrap: wrap; margin: 20px 0 8px; }
.card { background: #f5f7fa; border-radius: 8px; padding: 10px 16px; min-width: 84px; }
.card b { display: block; font-size: 24px; font-weight: 600; font-variant-numeric: tabular-nums; }
.card span { color: #616e7c; font-size: 12.5px; }
table { border-collapse: collapse; width: 100%; margin-bottom: 14px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; text-align: right; border-bottom: 1px solid #e4e7eb; font-size: 14px; }
th { color: #616e7c; font-weight: 500; font-size: 12.5px; }
th:first-child, td:first-child, table.words td, table.words th { text-align: left; }
table.words td { vertical-align: top; } tr.same td { color: #7b8794; }
td.total { font-weight: 600; } figure { margin: 0 0 14px; } img { max-width: 100%; height: auto; }
.warn { background: #fff6e5; border-left: 4px solid #d98c3f; padding: 8px 14px; margin: 6px 0;
  font-size: 14px; } .scroll { overflow-x: auto; } .key b { font-weight: 600; }
"""


@dataclass(frozen=True)
class Figure:
    """A picture as a data address, with the HTML of its caption."""

    source: str
    caption: str


def page(
    result: PoseTrackResult,
    rows: Sequence[Difference],
    figures: dict[str, list[Figure]],
    frames: Sequence[tuple[str, Figure | None]],
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
        _figures(figures["ap"]),
        "<h2>Precision and recall</h2>",
        _figures(figures["curves"]),
        _timelines(figures["timelines"], len(result.sequences)),
        _worst(frames),
        "<h2>Where evaluators count differently, on these files</h2>",
        _differences(rows),
        "<h2>Sequences</h2>",
        _sequences(result),
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>PoseTrack evaluation</title>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _cards(result: PoseTrackResult) -> str:
    values = [("AP", result.ap.total)]
    if result.mota is not None and result.motp is not None:
        values += [("MOTA", result.mota.total), ("MOTP", result.motp.total)]
    if result.hota is not None:
        values += [(n, result.hota[n]) for n in ("HOTA", "DetA", "AssA", "LocA", "FA-HOTA")]
    cards = (f"<div class=card><b>{_number(v)}</b><span>{n}</span></div>" for n, v in values)
    return f"<div class=cards>{''.join(cards)}</div>"


def _scores(result: PoseTrackResult) -> str:
    tables: list[tuple[str, JointTable | None]] = [
        ("AP", result.ap), ("precision", result.precision), ("recall", result.recall),
        ("MOTA", result.mota), ("MOTP", result.motp), ("MOT precision", result.mot_precision),
        ("MOT recall", result.mot_recall),
        ("MOTP (newer motmetrics)", result.motp_motmetrics),
    ]  # fmt: skip
    rows = [[n, *map(_number, t.columns().values())] for n, t in tables if t is not None]
    text = _table(["", *result.ap.columns()], rows, total=True)
    if result.hota is not None:
        values = [_number(result.hota[n]) for n in HOTA_VALUES]
        text += _table(["", *HOTA_VALUES], [[f"HOTA ({result.hota_rule})", *values]])
    return text


def _timelines(figures: Sequence[Figure], sequences: int) -> str:
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
    return head + _figures(figures)


def _worst(frames: Sequence[tuple[str, Figure | None]]) -> str:
    if not frames:
        return ""
    key = (
        "White: ground truth; yellow dots: prediction. Green: found; red ring: missed; red cross: "
        "wrong, or not annotated, which counts as wrong."
    )
    drawn = any(figure for _, figure in frames)
    note = key if drawn else "Give --images to see them."
    parts = [
        _figures([figure]) if figure else f"<p class=quiet>{text}</p>" for text, figure in frames
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
    return _table(head, rows)


def _table(head: Iterable[str], rows: Iterable[Sequence[str]], *, total: bool = False) -> str:
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = ""
    for row in rows:
        cells = [f"<td>{escape(cell)}</td>" for cell in row]
        if total:
            cells[-1] = cells[-1].replace("<td>", "<td class=total>")
        body += f"<tr>{''.join(cells)}</tr>"
    return f"<div class=scroll><table><tr>{top}</tr>{body}</table></div>"


def _figures(figures: Iterable[Figure]) -> str:
    return "".join(
        f'<figure><img src="{f.source}" alt="">'
        f"{f'<figcaption>{f.caption}</figcaption>' if f.caption else ''}</figure>"
        for f in figures
    )


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.1f}"
