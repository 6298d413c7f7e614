"""Plain tables of columns as CSV, Parquet or JSON, by the ending of the file's name."""

from __future__ import annotations

import csv
import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError, missing_extra
from vepe.formats.files import dump_json, replacing

ENDINGS = (".csv", ".parquet", ".json")
MEMORY_OF_ARROW = 64 << 20
"""Bytes that its threads and buffers take at least."""


def write_columns(
    path: Path, columns: Mapping[str, np.ndarray], about: Mapping[str, Any], decimals: int = 4
) -> Path:
    """Writes columns of equal length and returns the path; NaN becomes an empty cell or null.

    Args:
        path: its ending, one of `ENDINGS`, decides the format.
        columns: numbers by name.
        about: what else is to be known, in values of JSON: keys of the JSON document next to
            `columns`, and Parquet's metadata under `vepe.<key>`. CSV has no place for it.
        decimals: of floats.

    Raises:
        VepeError: if the ending is unknown, pyarrow is missing, or the file cannot be written.
    """
    kind = path.suffix.lower()
    values = {name: _plain(column, decimals) for name, column in columns.items()}
    if kind == ".csv":
        with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(values)
            writer.writerows(zip(*values.values(), strict=True))
        return path
    if kind == ".json":
        return dump_json(path, {**about, "columns": values})
    if kind == ".parquet":
        return _write_parquet(path, columns, values, about)
    raise VepeError(f"The ending of '{path}' is unknown; known are {', '.join(ENDINGS)}.")


def _plain(column: np.ndarray, decimals: int) -> list[Any]:
    if column.dtype.kind != "f":
        return list(column.tolist())
    rounded = np.round(column, decimals).tolist()
    return [value if np.isfinite(value) else None for value in rounded]


def load_pyarrow() -> tuple[Any, Any]:
    """The packages pyarrow and pyarrow.parquet.

    Raises:
        VepeError: if they are missing.
        MemoryError: if there is little memory left. Where it ends, Arrow's threads would crash the
            process.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("Parquet", "pyarrow", "parquet") from None
    try:
        mmap.mmap(-1, MEMORY_OF_ARROW).close()
    except OSError:
        raise MemoryError from None
    return pyarrow, pyarrow.parquet


def _write_parquet(
    path: Path,
    columns: Mapping[str, np.ndarray],
    values: Mapping[str, Sequence[Any]],
    about: Mapping[str, Any],
) -> Path:
    pyarrow, parquet = load_pyarrow()
    with replacing(path) as partial:
        fields = [
            pyarrow.field(name, pyarrow.float64() if column.dtype.kind == "f" else pyarrow.int64())
            for name, column in columns.items()
        ]
        metadata = {f"vepe.{key}": json.dumps(value) for key, value in about.items()}
        schema = pyarrow.schema(fields, metadata=metadata)
        table = pyarrow.table(dict(values), schema=schema)
        parquet.write_table(table, partial, compression="zstd")
    return path
