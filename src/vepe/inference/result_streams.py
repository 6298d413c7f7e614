"""What `Predictor.stream` and `streams` return: streams whose results carry the pushed images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vepe.errors import VepeError
from vepe.inference.arguments import Rgb, as_array
from vepe.inference.stream import PlannedStep, Stream, StreamRunner, VideoState
from vepe.results.frame import FrameResult
from vepe.results.images import held
from vepe.skeleton import Skeleton
from vepe.types import FramePoses


class ResultStream(Stream):
    """A stream whose results carry the images that were pushed; see `Stream`.

    An image is kept as long as its result is.

    Args: as `Stream`, and
        skeleton: of the poses.
    """

    def __init__(self, runner: StreamRunner, fps: float | None, skeleton: Skeleton) -> None:
        super().__init__(runner, fps)
        self._skeleton = skeleton
        self._waiting: dict[int, Rgb] = {}  # by frame index

    def push(  # type: ignore[override]  # a list of a narrower type, which is only read
        self, image: object, time_s: float | None = None, frame_index: int | None = None
    ) -> list[FrameResult]:
        """Processes the next frame.

        Args:
            image: RGB: an array, a PIL image or a tensor, as `Predictor.predict` takes them.
            time_s: its time in seconds, rising; may be left out where the stream has `fps`.
            frame_index: its number; counted from 0 where left out.

        Returns:
            The results of the frames that are complete now, in order: without lookahead this
            frame, with lookahead the one `lookahead` frames ago.

        Raises:
            VepeError: where the time is missing, not finite or does not rise, the image is none,
                or the stream is finished.
        """
        step = self.plan(as_array(image), time_s, frame_index)
        return self.complete(self.runner.run([step])[0])

    def plan(self, image: Rgb, time_s: float | None, frame_index: int | None) -> PlannedStep:
        """As `Stream.plan`; the image waits for its result."""
        step = super().plan(image, time_s, frame_index)
        self._waiting[step.state.frame_index] = image
        return step

    def complete(  # type: ignore[override]
        self, ran: tuple[VideoState, list[FramePoses]]
    ) -> list[FrameResult]:
        """As `Stream.complete`."""
        return self._results(super().complete(ran))

    def finish(self) -> list[FrameResult]:  # type: ignore[override]
        """The results of the frames that wait for look-ahead frames; ends the stream."""
        return self._results(super().finish())

    def _results(self, outputs: list[FramePoses]) -> list[FrameResult]:
        results = []
        for poses in outputs:
            load = partial(held, self._waiting.pop(poses.frame_index))
            results.append(FrameResult.of(poses, self._skeleton, load))
        return results


class StreamGroup:
    """Several videos frame by frame, such as cameras: one pass of the network for a frame of each.

    Args:
        streams: of one predictor; each keeps its own state, ids and times.
    """

    def __init__(self, streams: Sequence[ResultStream]) -> None:
        self.streams = tuple(streams)

    def __len__(self) -> int:
        return len(self.streams)

    def push(
        self, images: Sequence[object], times_s: Sequence[float | None] | None = None
    ) -> list[list[FrameResult]]:
        """Processes the next frame of every stream.

        Args:
            images: one for each stream, as `ResultStream.push` takes them; None for a stream that
                has no new frame.
            times_s: one for each stream, in seconds; may be left out where the streams have `fps`.

        Returns:
            For every stream what its own `push` returns; nothing without a new frame.

        Raises:
            VepeError: as `ResultStream.push`, or where the number of images is another one.
        """
        times_s = [None] * len(self) if times_s is None else times_s
        if len(images) != len(self) or len(times_s) != len(self):
            raise VepeError(
                f"There are {len(self)} streams, but {len(images)} images and {len(times_s)} "
                "times; give one for each, and None for a stream without a new frame."
            )
        active = [index for index, image in enumerate(images) if image is not None]
        pixels = {index: as_array(images[index]) for index in active}
        steps = [self.streams[i].plan(pixels[i], times_s[i], None) for i in active]
        results: list[list[FrameResult]] = [[] for _ in self.streams]
        if steps:
            for index, ran in zip(active, self.streams[0].runner.run(steps), strict=True):
                results[index] = self.streams[index].complete(ran)
        return results

    def finish(self) -> list[list[FrameResult]]:
        """The results of the frames that wait for look-ahead frames; ends all streams."""
        return [stream.finish() for stream in self.streams]
