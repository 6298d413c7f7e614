"""A table of videos: CSV or Parquet with a row for each, by path or address."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from vepe.errors import VepeError, missing_extra, printable
from vepe.formats.files import read_text, real_path
from vepe.limits import advice, limit
from vepe.video.reader import is_address
from vepe.video.remote_files import is_remote_file
from vepe.video.sources import NamedSource, SourceList, unique_names

SUFFIXES = (".csv", ".parquet")
SOURCE_COLUMNS = ("source", "path", "url", "video")
"""Names of the column with the videos, the first of which counts."""
NAME_COLUMN = "name"

_Rows = list[tuple[str, str]]
"""Source and name (or "") of every row."""


def is_manifest(argument: str) -> bool:
    """Whether an argument of `vepe track` is a table of videos."""
    path = Path(argument)
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read_manifest(path: Path) -> SourceList:
    """The videos of a table.

    It has a column `source` (or `path`, `url`, `video`): paths, relative to the table's folder, or
    addresses; and may have a column `name` for the names of the results. Other columns are free.

    Raises:
        VepeError: where it cannot be read, lacks the column, holds no video, a row without one, a
            video or a name twice, or a name that is no file name. It names the rows.
    """
    rows = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    if not rows:
        raise VepeError(f"'{path}' holds no video; write one per row.")
    sources = [_source(path, number, source) for number, (source, _) in _numbered(rows)]
    _check_unique(path, [_identity(source) for source in sources], "hold the same video", rows, 0)
    names = [name for _, name in rows]
    if any(names):
        for number, (_, name) in _numbered(rows):
            if not name or name != Path(name).name or printable(name) != name:
                raise VepeError(
                    f"Row {number} of '{path}' has the name '{printable(name)[:80]}'; give every "
                    "row a file name without folders, or leave the column out."
                )
        _check_unique(path, [name.lower() for name in names], "have the same name", rows, 1)
    else:
        names = unique_names(sources)
    named = tuple(NamedSource(s, n) for s, n in zip(sources, names, strict=True))
    return SourceList(named, (), several=True)


def _numbered(rows: _Rows) -> list[tuple[int, tuple[str, str]]]:
    """The rows with their numbers in a CSV file, whose first row is the header."""
    return list(enumerate(rows, start=2))


def _source(path: Path, number: int, text: str) -> str:
    if not text or printable(text, lines=True) != text:
        raise VepeError(f"Row {number} of '{path}' names no video; correct or remove it.")
    if is_address(text) or is_remote_file(text):
        return text
    return str(path.parent / text)


def _identity(source: str) -> str:
    remote = is_address(source) or is_remote_file(source)
    return source if remote else str(real_path(Path(source)))


def _check_unique(path: Path, keys: Sequence[str], what: str, rows: _Rows, column: int) -> None:
    first: dict[str, int] = {}
    for (number, row), key in zip(_numbered(rows), keys, strict=True):
        if key in first:
            raise VepeError(
                f"Rows {first[key]} and {number} of '{path}' {what}, '{printable(row[column])}'; "
                "remove or rename one."
            )
        first[key] = number


def _read_csv(path: Path) -> _Rows:
    try:
        reader = csv.reader(io.StringIO(read_text(path)), strict=True)
        header = [cell.strip().lower() for cell in next(reader, [])]
        source, name = _columns(path, header)
        rows = []
        for cells in reader:
            if not cells:
                continue  # an empty line
            cells = [*cells, *[""] * (len(header) - len(cells))]
            rows.append((cells[source].strip(), cells[name].strip() if name is not None else ""))
    except csv.Error as error:
        raise VepeError(f"'{path}' is not a CSV table ({error}); check it.") from None
    return rows


def _read_parquet(path: Path) -> _Rows:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("Parquet", "pyarrow", "parquet") from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        header = [str(column).lower() for column in file.schema_arrow.names]
        if file.metadata.num_rows > limit("VEPE_MAX_TABLE_CELLS"):
            more = advice("VEPE_MAX_TABLE_CELLS")
            raise VepeError(f"'{path}' has too many rows; divide it, {more}.")
        source, name = _columns(path, header)
        wanted = [source] if name is None else [source, name]
        table = file.read(columns=[file.schema_arrow.names[index] for index in wanted])
        columns = [table.column(i).to_pylist() for i in range(len(wanted))]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise VepeError(f"'{path}' is not a Parquet table ({reason[:200]}); check it.") from None
    texts = [["" if v is None else str(v).strip() for v in column] for column in columns]
    names = texts[1] if len(texts) > 1 else [""] * len(texts[0])
    return list(zip(texts[0], names, strict=True))


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int | None]:
    """Places of the columns with the source and the name."""
    sources = [column for column in SOURCE_COLUMNS if column in header]
    if not sources:
        raise VepeError(
            f"'{path}' has no column {', '.join(SOURCE_COLUMNS[:-1])} or {SOURCE_COLUMNS[-1]}; "
            "name the one with the videos so."
        )
    return header.index(sources[0]), header.index(NAME_COLUMN) if NAME_COLUMN in header else None
