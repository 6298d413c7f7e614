"""What `Predictor.track` and `Predictor.stream` return: results that carry their images."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vepe.errors import VepeError
from vepe.formats.files import as_path
from vepe.formats.tracks import check_package, format_of, write_tracks
from vepe.inference.arguments import Rgb
from vepe.inference.model_files import find_weights
from vepe.inference.prefetch import read_ahead
from vepe.inference.result_info import RunInfo, run_options
from vepe.inference.spool import PoseSpool, write_posetrack
from vepe.inference.stream import track_frames
from vepe.results.events import TrackEvents
from vepe.results.frame import FrameResult
from vepe.results.images import FrameImages, held
from vepe.results.render import check_output, is_video_name
from vepe.results.video import VideoResult
from vepe.types import Frame, FramePoses, VideoInfo
from vepe.video.reader import open_video
from vepe.video.source import VideoSource
from vepe.video.sources import NamedSource
from vepe.video.writer import VideoWriter
from vepe.viz.drawing import PoseRenderer
from vepe.viz.options import DrawingOptions

if TYPE_CHECKING:
    from vepe.inference.predictor import Predictor

_log = logging.getLogger(__name__)

LoadImage = Callable[[], Rgb]


@dataclass(frozen=True)
class VideoPart:
    """A source of video and the part of it to read, as `open_video` takes them."""

    source: str | Path | int
    start_s: float = 0.0
    end_s: float | None = None
    stride: int = 1
    fps: float | None = None

    def open(self) -> VideoSource:
        """Opens it. Raises VepeError as `open_video`."""
        return open_video(
            self.source, start_s=self.start_s, end_s=self.end_s, stride=self.stride, fps=self.fps
        )


class TrackedFrames(Iterator[FrameResult]):
    """The frames of a video, tracked one by one as they are asked for; may be iterated once.

    Memory does not grow with the length of the video. `collect` and `save` take all frames that
    have not been asked for yet.

    Args:
        predictor: what tracks.
        part: what is tracked.
        events: whom to call.
    """

    def __init__(self, predictor: Predictor, part: VideoPart, events: TrackEvents) -> None:
        self._predictor, self._part = predictor, part
        self._opened = _Opened()
        # Without a reference to this object: an abandoned one ends its threads at once.
        self._frames = _track(predictor, part, events, self._opened)

    @property
    def video(self) -> VideoInfo | None:
        """What is known about the video, from the first frame on; None before."""
        return self._opened.video

    @property
    def warning(self) -> str | None:
        """One sentence if frames are missing or were changed, else None.

        Complete after the last frame; it is also logged.
        """
        return self._opened.warning

    def __next__(self) -> FrameResult:
        return next(self._frames)

    def close(self) -> None:
        """Ends the work before the last frame and closes the video."""
        self._frames.close()

    def __repr__(self) -> str:
        return (
            f"TrackedFrames of '{self._part.source}'; iterate it, or call collect() or "
            "save('out.mp4')"
        )

    def collect(self) -> VideoResult:
        """Tracks the rest of the video and returns its poses, which are small beside its images.

        Raises:
            VepeError: where the video cannot be read, or all frames have been taken already.
        """
        first = self._first()
        results = [(result.poses, result.name) for result in chain([first], self)]
        names = tuple(name for _, name in results)
        assert self.video is not None
        return VideoResult(
            video=self.video,
            skeleton=self._predictor.skeleton,
            frames=tuple(poses for poses, _ in results),
            file_names=names if all(names) else (),
            info=self._info(self.video),
            source=None if self.video.live else self._part.source,  # type: ignore[arg-type]
        )

    def save(
        self,
        *paths: str | Path,
        overwrite: bool = False,
        options: DrawingOptions | None = None,
        **changes: Any,
    ) -> list[Path]:
        """Tracks the rest of the video and writes it, in memory that does not grow with its length.

        Args:
            paths: files to write, by their endings: `.mp4` is the video with the people drawn on
                it; for poses see `VideoResult.save`.
            overwrite: whether files may be replaced; the source never is.
            options: how to draw; keywords change single ones: `boxes=True, hide="faces"`.

        Returns:
            The paths. Without an error all are written, else none.

        Raises:
            VepeError: where the video cannot be read, an ending is unknown, a file exists, or one
                cannot be written.
            KeyboardInterrupt: after Ctrl-C, once the frames so far are written.
        """
        if not paths:
            raise VepeError("Name the files to write, such as save('out.mp4', 'out.csv').")
        targets = [as_path(path) for path in paths]
        options = replace(options or DrawingOptions(), **changes)
        formats = {path: format_of(path) for path in targets if not is_video_name(path)}
        for name in formats.values():
            check_package(name)
        sources = [] if isinstance(self._part.source, int) else [self._part.source]
        for path in targets:
            check_output(path, *sources, overwrite=overwrite)
        first = self._first()
        assert self.video is not None
        with ExitStack() as stack:
            spool = PoseSpool(targets[0].parent, self.video, self._predictor.skeleton)
            stack.enter_context(spool)
            writers = []
            for path in targets:
                if path not in formats:
                    writers.append(self._writer(path, self.video, first, options))
                    stack.callback(writers[-1].discard)  # does nothing once it is closed
            renderer = PoseRenderer(self._predictor.skeleton, options)
            interrupt = None
            try:
                for result in chain([first], self):
                    if formats:
                        spool.append(result.poses, result.name or self._made_up_name(result))
                    if writers:
                        drawn = renderer.draw(result.image, result)
                        for writer in writers:
                            writer.write(drawn, result.time_s)
            except KeyboardInterrupt as error:  # such as a camera's: it has no other end
                interrupt = error
            for path, name in formats.items():
                if name == "posetrack":
                    write_posetrack(spool, path, self._info(self.video))
                else:
                    write_tracks(name, path, spool.tracks())
            for writer in writers:
                writer.close()
        if interrupt is not None:
            raise interrupt
        return targets

    def _first(self) -> FrameResult:
        """The next frame. Raises VepeError where all have been taken."""
        first = next(self, None)
        if first is None:
            raise VepeError(
                f"All frames of '{self._part.source}' have been taken already; call track again."
            )
        return first

    def _writer(
        self, path: Path, video: VideoInfo, first: FrameResult, options: DrawingOptions
    ) -> VideoWriter:
        width, height = options.output_size(video.width, video.height)
        return VideoWriter(
            path,
            width=width,
            height=height,
            fps=video.fps / self._part.stride,
            audio_from=video.path if video.has_audio else None,
            start_s=first.time_s,
            time_base=self._opened.time_base,
        )

    def _made_up_name(self, poses: FramePoses) -> str:
        """The name of a frame that is no image file, as `vepe track` writes it."""
        assert self.video is not None
        return f"{Path(self.video.name).stem or 'video'}/{poses.frame_index:06d}.jpg"

    def _info(self, video: VideoInfo) -> dict[str, Any]:
        """How the poses were made, as `vepe track` notes it."""
        source = NamedSource(str(self._part.source), video.name)
        run = _run_info(self._predictor, self._part)
        return run.describe(source, video, self._predictor.skeleton)


def _run_info(predictor: Predictor, part: VideoPart) -> RunInfo:
    """What decides the poses of `predictor.track`, besides the video."""
    name, loaded = predictor._loaded_from or (predictor.config.name, None)
    temporal = predictor.config.temporal
    changed: dict[str, Any] = {}
    if loaded is not None:
        for key in ("tracker", "smoothing", "shots"):
            if loaded[key] is not None:
                changed[key] = loaded[key].model_dump(mode="json")
        changed |= {} if loaded["shot_cuts"] else {"shot_cuts": False}
        changed |= {"flip": True} if loaded["flip"] else {}
        changed |= {} if loaded["max_people"] is None else {"max_people": loaded["max_people"]}
    options = run_options(
        backend=loaded["backend"] if loaded else predictor.backend,
        conf=predictor.conf,
        window=loaded["window"] if loaded else temporal.window,
        lookahead=loaded["lookahead"] if loaded else temporal.lookahead,
        input_px=loaded["input_px"] if loaded else predictor.config.input_px,
        smooth=predictor.smooth,
        start_s=part.start_s,
        end_s=part.end_s,
        stride=part.stride,
        fps=part.fps,
        changed=changed,
    )
    if loaded is None:
        return RunInfo(str(name), None, options)
    try:
        return RunInfo.of(str(name), find_weights(name), options)
    except VepeError:  # the file has gone since; the poses must not go with it
        return RunInfo(str(name), None, options)


@dataclass
class _Opened:
    """What becomes known of a video while it is tracked."""

    video: VideoInfo | None = None
    time_base: Fraction | None = None
    warning: str | None = None


def _track(
    predictor: Predictor, part: VideoPart, events: TrackEvents, opened: _Opened
) -> Generator[FrameResult, None, None]:
    with part.open() as video, read_ahead(video) as frames:
        opened.video, opened.time_base = video.info, video.time_base
        _log.info(
            "Tracking '%s': %dx%d at %.3g frames per second",
            video.info.name, video.info.width, video.info.height, video.info.fps,
        )  # fmt: skip
        images = None
        if not video.info.live and not isinstance(part.source, int):
            images = FrameImages(part.source, part.fps)
        waiting: deque[tuple[LoadImage, str]] = deque()  # frames whose poses are not final
        steps = track_frames(
            predictor.new_stream(live=video.info.live), frames, predictor.offline_smoother()
        )
        for step in steps:
            if step.frame is not None:
                waiting.append(_image_of(step.frame, images, video.info))
            for poses in step.poses:
                result = FrameResult.of(poses, predictor.skeleton, *waiting.popleft())
                events.push(result)
                yield result
        events.finish()
        opened.warning = _warning(video)
        if opened.warning:
            _log.warning("%s", opened.warning)


def _warning(video: VideoSource) -> str | None:
    notes = [video.warning] if video.warning else []
    if video.dropped:
        notes.append(
            f"{video.dropped} frames of '{video.info.name}' came faster than they could be "
            "tracked and were left out."
        )
    return " ".join(notes) or None


def _image_of(frame: Frame, images: FrameImages | None, video: VideoInfo) -> tuple[LoadImage, str]:
    """How a result gets the image of a frame, and the frame's name."""
    # A single image is its own source; in a folder the name starts with the folder's.
    folder = "" if video.path is not None or not frame.name else f"{video.name}/"
    if images is None:
        return partial(held, frame.image), f"{folder}{frame.name}"
    images.keep(frame)
    return partial(images.get, frame.index, frame.time_s), f"{folder}{frame.name}"
