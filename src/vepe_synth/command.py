"""`vepe synth`: renders labelled video of synthetic people."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.errors import VepeError

if TYPE_CHECKING:
    from vepe_synth.config import SynthSettings
    from vepe_synth.dataset import Order


class Split(StrEnum):
    """Which people are in the videos, and which folder they go to."""

    train = "train"
    val = "val"


def synth(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the data set.", show_default=False)
    ],
    videos: Annotated[int, typer.Option(min=1, help="How many videos.")] = 100,
    frames: Annotated[int, typer.Option(help="Frames of each video.")] = 24,
    size: Annotated[str, typer.Option(help="Width x height in pixels.")] = "640x384",
    people: Annotated[str, typer.Option(help="How many people: '3', or '1-6'.")] = "1-6",
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 25.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other videos.")] = 0,
    split: Annotated[
        Split, typer.Option(help="'val' has people that are never in 'train'.")
    ] = Split.train,
    avatars: Annotated[
        Path | None, typer.Option(help="Tar or folder of avatars instead of the bundled ones.")
    ] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of pictures without people, as backgrounds.")
    ] = None,
    occluders: Annotated[
        float, typer.Option(help="Share of videos with things in front of people.")
    ] = 0.5,
    blur: Annotated[float, typer.Option(help="Share of videos with motion blur.")] = 0.4,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes one for each core.")] = 0,
    preview: Annotated[
        bool,
        typer.Option("--preview/--no-preview", help="Draw OUT/preview_<split>.jpg at the end."),
    ] = True,
) -> None:
    """Render labelled multi-person video, in PoseTrack18's layout.

    The same options give the same videos. Run again to go on after an interruption, or with more
    --videos to add to them. Needs moderngl and an EGL driver: see docs/synth.md.
    """
    from vepe_synth.dataset import Order, prepare
    from vepe_synth.preview import write_preview
    from vepe_synth.production import usable_cores

    settings = _settings(
        frames=frames, size=size, people=people, fps=fps, occluders=occluders, blur=blur
    )
    order = Order(out, settings, videos, split.value, seed, avatars, backgrounds)
    prepare(order)
    _produce(order, workers or usable_cores())
    typer.echo(f"{videos} videos of {frames} frames are in {out}.")
    if preview:
        typer.echo(f"What they look like: {write_preview(order)}")


def _produce(order: Order, workers: int) -> None:
    """Makes what is missing, with a bar, frames a second and the time left on stderr."""
    import time

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from vepe_synth.production import produce

    columns = (
        TextColumn("Rendering"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    missing = len(order.missing())
    start = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(
            "", total=order.videos, completed=order.videos - missing, speed="starting"
        )
        done = produce(order, workers)
        try:
            for count, _ in enumerate(done, 1):
                speed = count * order.settings.frames / (time.monotonic() - start)
                progress.update(task, advance=1, speed=f"{speed:.1f} frames/s")
        finally:
            done.close()  # type: ignore[attr-defined]


def _settings(
    *, frames: int, size: str, people: str, fps: float, occluders: float, blur: float
) -> SynthSettings:
    from pydantic import ValidationError

    from vepe_synth.config import SynthSettings
    from vepe_synth.scene_config import PerformanceSettings

    width, height = _two_numbers(size, "x", "--size", "640x384")
    low, high = _two_numbers(people, "-", "--people", "1-6", single=True)
    try:
        return SynthSettings(
            width=width,
            height=height,
            fps=fps,
            frames=frames,
            people=PerformanceSettings(people_min=low, people_max=high),
            occluder_share=occluders,
            blur_share=blur,
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "people"
        raise VepeError(f"{name}: {first['msg']} (given: {first['input']}).") from None


def _two_numbers(
    text: str, between: str, option: str, example: str, *, single: bool = False
) -> tuple[int, int]:
    """Two whole numbers from '640x384' or '1-6'; where allowed, one number stands for both."""
    found = re.fullmatch(rf"(\d{{1,6}})(?:{between}(\d{{1,6}}))?", text.strip().lower())
    if found is None or (found[2] is None and not single):
        raise VepeError(f"{option} is '{text}'; write it as {example}.")
    return int(found[1]), int(found[2] or found[1])
