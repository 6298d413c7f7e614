"""CSV and Parquet: one table with a row per person, for spreadsheets and pandas.

A format of our own. Columns: `frame_index, time_s, file_name, image_id, is_labeled, width, height,
track_id, score, box_{x,y,width,height}, head_{x1,y1,x2,y2}`, then for every keypoint `<name>_x,
<name>_y, <name>_visible` (1 visible, 0 hidden, empty if unknown) and `<name>_score`. A frame
without people has one row with only the frame's columns filled. An absent keypoint has no x and y.
Parquet holds the same table with types, through pyarrow (extra `vepe[parquet]`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError, one_line
from vepe.formats.annotations import (
    AnnotatedFrame,
    AnnotatedSequence,
    FormatName,
    Person,
    skeleton_named,
)
from vepe.formats.columns import load_pyarrow
from vepe.formats.files import read_text, replacing
from vepe.formats.geometry import posetrack_visibility
from vepe.formats.records import number_or_none, track_id_or_none, whole_or_none
from vepe.limits import advice, limit
from vepe.skeleton import POSETRACK15

Row = dict[str, Any]

FRAME_COLUMNS = (
    "frame_index", "time_s", "file_name", "image_id", "is_labeled", "width", "height",
)  # fmt: skip
WHOLE_COLUMNS = frozenset({"frame_index", "image_id", "width", "height", "track_id"})
_BOX = ("box_x", "box_y", "box_width", "box_height")
_HEAD = ("head_x1", "head_y1", "head_x2", "head_y2")
_PERSON_COLUMNS = ("track_id", "score", *_BOX, *_HEAD)
_PARTS = ("x", "y", "visible", "score")


def columns(keypoints: Iterable[str]) -> list[str]:
    """All column names of a skeleton, in order."""
    points = [f"{name}_{part}" for name in keypoints for part in _PARTS]
    return [*FRAME_COLUMNS, *_PERSON_COLUMNS, *points]


def rows(sequence: AnnotatedSequence) -> list[Row]:
    """The rows of a sequence; missing values are None."""
    names = columns(sequence.skeleton.keypoints)
    result: list[Row] = []
    for frame in sequence.frames:
        head = [
            frame.index, frame.time_s, frame.file_name, frame.image_id, int(frame.is_labeled),
            frame.width, frame.height,
        ]  # fmt: skip
        no_person = [None] * (len(names) - len(head))
        people = [_person_cells(p, sequence) for p in frame.people] or [no_person]
        result += [dict(zip(names, head + cells, strict=True)) for cells in people]
    return result


def _person_cells(person: Person, sequence: AnnotatedSequence) -> list[Any]:
    box, head = person.box_xywh_px, person.head_box_xyxy_px
    cells: list[Any] = [
        -1 if person.track_id is None else person.track_id,
        person.score,
        *([None] * 4 if box is None else box.tolist()),
        *([None] * 4 if head is None else head.tolist()),
    ]
    visibility = posetrack_visibility(person, sequence.format)
    for j, (x, y) in enumerate(person.keypoints_px.tolist()):
        score = _cell(person.keypoint_scores[j])
        visible = _cell(visibility[j])
        cells += [x, y, visible, score] if person.present[j] else [None, None, None, score]
    return cells


def _cell(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def sequence_from_rows(table: Iterable[Row], names: list[str], source: Path) -> AnnotatedSequence:
    """The sequence in rows of plain values (None for an empty cell).

    Args:
        table: the rows, in the order of frames; read once, and not stored.
        names: all column names.
        source: the file, for messages and for the sequence's name.

    Raises:
        VepeError: if columns are missing or a cell is not a number; names the row.
    """
    missing = [c for c in ("frame_index", "track_id") if c not in names]
    keypoints = [n[:-2] for n in names if n.endswith("_x") and n != "box_x"]
    missing += [f"{n}_y" for n in keypoints if f"{n}_y" not in names]
    if missing or not keypoints:
        what = ", ".join(missing) or "keypoints such as nose_x, nose_y"
        raise VepeError(f"{source} has no column for {what}; it is not a table of poses.")
    skeleton = skeleton_named(keypoints)
    kind: FormatName = "posetrack18" if skeleton == POSETRACK15 else "coco"
    numbered = ((i, row, f"{source}, row {i + 2}") for i, row in enumerate(table))
    frames = []
    for index, group in groupby(
        numbered, lambda e: (e[1].get("frame_index"), e[1].get("image_id"))
    ):
        members = list(group)
        people = [_person(r, keypoints, kind, p) for _, r, p in members if _has_person(r)]
        frames.append(_frame(members[0][1], tuple(people), members[0][2]))
        if index[0] is None:
            raise VepeError(f"{members[0][2]}: frame_index is empty; number every frame.")
    return AnnotatedSequence(source.stem, tuple(frames), skeleton, source, kind)


def _has_person(row: Row) -> bool:
    return any(v is not None for k, v in row.items() if k not in FRAME_COLUMNS)


def _frame(row: Row, people: tuple[Person, ...], place: str) -> AnnotatedFrame:
    labeled = row.get("is_labeled")
    return AnnotatedFrame(
        index=whole_or_none(row.get("frame_index"), "frame_index", place) or 0,
        file_name=str(row.get("file_name") or ""),
        image_id=whole_or_none(row.get("image_id"), "image_id", place),
        is_labeled=bool(people) if labeled is None else bool(labeled),
        has_annotations=bool(people),
        people=people,
        width=whole_or_none(row.get("width"), "width", place),
        height=whole_or_none(row.get("height"), "height", place),
        time_s=number_or_none(row.get("time_s"), "time_s", place),
    )


def _person(row: Row, keypoints: list[str], kind: FormatName, place: str) -> Person:
    cells = [
        [number_or_none(row.get(f"{n}_{part}"), f"{n}_{part}", place) for part in _PARTS]
        for n in keypoints
    ]
    table = np.array(cells, np.float64).reshape(-1, 4)  # None becomes NaN
    present = np.isfinite(table[:, 0]) & np.isfinite(table[:, 1])
    visibility = table[:, 2] + (1 if kind == "coco" else 0)
    return Person(
        keypoints_px=np.where(present[:, None], table[:, :2], 0.0),
        present=present,
        visibility=np.where(present, visibility, 0.0),
        keypoint_scores=table[:, 3],
        score=number_or_none(row.get("score"), "score", place),
        track_id=track_id_or_none(row.get("track_id"), place),
        head_box_xyxy_px=_box(row, _HEAD, place),
        box_xywh_px=_box(row, _BOX, place),
    )


def _box(row: Row, names: tuple[str, ...], place: str) -> np.ndarray | None:
    values = [number_or_none(row.get(name), name, place) for name in names]
    return None if None in values else np.array(values, np.float64)


def write_csv(path: Path, sequence: AnnotatedSequence) -> Path:
    """Writes one sequence as CSV and returns the path. Raises VepeError if it cannot."""
    with (
        replacing(path) as partial,
        partial.open("w", newline="", encoding="utf-8") as handle,
    ):
        writer = csv.DictWriter(handle, columns(sequence.skeleton.keypoints))
        writer.writeheader()
        writer.writerows(rows(sequence))
    return path


def read_csv(path: Path) -> AnnotatedSequence:
    """Reads what `write_csv` wrote, or any table with those columns (most may be missing).

    Raises:
        VepeError: if the file is missing, not text, or a cell is not a number.
    """
    text = read_text(path)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        names = list(reader.fieldnames or ())
        _check_separator(names, path)
        _check_cells((text.count("\n") + 1) * len(names), path)
        table = [_row(row, f"{path}, row {i}") for i, row in enumerate(reader, start=2)]
    except csv.Error as error:
        raise VepeError(f"{path} is not readable as CSV ({error}); check what it is.") from None
    return sequence_from_rows(table, names, path)


def _check_separator(names: list[str], path: Path) -> None:
    """Raises VepeError for the other separators of spreadsheets, which also write 1,5 for 1.5."""
    for separator, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) < 3 and any(separator in name for name in names):
            raise VepeError(
                f"{path} has {called} between its columns; save it with commas, and with a point "
                "in numbers."
            )


def _check_cells(num_cells: int, path: Path) -> None:
    """Raises VepeError for a large table, as a file of a few bytes can state."""
    if num_cells > limit("VEPE_MAX_TABLE_CELLS"):
        raise VepeError(
            f"{path} states {num_cells} cells, more than the limit; split it, "
            f"{advice('VEPE_MAX_TABLE_CELLS')}."
        )


def _row(row: dict[str, Any], place: str) -> dict[str, Any]:
    if None in row:
        raise VepeError(f"{place}: there are more cells than columns; fix the row.")
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
        raise VepeError(f"{place}: {column} is '{text}', not a number; fix the cell.") from None


def write_parquet(path: Path, sequence: AnnotatedSequence) -> Path:
    """Writes one sequence as Parquet (zstd) and returns the path.

    The file's metadata have the skeleton as JSON under `vepe.skeleton`.

    Raises:
        VepeError: if pyarrow is missing or `path` cannot be written.
    """
    arrow, parquet = load_pyarrow()
    table = rows(sequence)
    names = columns(sequence.skeleton.keypoints)
    fields = [arrow.field(name, _type(arrow, name)) for name in names]
    metadata = {"vepe.skeleton": json.dumps(sequence.skeleton.to_dict())}
    schema = arrow.schema(fields, metadata=metadata)
    data = {name: [row[name] for row in table] for name in names}
    data["is_labeled"] = [bool(value) for value in data["is_labeled"]]
    with replacing(path) as partial:
        parquet.write_table(
            arrow.table(data, schema=schema), partial, compression="zstd", row_group_size=65_536
        )
    return path


def _type(arrow: Any, name: str) -> Any:
    if name in WHOLE_COLUMNS:
        return arrow.int64()
    if name == "file_name":
        return arrow.string()
    return arrow.bool_() if name == "is_labeled" else arrow.float64()


def read_parquet(path: Path) -> AnnotatedSequence:
    """Reads what `write_parquet` wrote, or any table with those columns.

    Raises:
        VepeError: if pyarrow is missing, or the file is missing or not Parquet.
    """
    arrow, parquet = load_pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_cells(file.metadata.num_rows * len(names), path)
            batches = file.iter_batches(batch_size=4096, use_threads=False)
            table = (row for batch in batches for row in batch.to_pylist())
            return sequence_from_rows(table, names, path)
    except FileNotFoundError:
        raise VepeError(f"{path} does not exist; check the path.") from None
    except (arrow.ArrowException, OSError, MemoryError, OverflowError) as error:
        reason = one_line(error)
        raise VepeError(f"{path} is not a readable Parquet file ({reason}); check it.") from error
    except UnicodeDecodeError:
        raise VepeError(f"{path} has a text that is not UTF-8; check it.") from None
