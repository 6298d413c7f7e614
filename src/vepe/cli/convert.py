"""`vepe convert`: annotations and results from one file format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vepe.cli.output import echo
from vepe.errors import counted

_FORMATS = (
    "posetrack17, posetrack18, posetrack21, coco, csv, parquet, hdf5, mot, openpose, "
    "label-studio, slp"
)


def convert(
    source: Annotated[
        Path,
        typer.Argument(help="File, or folder with one file per sequence.", show_default=False),
    ],
    target: Annotated[
        Path,
        typer.Argument(help="File or folder to write; .zip for a submission.", show_default=False),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            "--format",
            help=f"Format to write, or several separated by commas: json, {_FORMATS}, nwb, "
            "rerun, submission (cvat means coco).",
            show_default="by the ending of the target",
        ),
    ] = None,
    from_format: Annotated[
        str | None,
        typer.Option("--from", help=f"Format of the source, if not detected: {_FORMATS}."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(help="Ground truth whose names, frames and year a submission takes."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing files (never the source).")
    ] = False,
) -> None:
    """Convert poses and labels between PoseTrack, COCO, CVAT, Label Studio, MOT, SLEAP and tables.

    Prints one line for each kind of data that the target format cannot hold.
    """
    from vepe.formats.conversion import convert_annotations

    done = convert_annotations(
        source, target, to, from_format=from_format, like=like, overwrite=overwrite
    )
    for note in done.notes:
        echo(f"note: {note}")
    written = str(done.written[0]) if len(done.written) == 1 else f"{len(done.written)} in {target}"
    echo(
        f"Wrote {written}: {counted(done.sequences, 'sequence')}, "
        f"{counted(done.frames, 'frame')}, {counted(done.people, 'person', 'people')}."
    )
