"""CSV: one row a person, for spreadsheets and pandas. The columns stand in `table.py`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from vepe.errors import VepeError
from vepe.formats.annotations import Sequence
from vepe.formats.files import replacing
from vepe.formats.table import columns, rows, sequence_from_rows


def write_csv(path: Path, sequence: Sequence) -> Path:
    """Writes one sequence as CSV and returns the path. Raises VepeError where it cannot."""
    with (
        replacing(path) as beside,
        beside.open("w", newline="", encoding="utf-8") as handle,
    ):
        writer = csv.DictWriter(handle, columns(sequence.skeleton.keypoints))
        writer.writeheader()
        writer.writerows(rows(sequence))
    return path


def read_csv(path: Path) -> Sequence:
    """Reads what `write_csv` wrote, or any table with those columns (most may be missing).

    Raises:
        VepeError: where the file is missing, not text, or a cell holds no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            names = list(reader.fieldnames or ())
            table = [_row(row, f"{path}, row {i}") for i, row in enumerate(reader, start=2)]
    except FileNotFoundError:
        raise VepeError(f"{path} does not exist; check the path.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise VepeError(f"{path} is not readable as CSV ({error}); check what it is.") from None
    return sequence_from_rows(table, names, path)


def _row(row: dict[str, Any], place: str) -> dict[str, Any]:
    if None in row:
        raise VepeError(f"{place}: there are more cells than columns; mend the row.")
    return {k: v if k == "file_name" else _value(v, k, place) for k, v in row.items()}


def _value(text: str | None, column: str, place: str) -> int | float | None:
    if text is None or text.strip() == "":
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise VepeError(f"{place}: {column} is '{text}', not a number; mend the cell.") from None
