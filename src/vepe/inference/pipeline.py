"""`vepe track`: decoding, inference and writing side by side, in memory that does not grow.

    reading thread ─► frames ─► this thread: network, tracker ─► poses ─► writing thread

Queues between them are short, so the slowest stage sets the pace. Offline smoothing returns poses
seconds after their frames; the writing thread then decodes the video a second time, rather than
keep seconds of images in memory.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vepe.errors import VepeError, check_name
from vepe.inference.prefetch import DEPTH, read_ahead
from vepe.inference.result_info import bytes_of
from vepe.inference.spool import InfoOf, PoseSpool, write_results
from vepe.inference.stream import track_frames
from vepe.inference.track_job import TrackJob, TrackReport
from vepe.limits import advice, limit
from vepe.types import Frame, FramePoses, VideoInfo
from vepe.video.source import VideoSource
from vepe.video.writer import VideoWriter
from vepe.viz.drawing import PoseRenderer
from vepe.viz.options import DrawingOptions

if TYPE_CHECKING:
    from vepe.inference.predictor import Predictor

_POLL_S = 0.1


Result = tuple[FramePoses, str, np.ndarray | None]
"""Poses of a frame with its name and, unless it is decoded again, its image."""


def run(
    predictor: Predictor,
    source: VideoSource,
    job: TrackJob,
    *,
    on_frame: Callable[[int], None] = lambda frames: None,
    on_poses: Callable[[FramePoses], None] = lambda poses: None,
    show: Callable[[np.ndarray], None] | None = None,
    stop: threading.Event | None = None,
    reopen: Callable[[], VideoSource] | None = None,
) -> TrackReport:
    """Tracks a video and writes what the job asks for.

    Args:
        predictor: the model; its `smooth` also decides how keypoints are smoothed.
        source: the open video.
        job: what to write, and where.
        on_frame: called with the number of frames that went through the network.
        on_poses: called with the final poses of every frame, in order, in this thread.
        show: called with every annotated image (before offline smoothing), in this thread.
        stop: ends the work at the next frame when set; finished frames are written.
        reopen: opens the source a second time; needed for a video with offline smoothing.

    Raises:
        VepeError: where the source breaks, or a result cannot be written. The video is put in place
            last, so that it never lies next to poses of another run.
    """
    stop = stop or threading.Event()
    begun = time.monotonic()
    job.check(source.info.path)
    check_name(source.info.name)
    _check_held(source.info, predictor.config.temporal.lookahead)
    new_folder = not job.folder.exists()
    try:
        with ExitStack() as stack:
            spool = stack.enter_context(PoseSpool(job.folder, source.info, predictor.skeleton))
            writer = _open_writer(job, source) if job.video else None
            if writer is not None:
                stack.callback(writer.discard)  # does nothing once it is closed
            second = reopen() if writer and reopen and predictor.smooth == "offline" else None
            if second is not None:
                stack.enter_context(second)
            renderer = PoseRenderer(predictor.skeleton, job.drawing)
            writing = _Writing(spool, renderer, writer, second)
            with read_ahead(source, stop.is_set) as frames, writing:
                _infer(predictor, frames, source, writing, job.drawing, on_frame, on_poses, show)
            paths = []
            if spool.frames:
                info_of = _info_of(job, source, spool, writer, complete=not frames.stopped)
                paths = write_results(spool, job.folder / job.stem, job.formats, info_of)
            if spool.frames and writer is not None:
                writer.close()
                paths = [job.video_path, *paths]
            return TrackReport(
                spool.frames,
                spool.people,
                spool.track_ids,
                time.monotonic() - begun,
                paths,
                _warnings(source, writer, job.stale_paths(source.info.path) if paths else []),
                frames.stopped,
                source.incomplete,
            )
    finally:
        if new_folder:
            _remove_if_empty(job.folder)


def _check_held(info: VideoInfo, lookahead: int) -> None:
    """Raises VepeError where the frames in memory at a time take more than VEPE_MAX_HELD_MB."""
    num_held = 2 * DEPTH + 4 + lookahead  # both queues, the window's future, and what is in work
    megabytes = num_held * info.width * info.height * 3 / 1e6
    if megabytes > limit("VEPE_MAX_HELD_MB"):
        raise VepeError(
            f"{num_held} frames of '{info.name}' ({info.width} x {info.height}) in memory at a "
            f"time take {megabytes:.0f} MB, more than the limit; scale the video down, choose a "
            f"smaller --lookahead, {advice('VEPE_MAX_HELD_MB')}."
        )


def _info_of(
    job: TrackJob,
    source: VideoSource,
    spool: PoseSpool,
    writer: VideoWriter | None,
    *,
    complete: bool,
) -> InfoOf | None:
    """The `info` block of the result, once its other files are known."""
    info, named = job.info, job.source
    if info is None or named is None:
        return None
    video = {} if writer is None else {job.video_path.name: writer.bytes}

    def block(paths: list[Path]) -> dict[str, Any]:
        files = {**video, **{path.name: bytes_of(path) for path in paths}}
        return info.block(named, source.info, spool.skeleton, complete=complete, files=files)

    return block


def _warnings(source: VideoSource, writer: VideoWriter | None, stale: list[Path]) -> list[str]:
    """What the user should know about a run that succeeded."""
    warnings = [w for w in (source.warning, writer.warning if writer else None) if w]
    if source.dropped:
        warnings.append(
            f"{source.dropped} frames of '{source.info.name}' came faster than they could be "
            "tracked and were left out."
        )
    if stale:
        listed = ", ".join(f"'{path}'" for path in stale)
        warnings.append(
            f"{listed} {'is' if len(stale) == 1 else 'are'} of an earlier run and may differ from "
            "these results; remove them, or write them again with --format."
        )
    if writer is not None and source.info.has_audio and source.info.path is None:
        warnings.append(
            f"The sound of '{source.info.name}' is left out, as of all network addresses; "
            "download the file to keep it."
        )
    return warnings


def _open_writer(job: TrackJob, source: VideoSource) -> VideoWriter:
    info = source.info
    width, height = job.drawing.output_size(info.width, info.height)
    return VideoWriter(
        job.video_path,
        width=width,
        height=height,
        fps=info.fps / job.stride,
        audio_from=info.path if info.has_audio else None,  # an address has no path
        start_s=job.start_s,
        time_base=source.time_base,
    )


def _infer(
    predictor: Predictor,
    frames: Iterable[Frame],
    source: VideoSource,
    writing: _Writing,
    drawing: DrawingOptions,
    on_frame: Callable[[int], None],
    on_poses: Callable[[FramePoses], None],
    show: Callable[[np.ndarray], None] | None,
) -> None:
    """Runs every frame through the network and the tracker, and queues the results for writing."""
    pending: deque[tuple[str, np.ndarray | None]] = deque()  # frames whose poses are not final
    not_shown: deque[np.ndarray] = deque()
    renderer = PoseRenderer(predictor.skeleton, drawing)
    # A single image is its own source; in a folder the name starts with the folder's.
    folder = "" if source.info.path is not None else f"{source.info.name}/"
    steps = track_frames(
        predictor.new_stream(live=source.info.live), frames, predictor.offline_smoother()
    )
    for count, step in enumerate(steps, start=1):
        frame = step.frame
        if frame is not None:
            name = f"{folder}{frame.name}" if frame.name else _name(source, frame.index)
            pending.append((name, frame.image if writing.wants_images else None))
        if show is not None:
            if frame is not None:
                not_shown.append(frame.image)
            for poses in step.live:
                show(renderer.draw(not_shown.popleft(), poses))
        for poses in step.poses:
            on_poses(poses)
            writing.put((poses, *pending.popleft()))
        if frame is not None:
            on_frame(count)


def _name(source: VideoSource, index: int) -> str:
    """The name of a frame that is no image file: as in PoseTrack, in a folder of the video."""
    return f"{Path(source.info.name).stem or 'video'}/{index:06d}.jpg"


class _Writing:
    """The writing thread: draws, encodes and spools. A context manager.

    Leaving it waits until everything is written and the video is complete; the caller puts the
    video in place or discards it. After an exception, also one during the wait, it is left as is.
    """

    def __init__(
        self,
        spool: PoseSpool,
        renderer: PoseRenderer,
        writer: VideoWriter | None,
        second: VideoSource | None,
    ) -> None:
        self._spool, self._renderer = spool, renderer
        self._writer, self._second = writer, second
        self._queue: queue.Queue[Result | None] = queue.Queue(maxsize=DEPTH)
        self._abandoned = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="writing", daemon=True)

    @property
    def wants_images(self) -> bool:
        """Whether images must come with the poses."""
        return self._writer is not None and self._second is None

    def put(self, result: Result | None) -> None:
        """Queues the next frame; waits while the queue is full. Raises the thread's error."""
        while self._error is None:
            try:
                self._queue.put(result, timeout=_POLL_S)
                return
            except queue.Full:
                continue
        raise self._error

    def __enter__(self) -> _Writing:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            self.put(None)
            self._thread.join()
        except BaseException:
            self._abandon()
            raise
        if self._error is not None:
            raise self._error

    def _abandon(self) -> None:
        """Ends the thread at its next frame; its outputs must not be freed before."""
        self._abandoned.set()
        while self._thread.is_alive():
            with suppress(KeyboardInterrupt):
                self._thread.join()

    def _work(self) -> None:
        try:
            images = iter(self._second) if self._second is not None else None
            for poses, name, image in self._results():
                if images is not None:
                    image = _image_of(poses.frame_index, images)
                if self._writer is not None and image is not None:
                    self._writer.write(self._renderer.draw(image, poses), poses.time_s)
                self._spool.append(poses, name)
            if self._writer is not None and not self._abandoned.is_set():
                self._writer.finish()
        except BaseException as error:
            self._error = error

    def _results(self) -> Iterator[Result]:
        while not self._abandoned.is_set():
            try:
                result = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if result is None:
                return
            yield result


def _image_of(frame_index: int, frames: Iterator[Frame]) -> np.ndarray:
    """The image of that frame; frames come in order, so earlier ones are skipped."""
    for frame in frames:
        if frame.index == frame_index:
            return frame.image
    raise VepeError(f"Frame {frame_index} could not be read a second time; is the file changing?")


def _remove_if_empty(folder: Path) -> None:
    """Leaves no empty folder behind where nothing was written."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
