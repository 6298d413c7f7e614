"""`vepe edit`: track ids repaired after the fact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vepe.cli.options import Poses, Sequence
from vepe.cli.output import Quiet, note
from vepe.errors import counted


def edit(
    poses: Poses,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="File to write; its ending names the format.",
            show_default="POSES_edited.json",
        ),
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(metavar="3:2", help="Track 3 becomes 2 (3,4:2: both do).", show_default=False),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            metavar="5@12.4s",
            help="From 12.4 s on, track 5 gets a new id (5@12.4s=9: the id 9).",
            show_default=False,
        ),
    ] = None,
    swap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="1,2@3.0s", help="From 3 s on, 1 and 2 change places.", show_default=False
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="7", help="Remove track 7 (7,8: both).", show_default=False),
    ] = None,
    sequence: Sequence = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file (never POSES).")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Repair track ids: merge, split, swap and drop tracks; writes a new file.

    All options are repeatable. Swaps and splits come first, by their times, then merges, then
    drops. The log of all edits is in the new file's info block, where the format has one.
    """
    from vepe.results.editing import apply_edits, parse_edits

    edits = parse_edits({"swap": swap, "split": split, "merge": merge, "drop": drop})
    from vepe.formats.files import check_targets
    from vepe.formats.tracks import format_of, write_tracks
    from vepe.results.video import read

    target = output or poses.with_name(f"{poses.stem}_edited.json")
    format = format_of(target)
    check_targets([target], [poses] if poses.exists() else [], overwrite=overwrite)
    edited = apply_edits(read(poses, sequence=sequence), edits)
    write_tracks(format, target, edited)
    for record in edited.info["edits"][-len(edits) :]:
        new_id = f", new id {record['new_id']}" if "new_id" in record else ""
        note(f"{record['edit']}: {counted(record['frames'], 'frame')}{new_id}")
    note(f"{counted(len(edited.track_ids()), 'track')}: {target}")
