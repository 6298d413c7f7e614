"""`vepe track`: decoding, inference and writing side by side, in memory that does not grow.

    reading thread ─► frames ─► this thread: network, tracker ─► poses ─► writing thread

Queues between them are short, so the slowest stage sets the pace. Offline smoothing tells poses
seconds after their frames; the writing thread then decodes the video once more, rather than
keeping seconds of pictures.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vepe.errors import VepeError
from vepe.inference.predictor import Predictor
from vepe.inference.prefetch import Prefetched
from vepe.inference.smoothing import OfflineSmoothing
from vepe.inference.spool import PoseSpool, result_paths, write_results
from vepe.types import Frame, FramePoses
from vepe.video.source import VideoSource
from vepe.video.writer import VideoWriter
from vepe.viz.drawing import draw_poses

_DEPTH, _LIVE_DEPTH = 4, 1  # a live picture should be shown while it is news
_POLL_S = 0.1


@dataclass(frozen=True)
class TrackJob:
    """What is to be made of a video.

    Attributes:
        folder: where results go.
        stem: their name without ending.
        video: whether an annotated video is written.
        formats: of `vepe.formats.writers`.
        overwrite: whether files that are there may be replaced.
        start_s, stride: the part of the source that is read; the source was opened with them.
    """

    folder: Path
    stem: str
    video: bool = True
    formats: tuple[str, ...] = ("posetrack",)
    overwrite: bool = False
    start_s: float = 0.0
    stride: int = 1

    def paths(self) -> list[Path]:
        """All files (and folders) that will be made, the video first."""
        stem = self.folder / self.stem
        video = [self.video_path] if self.video else []
        return [*video, *result_paths(stem, self.formats)]

    @property
    def video_path(self) -> Path:
        return self.folder / f"{self.stem}.mp4"

    def check(self, source: Path | None) -> None:
        """Tells before the work what would spoil it.

        Raises:
            VepeError: where a result would replace the source, or something unasked; the folder is
                a file or cannot be written to; a format needs a package that is missing.
        """
        if "parquet" in self.formats and find_spec("pyarrow") is None:
            raise VepeError(
                "Parquet needs the package pyarrow; install it with: pip install 'vepe[parquet]'."
            )
        self._check_folder()
        there = [path for path in self.paths() if path.exists()]
        if source is not None and source.exists() and any(p.samefile(source) for p in there):
            raise VepeError(
                f"The result would replace '{source}' itself; give another folder: -o DIR."
            )
        if there and not self.overwrite:
            raise VepeError(
                f"'{there[0]}' is already there; add --overwrite to replace it, or give another "
                "folder: -o DIR."
            )

    def _check_folder(self) -> None:
        nearest = next(p for p in (self.folder, *self.folder.absolute().parents) if p.exists())
        if not nearest.is_dir():
            raise VepeError(f"'{nearest}' is a file, not a folder; choose a folder: -o DIR.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise VepeError(
                f"The folder '{nearest}' may not be written to; change its rights or choose "
                "another: -o DIR."
            )


@dataclass(frozen=True)
class TrackReport:
    """What was done.

    Attributes:
        frames, people, track_ids: how many frames, people in all frames, and identities.
        seconds: how long it took.
        paths: files that were written.
        warnings: sentences for the user.
        stopped: whether reading ended early because it was asked to.
    """

    frames: int
    people: int
    track_ids: int
    seconds: float
    paths: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stopped: bool = False

    @property
    def fps(self) -> float:
        """Frames per second, all stages together."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


Told = tuple[FramePoses, str, np.ndarray | None]
"""Poses of a frame with its name and, unless it is decoded again, its picture."""


def run(
    predictor: Predictor,
    source: VideoSource,
    job: TrackJob,
    *,
    on_frame: Callable[[int], None] = lambda frames: None,
    show: Callable[[np.ndarray], None] | None = None,
    stop: threading.Event | None = None,
    again: Callable[[], VideoSource] | None = None,
) -> TrackReport:
    """Tracks a video and writes what the job asks for.

    Args:
        predictor: its `smooth` says how keypoints are smoothed.
        source: the open video.
        job: what to write, and where.
        on_frame: told the number of frames that went through the network.
        show: given every annotated picture (before offline smoothing), in this thread.
        stop: ends the work at the next frame when set; what was done is written.
        again: opens the source a second time; needed for a video with offline smoothing.

    Raises:
        VepeError: where the source breaks, or a result cannot be written. The video takes its place
            last, so that it never stands beside poses of another run.
    """
    stop = stop or threading.Event()
    begun = time.monotonic()
    job.check(source.info.path)
    made = not job.folder.exists()
    try:
        with ExitStack() as stack:
            spool = PoseSpool(job.folder, source.info, predictor.skeleton)
            stack.enter_context(spool)
            writer = _open_writer(job, source) if job.video else None
            if writer is not None:
                stack.callback(writer.discard)  # nothing to do once it is closed
            second = again() if writer and again and predictor.smooth == "offline" else None
            if second is not None:
                stack.enter_context(second)
            writing = _Writing(spool, predictor, writer, second)
            depth = _LIVE_DEPTH if source.info.live else _DEPTH
            frames = Prefetched(source, depth, stop.is_set)
            try:
                with writing:
                    _infer(predictor, frames, source, writing, on_frame, show)
            finally:
                source.close()  # first, lest the reading thread wait for a camera that hangs
                frames.close()
            paths = []
            if spool.frames:
                paths = write_results(spool, job.folder / job.stem, job.formats)
            if spool.frames and writer is not None:
                writer.close()
                paths = [job.video_path, *paths]
            return TrackReport(
                spool.frames,
                spool.people,
                spool.track_ids,
                time.monotonic() - begun,
                paths,
                _warnings(source, writer),
                frames.stopped,
            )
    finally:
        if made:
            _remove_if_empty(job.folder)


def _warnings(source: VideoSource, writer: VideoWriter | None) -> list[str]:
    """What the user should know of a run that went well."""
    told = [w for w in (source.warning, writer.warning if writer else None) if w]
    if source.dropped:
        told.append(
            f"{source.dropped} frames of '{source.info.name}' came faster than they could be "
            "tracked and were left out."
        )
    if writer is not None and source.info.has_audio and source.info.path is None:
        told.append(
            f"The sound of '{source.info.name}' is left out, as of all network addresses; "
            "download the file to keep it."
        )
    return told


def _open_writer(job: TrackJob, source: VideoSource) -> VideoWriter:
    info = source.info
    return VideoWriter(
        job.video_path,
        width=info.width,
        height=info.height,
        fps=info.fps / job.stride,
        audio_from=info.path if info.has_audio else None,  # an address has no path
        start_s=job.start_s,
        time_base=source.time_base,
    )


def _infer(
    predictor: Predictor,
    frames: Prefetched[Frame],
    source: VideoSource,
    writing: _Writing,
    on_frame: Callable[[int], None],
    show: Callable[[np.ndarray], None] | None,
) -> None:
    """Runs every frame through the network and the tracker, and hands the results on."""
    stream = predictor.new_stream()
    offline = OfflineSmoothing() if predictor.smooth == "offline" else None
    keep = writing.wants_pictures
    waiting: deque[tuple[str, np.ndarray | None]] = deque()  # frames whose poses are still to come
    # A single picture is its own source; in a folder the name starts with the folder's.
    folder = "" if source.info.path is not None else f"{source.info.name}/"

    def hand_on(told: list[FramePoses]) -> None:
        for poses in told:
            name, image = waiting.popleft()
            writing.put((poses, name, image))

    shown: deque[np.ndarray] = deque()
    for count, frame in enumerate(frames, start=1):
        name = f"{folder}{frame.name}" if frame.name else _name(source, frame.index)
        waiting.append((name, frame.image if keep else None))
        told = stream.push(frame.image, frame.time_s, frame.index)
        if show is not None:
            shown.append(frame.image)
            for poses in told:
                show(draw_poses(shown.popleft(), poses, predictor.skeleton))
        hand_on([p for t in told for p in offline.push(t)] if offline else told)
        on_frame(count)
    told = stream.finish()
    hand_on([p for t in told for p in offline.push(t)] if offline else told)
    if offline:
        hand_on(offline.finish())


def _name(source: VideoSource, index: int) -> str:
    """The name of a frame that is no picture file: as PoseTrack's, in a folder of the video."""
    return f"{Path(source.info.name).stem or 'video'}/{index:06d}.jpg"


class _Writing:
    """The writing thread: draws, encodes and spools. A context manager.

    Leaving it waits until all is written and the video is complete; the caller puts it in its place
    or discards it. After an exception, also one during the wait, the video is left as it is.
    """

    def __init__(
        self,
        spool: PoseSpool,
        predictor: Predictor,
        writer: VideoWriter | None,
        second: VideoSource | None,
    ) -> None:
        self._spool, self._skeleton = spool, predictor.skeleton
        self._writer, self._second = writer, second
        self._queue: queue.Queue[Told | None] = queue.Queue(maxsize=_DEPTH)
        self._abandoned = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="writing", daemon=True)

    @property
    def wants_pictures(self) -> bool:
        """Whether pictures must come with the poses."""
        return self._writer is not None and self._second is None

    def put(self, told: Told | None) -> None:
        """Hands on the next frame; waits while the queue is full. Raises the thread's error."""
        while self._error is None:
            try:
                self._queue.put(told, timeout=_POLL_S)
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
        """Ends the thread at its next frame; what it writes to must not be freed before."""
        self._abandoned.set()
        while self._thread.is_alive():
            with suppress(KeyboardInterrupt):
                self._thread.join()

    def _work(self) -> None:
        try:
            pictures = iter(self._second) if self._second is not None else None
            for poses, name, image in self._told():
                if pictures is not None:
                    image = _picture_of(poses.frame_index, pictures)
                if self._writer is not None and image is not None:
                    self._writer.write(draw_poses(image, poses, self._skeleton), poses.time_s)
                self._spool.append(poses, name)
            if self._writer is not None and not self._abandoned.is_set():
                self._writer.finish()
        except BaseException as error:
            self._error = error

    def _told(self) -> Iterator[Told]:
        while not self._abandoned.is_set():
            try:
                told = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if told is None:
                return
            yield told


def _picture_of(frame_index: int, frames: Iterator[Frame]) -> np.ndarray:
    """The picture of that frame; frames come in order, so those before it are passed over."""
    for frame in frames:
        if frame.index == frame_index:
            return frame.image
    raise VepeError(f"Frame {frame_index} could not be read a second time; is the file changing?")


def _remove_if_empty(folder: Path) -> None:
    """Leaves no empty folder behind where nothing came of the work."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
