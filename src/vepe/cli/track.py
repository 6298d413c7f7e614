"""`vepe track`: poses and identities of the people in videos."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vepe.cli.drawing import with_drawing_options
from vepe.cli.many import list_videos, load_model, print_report, track_many
from vepe.cli.options import (
    Backend,
    Device,
    Flip,
    Formats,
    ImageSize,
    InputPx,
    Model,
    image_size,
)
from vepe.cli.output import Quiet, loading, note
from vepe.cli.progress import video_progress
from vepe.cli.spread import INTERRUPTED, Address, CpusPerWorker, On, Spread, Workers
from vepe.cli.stop import stop_on_interrupt
from vepe.errors import VepeError
from vepe.inference import DEFAULT_CONF, DEFAULT_MODEL
from vepe.viz.options import DrawingOptions

if TYPE_CHECKING:
    from vepe.inference.batch import SharedSettings
    from vepe.inference.predictor import Predictor
    from vepe.inference.result_store import ResultStore
    from vepe.types import VideoInfo
    from vepe.video.sources import NamedSource, SourceList

_INCOMPLETE = 2


class Smooth(str, Enum):  # noqa: UP042 - typer shows the plain values
    """Keypoint smoothing."""

    off = "off"
    causal = "causal"
    offline = "offline"


@with_drawing_options
def track(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Video files; folders of videos, or of the frames of one; patterns such as "
            "'clips/*.mp4'; a .txt file with one of these per line, or a .csv or .parquet table; a "
            "camera's number; `screen`; `-` for a video on stdin, which is read to its end first; "
            "an rtsp, http, s3, gs or hf address; a page of YouTube.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Folder for the results; also in an object store, such as s3://bucket/results.",
        ),
    ] = "vepe_output",
    model: Model = DEFAULT_MODEL,
    backend: Backend = "auto",
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
            help="How many frames to wait for; the 1st, 2nd and 4th of them are read, too.",
            show_default="the model's for files, 0 for live sources",
        ),
    ] = None,
    imgsz: ImageSize = None,
    input_px: InputPx = None,
    flip: Flip = False,
    stride: Annotated[int, typer.Option(help="Take every n-th frame.")] = 1,
    start: Annotated[float, typer.Option(help="Start at this time, in seconds.")] = 0.0,
    end: Annotated[
        float | None, typer.Option(help="Stop at this time, in seconds.", show_default="the end")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of folders of images.", show_default="25"),
    ] = None,
    no_video: Annotated[bool, typer.Option("--no-video", help="Write no video.")] = False,
    format: Formats = None,
    rerun: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.rrd",
            help="Also write a recording for the rerun viewer: the video, if it is an MP4 file, "
            "with the poses by id. For many videos: --format rerun.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the frames in a window.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Skip videos whose results are complete and of the same model and options; "
            "finish those that were stopped.",
        ),
    ] = False,
    smooth: Annotated[
        Smooth,
        typer.Option(
            help="Smooth keypoints: 'causal' uses past frames only; 'offline' also future frames, "
            "and fills short gaps (not for live sources)."
        ),
    ] = Smooth.off,
    on: On = None,
    address: Address = None,
    cpus_per_worker: CpusPerWorker = None,
    workers: Workers = None,
    segment_s: Annotated[
        float | None,
        typer.Option(
            help="Divide longer videos into segments of so many seconds, which are tracked apart "
            "and joined.",
            show_default="no division",
        ),
    ] = None,
    quiet: Quiet = False,
    *,
    drawing: DrawingOptions,
) -> None:
    """Estimate, track and draw the poses of the people in videos.

    Writes DIR/<name>.mp4, the video with skeletons and ids, and DIR/<name>.json, the poses with
    times and ids in PoseTrack18's layout and an `info` block that says how they were made. Ctrl-C
    stops early and writes what is finished.

    Of many videos, one that fails does not stop the others; it is listed at the end. Exit code 2:
    part of the video could not be read, and the results lack it; 3: some of many videos failed.
    """
    input_size = image_size(imgsz, input_px)
    formats = tuple(dict.fromkeys(["posetrack", *(format or [])]))

    load = partial(
        load_model,
        device=device,
        backend=backend,
        conf=conf,
        window=window,
        lookahead=lookahead,
        input_px=input_size,
        flip=flip,
        smooth=smooth.value,
    )
    spread = Spread.of(
        on,
        address=address,
        cpus_per_worker=cpus_per_worker,
        workers=workers,
        segment_s=segment_s,
        show=show,
    )

    with loading(model):
        from vepe.formats.tracks import check_package
        from vepe.inference.track_job import TrackJob
        from vepe.video.source import Span
        from vepe.video.sources import refuse_single_images

        refuse_single_images(sources)
        listed = list_videos(sources)
        Span(start, end, stride)  # checked once, not for each video
        if show and listed.several:
            raise VepeError("--show is for one source; leave it out to track many.")
        if rerun is not None:
            _check_recording(rerun, listed, overwrite=overwrite or resume)
        store = _store(output, rerun)
        folder = Path(output if store is None else os.devnull)  # with a store it is not used
        job = TrackJob(folder, "", not no_video, formats, overwrite, start, stride, drawing=drawing)
        if store is None:
            job.check_output()
        else:
            for name in formats:
                check_package(name)
        for sentence in listed.notes:
            note(f"vepe: {sentence}", err=True)
        if not listed.several:
            listed.sources[0].check()
        from vepe.inference.batch import SharedSettings, plan_batch
        from vepe.inference.model_files import find_weights
        from vepe.inference.result_info import RunInfo, run_options

        changed: dict[str, Any] = {}
        if not no_video and drawing.changed():
            changed["drawing"] = drawing.changed()
        if flip:
            changed["flip"] = True
        options = run_options(
            backend=backend,
            conf=conf,
            window=window,
            lookahead=lookahead,
            input_px=input_size,
            smooth=smooth.value,
            start_s=start,
            end_s=end,
            stride=stride,
            fps=fps,
            changed=changed,
        )
        info = RunInfo.of(model, find_weights(model), options)
        settings = SharedSettings(job, info, end, fps, store)
        plan = plan_batch(listed.sources, settings, resume=resume)
    for source in plan.done if not listed.several else ():
        note(f"'{source.source}' is done already: {settings.where(source.name)}.json")
        if rerun is not None:
            _write_recording(rerun, folder / f"{source.name}.json", source.source)
    if listed.several or spread.needed:
        track_many(plan, settings, model, load, spread)
    elif plan.todo:
        _track_one(*plan.todo[0], settings, partial(load, model), show=show, rerun=rerun)


def _store(output: str, rerun: Path | None) -> ResultStore | None:
    """Where results go, if that is an object store. Raises VepeError where it cannot be."""
    from vepe.video.remote_files import is_remote_file

    if not is_remote_file(output):
        return None
    if rerun is not None:
        raise VepeError(f"--rerun needs results on this machine; '{output}' is no path.")
    from vepe.inference.result_store import ResultStore

    return ResultStore.at(output)


def _check_recording(path: Path, listed: SourceList, *, overwrite: bool) -> None:
    """Raises VepeError, before the work, where the recording cannot be written."""
    from vepe.formats.files import check_targets
    from vepe.formats.tracks import check_package

    if listed.several:
        raise VepeError("--rerun is for one source; use --format rerun for many.")
    if path.suffix.lower() != ".rrd":
        raise VepeError(f"The recording '{path}' must end in .rrd; name a file that does.")
    sources = [source.path for source in listed.sources if source.path is not None]
    check_targets([path], sources, overwrite=overwrite)
    check_package("rerun")


def _write_recording(path: Path, poses: Path, source: str) -> None:
    """The poses of a result file as a recording, with the video that they are of."""
    from dataclasses import replace

    from vepe.formats.rerun import write_rerun
    from vepe.formats.tracks import read_tracks

    (tracks,) = read_tracks(poses)
    video = replace(tracks.video, path=Path(source) if Path(source).is_file() else None)
    note(f"Recording: {write_rerun(path, replace(tracks, video=video))}")


def _track_one(
    source: NamedSource,
    overwrite: bool,
    settings: SharedSettings,
    load: Callable[[], Predictor],
    *,
    show: bool,
    rerun: Path | None,
) -> None:
    """Tracks the only video of a call; its errors are the command's."""
    from vepe.inference.batch import run_source
    from vepe.video.remote_files import LocalCopies
    from vepe.video.sources import with_stdin_as_file

    with with_stdin_as_file(source) as source, ExitStack() as stack:
        copies = LocalCopies()
        stack.callback(copies.close)
        source = stack.enter_context(copies.of(source))
        with loading(settings.info.model):
            video = stack.enter_context(settings.open(source))
            _check_smoothing(video.info, settings)
            predictor = load()
        stop = stack.enter_context(stop_on_interrupt())
        on_frame = stack.enter_context(video_progress(video.info))
        image = stack.enter_context(_preview(video.info.name, stop, enabled=show))
        report = run_source(
            predictor, video, source, settings,
            overwrite=overwrite, on_frame=on_frame, show=image, stop=stop,
        )  # fmt: skip
        if rerun is not None and report.frames:
            poses = settings.job.folder / f"{source.name}.json"
            _write_recording(rerun, poses, source.source)
    print_report(report, settings)
    if report.stopped and not video.info.live and not show:
        raise typer.Exit(INTERRUPTED)
    if report.incomplete:
        raise typer.Exit(_INCOMPLETE)


def _check_smoothing(info: VideoInfo, settings: SharedSettings) -> None:
    if info.live and settings.info.options["smooth"] == Smooth.offline.value:
        raise VepeError(
            "Offline smoothing needs the whole video, and this source is live; use --smooth causal."
        )


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
