"""`vepe synth`: renders labelled video of synthetic people."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.cli.spread import Address, On, Spread, make_parts
from vepe.errors import VepeError, printable

if TYPE_CHECKING:
    from vepe_synth.config import SynthSettings
    from vepe_synth.dataset import RenderJob


class Split(StrEnum):
    """Which avatars are used, and which folder the videos go to."""

    train = "train"
    val = "val"


def synth(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="Output folder of the data set.", show_default=False),
    ],
    videos: Annotated[int, typer.Option(min=1, max=400_000, help="Number of videos.")] = 100,
    frames: Annotated[int, typer.Option(help="Frames per video.")] = 24,
    size: Annotated[str, typer.Option(help="Width x height in pixels.")] = "640x384",
    people: Annotated[str, typer.Option(help="Number of people: '3' or '1-6'.")] = "1-6",
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 25.0,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Random seed.")] = 0,
    split: Annotated[
        Split, typer.Option(help="'val' uses people who never occur in 'train'.")
    ] = Split.train,
    avatars: Annotated[
        Path | None,
        typer.Option(help="Tar or folder of avatars to use instead of the bundled ones."),
    ] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of background images without people.")
    ] = None,
    occluders: Annotated[
        float, typer.Option(help="Fraction of videos with objects in front of people.")
    ] = 0.5,
    blur: Annotated[float, typer.Option(help="Fraction of videos with motion blur.")] = 0.4,
    workers: Annotated[
        int,
        typer.Option(min=0, help="Number of processes; 0 uses all cores, here or of the cluster."),
    ] = 0,
    on: On = None,
    address: Address = None,
    preview: Annotated[
        bool,
        typer.Option("--preview/--no-preview", help="Draw OUT/preview_<split>.jpg at the end."),
    ] = True,
) -> None:
    """Render labelled multi-person video, in PoseTrack18's layout.

    The same options give the same videos. Run the command again to resume after an interruption,
    or with more --videos to add to the data set. Needs moderngl and an EGL driver, see
    docs/synth.md.
    """
    spread = Spread.of(on, address=address, workers=(workers or None) if on else None)
    from vepe.formats.folder_lock import locked_folder
    from vepe_synth.dataset import RenderJob, prepare
    from vepe_synth.preview import write_preview
    from vepe_synth.workers import usable_cores

    settings = _settings(
        frames=frames, size=size, people=people, fps=fps, occluders=occluders, blur=blur
    )
    job = RenderJob(out, settings, videos, split.value, seed, avatars, backgrounds)
    with locked_folder(out):
        prepare(job)
        if spread.on is None:
            _render(job, workers or usable_cores())
        else:
            _render_on(spread, job)
        typer.echo(printable(f"{videos} videos of {frames} frames are in {out}."))
        if preview:
            typer.echo(printable(f"Preview: {write_preview(job)}"))


def _render(job: RenderJob, workers: int) -> None:
    """Renders the missing videos, with a progress bar on stderr."""
    import time

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from vepe_synth.workers import render

    columns = (
        TextColumn("Rendering"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    missing = len(job.missing())
    start = time.monotonic()
    with Progress(
        *columns, console=Console(stderr=True), disable=not sys.stderr.isatty()
    ) as progress:
        task = progress.add_task(
            "", total=job.videos, completed=job.videos - missing, speed="starting"
        )
        done = render(job, workers)
        try:
            for count, _ in enumerate(done, 1):
                speed = count * job.settings.frames / (time.monotonic() - start)
                progress.update(task, advance=1, speed=f"{speed:.1f} frames/s")
        finally:
            done.close()  # type: ignore[attr-defined]


def _render_on(spread: Spread, job: RenderJob) -> None:
    """Renders the missing videos on a cluster, each as one task."""
    from vepe.cluster.parts import PartWork
    from vepe_synth.dataset import sequence_name
    from vepe_synth.workers import open_maker

    job = job.absolute()
    missing = job.missing()
    make_parts(
        PartWork({sequence_name(job.split, i): i for i in missing}, partial(open_maker, job)),
        spread,
        command="vepe synth",
        what="videos",
        folder=job.out,
        done=job.videos - len(missing),
        about={"split": job.split, "seed": job.seed, "settings": job.settings},
    )


def opengl_renderer() -> str:
    """Name of the OpenGL renderer that `vepe synth` would use, for `vepe doctor`.

    Raises:
        VepeError: if moderngl or a driver is missing; the message says what to install.
    """
    from vepe_synth.gl import open_context

    context = open_context()
    name = str(context.info["GL_RENDERER"])
    context.release()
    return name


def _settings(
    *, frames: int, size: str, people: str, fps: float, occluders: float, blur: float
) -> SynthSettings:
    from pydantic import ValidationError

    from vepe_synth.config import PeopleSettings, SynthSettings

    width, height = _two_numbers(size, "x", "--size", "640x384")
    low, high = _two_numbers(people, "-", "--people", "1-6", single=True)
    try:
        return SynthSettings(
            width=width,
            height=height,
            fps=fps,
            frames=frames,
            people=PeopleSettings(people_min=low, people_max=high),
            occluder_share=occluders,
            blur_share=blur,
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "people"
        raise VepeError(f"{name}: {first['msg']} (got {first['input']}).") from None


def _two_numbers(
    text: str, between: str, option: str, example: str, *, single: bool = False
) -> tuple[int, int]:
    """Parses '640x384' or '1-6'; with `single`, one number stands for both."""
    match = re.fullmatch(rf"(\d{{1,6}})(?:{between}(\d{{1,6}}))?", text.strip().lower())
    if match is None or (match[2] is None and not single):
        raise VepeError(f"{option} is '{text}'; write it as {example}.")
    return int(match[1]), int(match[2] or match[1])
