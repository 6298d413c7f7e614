"""`vepe track`: poses and identities of the people in a video."""

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

from vepe.cli.options import Device, ImageSize, InputPx, Model, image_size, prepare_device
from vepe.cli.output import echo
from vepe.inference import DEFAULT_CONF, DEFAULT_MODEL

if TYPE_CHECKING:
    from vepe.inference.pipeline import TrackReport
    from vepe.types import VideoInfo

_INTERRUPTED = 130
_INCOMPLETE = 2


class Format(str, Enum):  # noqa: UP042 - typer shows the plain values
    """File formats of poses."""

    posetrack = "posetrack"
    coco = "coco"
    csv = "csv"
    mot = "mot"
    parquet = "parquet"
    openpose = "openpose"


class Smooth(str, Enum):  # noqa: UP042
    """Keypoint smoothing."""

    off = "off"
    causal = "causal"
    offline = "offline"


def track(
    source: Annotated[
        str,
        typer.Argument(
            help="Video file, folder of images, camera number, or an rtsp or http URL.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path(
        "vepe_output"
    ),
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    conf: Annotated[
        float,
        typer.Option(help="Lowest person score that starts a track; later frames may score lower."),
    ] = DEFAULT_CONF,
    window: Annotated[
        int | None,
        typer.Option(
            help="Number of frames that each frame's poses are read from.",
            show_default="the model's",
        ),
    ] = None,
    lookahead: Annotated[
        int | None,
        typer.Option(
            help="How many of those are future frames; results come that much later.",
            show_default="2 for files, 0 for live sources",
        ),
    ] = None,
    imgsz: ImageSize = None,
    input_px: InputPx = None,
    stride: Annotated[int, typer.Option(help="Take every n-th frame.")] = 1,
    start: Annotated[float, typer.Option(help="Start at this time, in seconds.")] = 0.0,
    end: Annotated[
        float | None, typer.Option(help="Stop at this time, in seconds.", show_default="the end")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of a folder of images.", show_default="25"),
    ] = None,
    no_video: Annotated[bool, typer.Option("--no-video", help="Write no video.")] = False,
    format: Annotated[
        list[Format] | None,
        typer.Option(
            help="Also write the poses in this format (repeatable). PoseTrack's JSON is always "
            "written. All others need the poses of the whole video in memory.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the frames in a window.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results.")
    ] = False,
    smooth: Annotated[
        Smooth,
        typer.Option(
            help="Smooth keypoints: 'causal' uses past frames only; 'offline' also future frames, "
            "and fills short gaps (not for live sources)."
        ),
    ] = Smooth.off,
) -> None:
    """Estimate, track and draw the poses of the people in a video.

    Writes DIR/<name>.mp4, the video with skeletons and ids, and DIR/<name>.json, the poses with
    times and ids in PoseTrack18's layout. Ctrl-C stops early and writes what is finished. Exit
    code 2: part of the video could not be read, and the results lack it.
    """
    from vepe.errors import VepeError
    from vepe.inference.pipeline import TrackJob, run
    from vepe.video.reader import VideoSource, open_video

    def reopen() -> VideoSource:
        return open_video(source, start_s=start, end_s=end, stride=stride, fps=fps)

    input_size = image_size(imgsz, input_px)
    with reopen() as video:
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

        prepare_device(device)
        predictor = load(
            model,
            device=device,
            conf=conf,
            window=window,
            lookahead=lookahead,
            input_px=input_size,
            smooth=smooth.value,
        )
        with (
            _stop_on_interrupt() as stop,
            _progress(video.info) as on_frame,
            _preview(video.info.name, stop, enabled=show) as show_image,
        ):
            report = run(
                predictor, video, job, on_frame=on_frame, show=show_image, stop=stop, reopen=reopen
            )
    _print_report(report)
    if report.stopped and not video.info.live and not show:
        raise typer.Exit(_INTERRUPTED)
    if report.incomplete:
        raise typer.Exit(_INCOMPLETE)


def result_name(source: str, info: VideoInfo) -> str:
    """Name of the results of a source, without ending."""
    path = Path(source)
    if path.is_dir():
        return path.absolute().name or "video"
    if info.path is not None:
        return path.stem
    # A camera, or a URL: its last part, or the host where there is none.
    name = Path(info.name.partition("?")[0].rstrip("/")).stem
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "video"


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C stops the work and writes what is finished; a second one aborts it."""
    stop = threading.Event()
    line = "Stopping and writing what is finished. Ctrl-C again discards it.\n"
    if sys.stderr is not None and sys.stderr.isatty():
        line = "\n" + line  # not into the progress bar
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def request_stop(number: int, frame: object) -> None:
        if not stop.is_set() and sys.stderr is not None:
            os.write(2, line.encode())  # a handler must not use sys.stderr: it may be in use
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in numbers:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(info: VideoInfo) -> Iterator[Callable[[int], None]]:
    """A bar with frames per second and remaining time, on terminals only."""
    from rich.console import Console
    from rich.markup import escape
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

    from vepe.errors import printable

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
        task = bar.add_task(escape(printable(info.name)), total=info.frame_count)
        yield lambda frames: bar.update(task, completed=frames)


@contextmanager
def _preview(
    title: str, stop: threading.Event, *, enabled: bool
) -> Iterator[Callable[[object], None] | None]:
    """A function that shows an image in a window, or None; closing the window stops the work."""
    if not enabled:
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


def _print_report(report: TrackReport) -> None:
    """The last lines: what was detected, how fast, and where the results are."""
    for warning in report.warnings:
        echo(f"vepe: {warning}", err=True)
    if not report.frames:
        echo("Stopped before the first frame was finished; nothing was written.")
        return
    mean = report.people / report.frames
    echo(
        f"{report.frames} frames{' (stopped early)' if report.stopped else ''}, "
        f"{mean:.1f} people per frame, {report.track_ids} ids, {report.fps:.1f} frames/s: "
        + ", ".join(str(path) for path in report.paths)
    )
