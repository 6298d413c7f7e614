"""Poses that the network gave earlier, tracked and written as if they came from it now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vepe.errors import VepeError
from vepe.inference.predictor import Predictor
from vepe.inference.stream import InferredFrame, Stream, StreamRunner
from vepe.types import Frame, FramePoses, VideoInfo
from vepe.video.source import VideoSource


class ReplayedPredictor(Predictor):
    """A predictor for one video whose network has run already.

    Its files are those of the predictor itself, byte for byte, if the frames are.

    Args:
        predictor: the model that ran, with tracker and smoother.
        frames: what it said of every frame of the video, in order; read once.
    """

    def __init__(self, predictor: Predictor, frames: Iterable[InferredFrame]) -> None:
        vars(self).update(vars(predictor))
        self._frames = iter(frames)

    def new_stream(
        self, fps: float | None = None, *, tracking: bool = True, live: bool = False
    ) -> Stream:
        """A stream that takes the frames of the video, and gives their tracked poses at once."""
        return _ReplayedStream(self.runner, self._frames)


class _ReplayedStream(Stream):
    def __init__(self, runner: StreamRunner, frames: Iterator[InferredFrame]) -> None:
        super().__init__(runner)
        self._frames = frames

    def push(
        self, image: object, time_s: float | None = None, frame_index: int | None = None
    ) -> list[FramePoses]:
        frame = next(self._frames, None)
        if frame is None or frame.poses.frame_index != frame_index:
            raise VepeError(
                f"Frame {frame_index} is not the one that was inferred; is the file changing?"
            )
        self.state, poses = self.runner.follow(self.state, frame)
        return [poses]

    def finish(self) -> list[FramePoses]:
        return []


class ReplayedSource(VideoSource):
    """The frames of a video without their images, for results that need none.

    Args:
        info: of the video.
        frames: index and time in seconds of every frame.
        warning: as `VideoSource.warning`.
    """

    def __init__(
        self, info: VideoInfo, frames: Iterable[tuple[int, float]], warning: str | None = None
    ) -> None:
        self.info, self.warning = info, warning
        self._frames = frames

    def __iter__(self) -> Iterator[Frame]:
        blank = np.zeros((0, 0, 3), np.uint8)
        for index, time_s in self._frames:
            yield Frame(index, time_s, blank)

    def close(self) -> None:
        """Nothing is open."""
