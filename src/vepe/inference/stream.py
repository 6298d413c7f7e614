"""A video that comes frame by frame: network, tracker and smoother, with all state in one value.

`StreamRunner` holds settings and weights only; what is remembered of a video goes in and comes out
as a `VideoState`. `Stream` is the handle that users push frames into. `track_frames` is the loop
that every tracked video goes through.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from vepe.errors import VepeError
from vepe.inference.arguments import Rgb, as_array, number
from vepe.inference.network import Network, NetworkPoses
from vepe.inference.prepost import Letterbox, frame_poses, letterbox
from vepe.inference.window import KeyWindow, WindowFrame, WindowState, run
from vepe.models.optical_flow import grey_image
from vepe.tracking.shots import ShotDetector, ShotState
from vepe.tracking.smoothing import OneEuroSmoother, SmootherState
from vepe.tracking.smoothing_offline import OfflineSmoother
from vepe.tracking.tracker import Tracker, TrackerState
from vepe.types import NO_TRACK, Frame, FramePoses


@dataclass(frozen=True)
class FrameInfo:
    """What a stream knows of a frame; `cut` marks the first frame of a new shot."""

    frame_index: int
    time_s: float
    fit: Letterbox
    cut: bool


@dataclass(frozen=True)
class VideoState:
    """All that is remembered of one video. A value: it can be stored and continued repeatedly.

    Attributes:
        network: the frames of the window.
        tracker, smoother, shots: states of these stages.
        fit: of the last frame, or None before the first.
        time_s: of the last frame, or None.
        frame_index: of the last frame.
    """

    network: WindowState
    tracker: TrackerState
    smoother: SmootherState
    shots: ShotState
    fit: Letterbox | None = None
    time_s: float | None = None
    frame_index: int = -1


@dataclass(frozen=True)
class PlannedStep:
    """A step of a stream before the network has run.

    Attributes:
        state: after the step, but for tracker and smoother.
        frame: the new frame.
        due: key frames whose poses are due, in order.
    """

    state: VideoState
    frame: WindowFrame
    due: list[KeyWindow]


@dataclass(frozen=True)
class InferredFrame:
    """What the network says of a frame, before the tracker; `cut` as in `FrameInfo`."""

    poses: FramePoses
    cut: bool


@dataclass(frozen=True)
class StreamRunner:
    """The stages of a stream. It remembers nothing of any video, so one serves any number of them.

    Attributes:
        network: runs the model.
        input_px: longer side of its input.
        tracker: gives ids; people without a track are dropped. None: no ids at all.
        smoother: smooths tracked keypoints by past frames only, or None.
        shots: detects shot cuts, or None. At a cut the window starts empty, and only
            re-identification continues tracks.
        conf: lowest person score without a tracker; with one, its thresholds apply.
        max_people: how many people per frame at most, or None.
        embeddings: whether the model's identity embeddings are trained.
        window: the state of a window before the first frame.
    """

    network: Network
    input_px: int
    tracker: Tracker | None
    smoother: OneEuroSmoother | None
    shots: ShotDetector | None
    conf: float
    max_people: int | None
    embeddings: bool
    window: WindowState

    def start(self) -> VideoState:
        """The state before the first frame."""
        return VideoState(
            self.window,
            (self.tracker or Tracker()).start(),
            (self.smoother or OneEuroSmoother()).start(),
            (self.shots or ShotDetector()).start(),
        )

    def plan(
        self, state: VideoState, image_rgb: Rgb, time_s: float, frame_index: int
    ) -> PlannedStep:
        """Takes the next frame, up to the network.

        Raises:
            VepeError: where the time does not rise, or the image is not uint8 (H, W, 3).
        """
        if state.time_s is not None and not time_s > state.time_s:
            raise VepeError(
                f"Frame {frame_index} at {time_s:g} s does not come after the last one at "
                f"{state.time_s:g} s; give rising times."
            )
        frame, fit = self._window_frame(image_rgb, time_s)
        shots, cut = state.shots, False
        if self.shots is not None:
            shots, cut = self.shots.step(state.shots, image_rgb, time_s)
        network = state.network
        due: list[KeyWindow] = []
        if cut or (state.fit is not None and state.fit != fit):
            # Another scene, or another size: the frames so far are finished on their own.
            network, due = network.flush()
            cut = True
        frame.info = FrameInfo(frame_index, time_s, fit, cut)
        network, keys = network.push(frame)
        state = replace(
            state, network=network, shots=shots, fit=fit, time_s=time_s, frame_index=frame_index
        )
        return PlannedStep(state, frame, [*due, *keys])

    def run(self, steps: Sequence[PlannedStep]) -> list[tuple[VideoState, list[FramePoses]]]:
        """Runs the network on the steps of any number of streams, then tracker and smoother.

        Returns:
            For each step the next state, and the poses of the frames that are complete now: without
            lookahead its own frame, with lookahead earlier ones.
        """
        due = [key for step in steps for key in step.due]
        outputs = iter(run(self.network, [step.frame for step in steps], due))
        return [self._emit(step.state, step.due, outputs) for step in steps]

    def step(
        self, state: VideoState, image_rgb: Rgb, time_s: float, frame_index: int
    ) -> tuple[VideoState, list[FramePoses]]:
        """`plan`, then `run`."""
        return self.run([self.plan(state, image_rgb, time_s, frame_index)])[0]

    def finish(self, state: VideoState) -> list[FramePoses]:
        """The poses of the pending frames, where the video ended before their look-ahead frames."""
        _, due = state.network.flush()
        return self._emit(state, due, iter(run(self.network, [], due)))[1]

    def poses_of(self, images: Sequence[Rgb]) -> list[FramePoses]:
        """The people of single images, without a window and without ids."""
        frames = []
        for image in images:
            frame, fit = self._window_frame(image, 0.0)
            frame.info = FrameInfo(0, 0.0, fit, cut=False)
            frames.append(frame)
        outputs = run(self.network, frames, [KeyWindow(frame) for frame in frames])
        return [
            self._poses(output, frame.info, self.conf)
            for output, frame in zip(outputs, frames, strict=True)
        ]

    def _window_frame(self, image_rgb: Rgb, time_s: float) -> tuple[WindowFrame, Letterbox]:
        network = self.network
        image, fit = letterbox(image_rgb, self.input_px, network.stride, network.fixed_wh)
        aligned = network.aligned and self.window.window > 1
        grey = grey_image(image) if aligned else None
        return WindowFrame(image, fit.resized_wh, grey, time_s), fit

    def _poses(self, output: NetworkPoses, info: FrameInfo, conf: float) -> FramePoses:
        return frame_poses(
            output,
            info.fit,
            frame_index=info.frame_index,
            time_s=info.time_s,
            conf=conf,
            max_people=self.max_people,
            embeddings=self.embeddings,
        )

    def inferred(
        self, due: Sequence[KeyWindow], outputs: Iterator[NetworkPoses]
    ) -> list[InferredFrame]:
        """The people of the frames that are due, with all that the tracker looks at."""
        conf = self.conf if self.tracker is None else self.tracker.settings.low_threshold
        infos: list[FrameInfo] = [key.key.info for key in due]
        return [InferredFrame(self._poses(next(outputs), i, conf), i.cut) for i in infos]

    def follow(self, state: VideoState, frame: InferredFrame) -> tuple[VideoState, FramePoses]:
        """Tracks and smooths the people of the next frame. The network is not needed."""
        if self.tracker is None:
            return state, frame.poses
        tracks = self.tracker.end_shot(state.tracker) if frame.cut else state.tracker
        tracks, poses = self.tracker.step(tracks, frame.poses)
        poses = poses.select(poses.track_ids != NO_TRACK)
        smoother = state.smoother
        if self.smoother is not None:
            smoother, poses = self.smoother.step(smoother, poses)
        return replace(state, tracker=tracks, smoother=smoother), poses

    def _emit(
        self, state: VideoState, due: Sequence[KeyWindow], outputs: Iterator[NetworkPoses]
    ) -> tuple[VideoState, list[FramePoses]]:
        """The people of the frames that are due, tracked and smoothed."""
        emitted = []
        for frame in self.inferred(due, outputs):
            state, poses = self.follow(state, frame)
            emitted.append(poses)
        return state, emitted


class Stream:
    """A caller's own video, frame by frame.

    Attributes:
        runner: its stages.
        state: all that is remembered; a value, replaced with every frame.
    """

    def __init__(self, runner: StreamRunner, fps: float | None = None) -> None:
        if fps is not None and not fps > 0:
            raise VepeError(f"{fps:g} frames per second are not possible; give more than 0.")
        self.runner, self._fps = runner, fps
        self._count = 0
        self._finished = False
        self.state = runner.start()

    def push(
        self,
        image: object,
        time_s: float | None = None,
        frame_index: int | None = None,
    ) -> list[FramePoses]:
        """Processes the next frame.

        Args:
            image: RGB; an array, a PIL image or a tensor, see `arguments.as_array`.
            time_s: its time in seconds, rising; may be left out where the stream has `fps`.
            frame_index: its number; counted from 0 where left out.

        Returns:
            The poses of the frames that are complete now, in order: without lookahead this frame,
            with lookahead the one `lookahead` frames ago.

        Raises:
            VepeError: where the time is missing, not finite or does not rise, the image is not
                uint8 (H, W, 3), or the stream is finished.
        """
        step = self.plan(as_array(image), time_s, frame_index)
        return self.complete(self.runner.run([step])[0])

    def plan(self, image: Rgb, time_s: float | None, frame_index: int | None) -> PlannedStep:
        """`push` up to the network; `complete` takes what `StreamRunner.run` gives for it."""
        if self._finished:
            raise VepeError("This stream is finished; start another for more frames.")
        index = self._count if frame_index is None else frame_index
        if time_s is None:
            if self._fps is None:
                raise VepeError("Give every frame its time_s, or the stream its fps.")
            time_s = index / self._fps
        if not math.isfinite(number(time_s, f"The time of frame {index}")):
            raise VepeError(f"The time of frame {index} is infinite; give seconds.")
        return self.runner.plan(self.state, image, time_s, index)

    def complete(self, ran: tuple[VideoState, list[FramePoses]]) -> list[FramePoses]:
        """The poses of the frames that are complete after a planned step."""
        self.state, outputs = ran
        self._count = self.state.frame_index + 1
        return outputs

    def finish(self) -> list[FramePoses]:
        """The poses of the frames that wait for look-ahead frames; ends the stream."""
        if self._finished:
            return []
        self._finished = True
        outputs = self.runner.finish(self.state)
        self.state = self.runner.start()
        return outputs


@dataclass(frozen=True)
class TrackStep:
    """What one step of `track_frames` yields.

    Attributes:
        frame: the frame that was pushed; None in the last step, after the end of the video.
        live: poses that came out of the stream, before offline smoothing.
        poses: poses that are final.
    """

    frame: Frame | None
    live: list[FramePoses]
    poses: list[FramePoses]


def track_frames(
    stream: Stream, frames: Iterable[Frame], smoother: OfflineSmoother | None = None
) -> Iterator[TrackStep]:
    """Tracks a whole video: one step per frame, and one for what is left at the end.

    Every frame comes out once, in order, in `TrackStep.live` and, with offline smoothing some
    seconds later, in `TrackStep.poses`.
    """

    def smoothed(live: list[FramePoses]) -> list[FramePoses]:
        return [poses for frame in live for poses in smoother.push(frame)] if smoother else live

    for frame in frames:
        live = stream.push(frame.image, frame.time_s, frame.index)
        yield TrackStep(frame, live, smoothed(live))
    live = stream.finish()
    rest = smoothed(live)
    yield TrackStep(None, live, [*rest, *smoother.finish()] if smoother else rest)
