"""`vepe track`: decoding, inference and writing side by side, in memory that does not grow.

    reading thread ─► frames ─► this thread: network, tracker ─► poses ─► writing thread

Queues between them are short, so the slowest stage sets the pace. Offline smoothing tells poses
seconds after their frames; the writing thread then decodes the video once more, rather than
keeping seconds of pictures.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vepe.errors import VepeError
from vepe.inference.predictor import Predictor
from vepe.inference.prefetch import Prefetched
from vepe.inference.results import PoseSpool, result_paths, write_results
from vepe.inference.smoothing import OfflineSmoothing
from vepe.types import Frame, FramePoses
from vepe.video.source import VideoSource
from vepe.video.writer import VideoWriter
from vepe.viz.drawing import draw_poses

_DEPTH = 4
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
        """Raises VepeError where a result would replace the source, or something unasked."""
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


@dataclass(frozen=True)
class TrackReport:
    """What was done.

    Attributes:
        frames, people, track_ids: how many frames, people in all frames, and identities.
        seconds: how long it took.
        paths: files that were written.
        warnings: sentences for the user.
        stopped: whether it ended early because it was asked to.
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
        VepeError: where the source breaks, or a result cannot be written; no result is left.
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
            frames = Prefetched(source, _DEPTH, stop.is_set)
            try:
                with writing:
                    _infer(predictor, frames, source, writing, on_frame, show)
            finally:
                source.close()  # first, lest the reading thread wait for a camera that hangs
                frames.close()
            paths = [job.video_path] if writer is not None and spool.frames else []
            if spool.frames:
                paths += write_results(spool, job.folder / job.stem, job.formats)
            warnings = [w for w in (source.warning, writer.warning if writer else None) if w]
            return TrackReport(
                spool.frames,
                spool.people,
                spool.track_ids,
                time.monotonic() - begun,
                paths,
                warnings,
                stop.is_set(),
            )
    finally:
        if made:
            _remove_if_empty(job.folder)


def _open_writer(job: TrackJob, source: VideoSource) -> VideoWriter:
    info = source.info
    return VideoWriter(
        job.video_path,
        width=info.width,
        height=info.height,
        fps=info.fps / job.stride,
        audio_from=info.path if info.has_audio else None,
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
    folder = source.info.name

    def hand_on(told: list[FramePoses]) -> None:
        for poses in told:
            name, image = waiting.popleft()
            writing.put((poses, name, image))

    shown: deque[np.ndarray] = deque()
    for count, frame in enumerate(frames, start=1):
        name = f"{folder}/{frame.name}" if frame.name else _name(source, frame.index)
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

    Leaving it waits until all is written; after an exception the video is left unfinished, for the
    caller to discard.
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
            self._abandoned.set()
            self._thread.join()
            return
        self.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

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
                self._writer.close()
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
