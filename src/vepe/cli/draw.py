"""`vepe draw`: a video of saved poses, without the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vepe.cli.drawing import with_drawing_options
from vepe.cli.options import Poses, Sequence
from vepe.cli.output import Quiet, note
from vepe.errors import counted
from vepe.viz.options import DrawingOptions


@with_drawing_options
def draw(
    poses: Poses,
    video: Annotated[
        Path | None,
        typer.Argument(
            metavar="VIDEO",
            help="The video or folder of images that they belong to; without it, they are drawn on "
            "black.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The .mp4 file to write.", show_default="POSES_drawn.mp4"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    sequence: Sequence = None,
    quiet: Quiet = False,
    *,
    drawing: DrawingOptions,
) -> None:
    """Draw saved poses onto their video, or on black; no network runs.

    The sound and the times of the video are kept. Frames outside the span of the poses are left
    out.
    """
    from vepe.cli.progress import video_progress
    from vepe.formats.files import check_targets
    from vepe.results.render import draw_video
    from vepe.results.video import read

    target = output or poses.with_name(f"{poses.stem}_drawn.mp4")
    sources = [poses] if video is None else [poses, video]
    check_targets([target], [source for source in sources if source.exists()], overwrite=overwrite)
    tracks = read(poses, video=video, sequence=sequence)
    total = replace(tracks.video, frame_count=len(tracks))
    done = 0

    def on_frame(count: int, of: int) -> None:
        nonlocal done
        done = count
        show(count)

    with video_progress(total) as show:
        draw_video(tracks, video, target, drawing, overwrite=overwrite, on_frame=on_frame)
    note(f"{counted(done, 'frame')}: {target}")
