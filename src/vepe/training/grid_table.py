"""The table of a grid: markdown to read, CSV to plot, JSON to program with."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vepe.formats.files import dump_json, replacing
from vepe.training.metrics import label, metric_names

if TYPE_CHECKING:
    from vepe.training.grid import GridResult

Cell = str | float | int | None


def write_tables(output: Path, results: Sequence[GridResult]) -> Path:
    """Writes `table.md`, `table.csv` and `table.json`; returns the first.

    Raises:
        VepeError: where the folder cannot be written.
    """
    dump_json(output / "table.json", [asdict(result) for result in results])
    _write(output / "table.csv", as_csv(results))
    return _write(output / "table.md", as_markdown(results))


def as_csv(results: Sequence[GridResult]) -> str:
    """A row a run with plain numbers; times in seconds."""
    names = _metrics(results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["run", "seed", "status", *names, "loss", "parameters", "seconds", "steps", "error"]
    writer.writerow(head)
    for r in results:
        cells: list[Cell] = [r.name, r.seed, r.status, *(r.metrics.get(n) for n in names)]
        cells += [r.loss, r.parameters, r.seconds, r.steps, r.error]
        writer.writerow("" if cell is None else cell for cell in cells)
    return text.getvalue()


def as_markdown(results: Sequence[GridResult]) -> str:
    """A row a run; with several seeds also means and deviations; then the failures."""
    names = _metrics(results)
    head = ["run", "seed", *map(label, names), "loss", "parameters", "minutes", "steps"]
    rows = [
        [
            r.name,
            str(r.seed),
            *(_score(r.metrics.get(n)) if r.metrics else r.status for n in names),
            _score(r.loss) if r.status == "finished" else r.status,
            "" if r.parameters is None else f"{r.parameters / 1e6:.2f} M",
            "" if r.seconds is None else f"{r.seconds / 60:.1f}",
            "" if r.steps is None else str(r.steps),
        ]
        for r in results
    ]
    text = _table(head, rows)
    if len({r.seed for r in results}) > 1:
        text += "\nMean and standard deviation over seeds:\n\n" + _over_seeds(results, names)
    failures = [f"- {r.folder}: {r.error}" for r in results if r.status == "failed"]
    if failures:
        text += "\nFailed:\n\n" + "\n".join(failures) + "\n"
    return text


def _over_seeds(results: Sequence[GridResult], metrics: Sequence[str]) -> str:
    rows = []
    for name in dict.fromkeys(r.name for r in results):
        group = [r for r in results if r.name == name and r.status == "finished"]
        cells = [name, str(len(group))]
        for metric in metrics:
            values = [v for r in group if (v := r.metrics.get(metric)) is not None]
            cells.append(_spread(values))
        rows.append([*cells, _spread([r.loss for r in group if r.loss is not None])])
    return _table(["run", "seeds", *map(label, metrics), "loss"], rows)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "n/a"
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def _metrics(results: Sequence[GridResult]) -> list[str]:
    return metric_names({"evaluation": r.metrics} for r in results)


def _score(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to one width, so that the file reads well as it stands."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]

    def line(cells: Sequence[str]) -> str:
        text = [
            cell.ljust(w) if k == 0 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(text)} |\n"

    rule = [("-" * w) if k == 0 else "-" * (w - 1) + ":" for k, w in enumerate(widths)]
    return line(head) + line(rule) + "".join(line(row) for row in rows)


def _write(path: Path, text: str) -> Path:
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path
