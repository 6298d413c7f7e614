"""`vepe report`: one page that says where poses without labels should not be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vepe.cli.options import Poses, Sequence
from vepe.cli.output import Quiet, loading, note
from vepe.errors import VepeError, counted


def report(
    poses: Poses,
    video: Annotated[
        Path | None,
        typer.Argument(
            help="The video or folder of images that they belong to, for thumbnails; without it, "
            "the one that POSES names, if it is still there.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The .html file to write.", show_default="POSES_quality.html"
        ),
    ] = None,
    no_video: Annotated[
        bool, typer.Option("--no-video", help="Draw thumbnails on black: no image is shown.")
    ] = False,
    sequence: Sequence = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write a quality page for poses without labels: gaps, low scores, jitter, jumps, doubtful ids.

    The page is one file without a script: a timeline of ids, frames worth a look, scores and
    jitter over time, and a list of what to check, with the `vepe edit` options that may repair it.
    """
    target = output or poses.with_name(f"{poses.stem}_quality.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise VepeError(f"The page is written as HTML; name '{target.with_suffix('.html')}'.")
    if no_video and video is not None:
        raise VepeError("A VIDEO and --no-video contradict each other; leave out one.")
    with loading(str(poses)):
        from vepe.formats.files import check_targets, write_bytes
        from vepe.results.quality_page import quality_page, without_video
        from vepe.results.video import read

        sources = [path for path in (poses, video) if path is not None and path.exists()]
        check_targets([target], sources, overwrite=overwrite)
        result = read(poses, video=video, sequence=sequence)
        page, quality = quality_page(without_video(result) if no_video else result)
        write_bytes(target, page.encode())
    note(
        f"{counted(len(quality.times_s), 'frame')}, {counted(len(quality.tracks), 'track')}, "
        f"{len(quality.findings)} to look at: {target}"
    )
