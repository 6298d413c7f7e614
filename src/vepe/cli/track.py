"""`vepe track`: poses and identities over a video."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.inference.devices import DEFAULT_CONF, DEFAULT_MODEL

if TYPE_CHECKING:
    from vepe.inference.pipeline import TrackReport
    from vepe.types import VideoInfo

_INTERRUPTED = 130


class Format(str, Enum):  # noqa: UP042 - typer shows the plain values
    """What poses can be written as."""

    posetrack = "posetrack"
    coco = "coco"
    csv = "csv"
    mot = "mot"
    parquet = "parquet"
    openpose = "openpose"


class Smooth(str, Enum):  # noqa: UP042
    """How keypoints are smoothed."""

    off = "off"
    causal = "causal"
    offline = "offline"


def track(
    source: Annotated[
        str,
        typer.Argument(
            help="A video file, a folder of frames, a camera's number, or an rtsp or http address.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the results.")] = Path(
        "vepe_output"
    ),
    model: Annotated[
        str,
        typer.Option(help="A model with bundled weights, a .safetensors file, or hf://OWNER/REPO."),
    ] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    conf: Annotated[
        float,
        typer.Option(
            help="Person score that starts a track; once begun, it goes on with lower ones."
        ),
    ] = DEFAULT_CONF,
    window: Annotated[
        int | None,
        typer.Option(help="Frames that a frame's poses are read from.", show_default="the model's"),
    ] = None,
    lookahead: Annotated[
        int | None,
        typer.Option(help="How many of those lie in the future.", show_default="the model's"),
    ] = None,
    input_px: Annotated[
        int | None,
        typer.Option(
            help="Longer side of the network's input; more finds smaller people, more slowly.",
            show_default="the model's",
        ),
    ] = None,
    stride: Annotated[int, typer.Option(help="Take every n-th frame.")] = 1,
    start: Annotated[float, typer.Option(help="Begin at this time, in seconds.")] = 0.0,
    end: Annotated[
        float | None, typer.Option(help="Stop at this time, in seconds.", show_default="the end")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of a folder of frames.", show_default="25"),
    ] = None,
    no_video: Annotated[bool, typer.Option("--no-video", help="Write no video.")] = False,
    format: Annotated[
        list[Format] | None,
        typer.Option(
            help="Also write the poses as this (repeatable). PoseTrack's JSON is always written. "
            "All others hold the whole video's poses in memory for a moment.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the frames in a window.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are there.")
    ] = False,
    smooth: Annotated[
        Smooth,
        typer.Option(help="Calmer keypoints: from the past alone, or from both sides (files)."),
    ] = Smooth.off,
) -> None:
    """Find, follow and draw the people of a video.

    Writes DIR/<name>.mp4, the video with skeletons and ids, and DIR/<name>.json, the poses with
    times and ids in PoseTrack18's layout. Ctrl-C ends early and keeps what was done.
    """
    from vepe.errors import VepeError
    from vepe.inference.pipeline import TrackJob, run
    from vepe.video.reader import VideoSource, open_video

    def opened() -> VideoSource:
        return open_video(source, start_s=start, end_s=end, stride=stride, fps=fps)

    with opened() as video:
        formats = dict.fromkeys(["posetrack", *(f.value for f in format or [])])
        name = result_name(source, video.info)
        job = TrackJob(output, name, not no_video, tuple(formats), overwrite, start, stride)
        job.check(video.info.path)
        if video.info.live and smooth is Smooth.offline:
            raise VepeError(
                "Offline smoothing needs the whole video, and this source is live; use "
                "--smooth causal."
            )
        from vepe.inference.predictor import load

        predictor = load(
            model,
            device=device,
            conf=conf,
            window=window,
            lookahead=lookahead,
            input_px=input_px,
            smooth=smooth.value,
        )
        with (
            _stop_on_interrupt() as stop,
            _progress(video.info) as on_frame,
            _preview(video.info.name, stop, wanted=show) as shown,
        ):
            report = run(
                predictor, video, job, on_frame=on_frame, show=shown, stop=stop, again=opened
            )
    _tell(report)
    if report.stopped and not video.info.live and not show:
        raise typer.Exit(_INTERRUPTED)


def result_name(source: str, info: VideoInfo) -> str:
    """What the results of a source are called, without ending."""
    path = Path(source)
    if path.is_dir():
        return path.absolute().name or "video"
    if info.path is not None:
        return path.stem
    # A camera, or an address: its last part, or the host where there is none.
    name = Path(info.name.partition("?")[0].rstrip("/")).stem
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "video"


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C asks the work to end and keep what was done; a second one breaks it off."""
    stop = threading.Event()
    line = "Stopping; writing what was done. Ctrl-C again discards it.\n"
    if sys.stderr.isatty():
        line = "\n" + line  # not into the progress bar
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def ask(number: int, frame: object) -> None:
        if not stop.is_set():
            os.write(2, line.encode())  # a handler may not use sys.stderr: it may be in use itself
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(info: VideoInfo) -> Iterator[Callable[[int], None]]:
    """A bar with frames per second and the time that is left, where somebody sees it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:.1f} frames/s")

    console = Console(stderr=True)
    ends = info.frame_count is not None
    columns = [
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TextColumn("left" if ends else ""),
        TimeRemainingColumn(compact=True) if ends else TimeElapsedColumn(),
    ]
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(info.name, total=info.frame_count)
        yield lambda frames: bar.update(task, completed=frames)


@contextmanager
def _preview(
    title: str, stop: threading.Event, *, wanted: bool
) -> Iterator[Callable[[object], None] | None]:
    """What shows a frame in a window, or None; closing the window ends the work."""
    if not wanted:
        yield None
        return
    from vepe.inference.preview import Preview

    preview = Preview(title)

    def show(image: object) -> None:
        preview.show(image)  # type: ignore[arg-type]
        if preview.closed:
            stop.set()

    try:
        yield show
    finally:
        preview.destroy()


def _tell(report: TrackReport) -> None:
    """The last lines: what was found, how quickly, and where it is."""
    for warning in report.warnings:
        typer.echo(f"vepe: {warning}", err=True)
    if not report.frames:
        typer.echo("Stopped before the first frame was done; nothing was written.")
        return
    mean = report.people / report.frames
    typer.echo(
        f"{report.frames} frames{' (stopped early)' if report.stopped else ''}, "
        f"{mean:.1f} people a frame, {report.track_ids} ids, {report.fps:.1f} frames/s: "
        + ", ".join(str(path) for path in report.paths)
    )
