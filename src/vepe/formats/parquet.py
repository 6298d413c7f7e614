"""Parquet: the table of `table.py` with types, through pyarrow (extra `vepe[parquet]`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vepe.errors import VepeError
from vepe.formats.annotations import Sequence
from vepe.formats.files import replacing
from vepe.formats.table import WHOLE_COLUMNS, columns, rows, sequence_from_rows


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise VepeError(
            "Parquet needs the package pyarrow; install it with: pip install 'vepe[parquet]'."
        ) from None
    return pyarrow, pyarrow.parquet


def write_parquet(path: Path, sequence: Sequence) -> Path:
    """Writes one sequence as Parquet (zstd) and returns the path.

    The file's metadata hold the skeleton as JSON under `vepe.skeleton`.

    Raises:
        VepeError: where pyarrow is missing or `path` cannot be written.
    """
    arrow, parquet = _pyarrow()
    table = rows(sequence)
    names = columns(sequence.skeleton.keypoints)
    fields = [arrow.field(name, _type(arrow, name)) for name in names]
    metadata = {"vepe.skeleton": json.dumps(sequence.skeleton.to_dict())}
    schema = arrow.schema(fields, metadata=metadata)
    data = {name: [row[name] for row in table] for name in names}
    data["is_labeled"] = [bool(value) for value in data["is_labeled"]]
    with replacing(path) as beside:
        parquet.write_table(
            arrow.table(data, schema=schema), beside, compression="zstd", row_group_size=65_536
        )
    return path


def _type(arrow: Any, name: str) -> Any:
    if name in WHOLE_COLUMNS:
        return arrow.int64()
    if name == "file_name":
        return arrow.string()
    return arrow.bool_() if name == "is_labeled" else arrow.float64()


def read_parquet(path: Path) -> Sequence:
    """Reads what `write_parquet` wrote, or any table with those columns.

    Raises:
        VepeError: where pyarrow is missing, or the file is missing or no Parquet file.
    """
    arrow, parquet = _pyarrow()
    try:
        table = parquet.read_table(path)
    except FileNotFoundError:
        raise VepeError(f"{path} does not exist; check the path.") from None
    except (arrow.ArrowException, OSError) as error:
        raise VepeError(f"{path} is no readable Parquet file ({error}); check it.") from error
    return sequence_from_rows(table.to_pylist(), table.column_names, path)
