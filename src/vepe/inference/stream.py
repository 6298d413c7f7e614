"""A video that comes frame by frame: network, tracker and smoother, with all state in one value.

`StreamRunner` holds settings and weights only; what is remembered of a video goes in and comes out
as a `VideoState`. `Stream` is the handle that users push frames into. `track_frames` is the loop
that every tracked video goes through.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vepe.errors import VepeError
from vepe.inference.arguments import Rgb, as_array, number
from vepe.inference.prepost import Letterbox, frame_poses, letterbox
from vepe.models.decoder_layer import PoseOutput
from vepe.models.streaming import FrameMemory, StreamState, stream_add, stream_flush
from vepe.models.vepe import Vepe
from vepe.tracking.shots import ShotDetector, ShotState
from vepe.tracking.smoothing import OneEuroSmoother, SmootherState
from vepe.tracking.smoothing_offline import OfflineSmoother
from vepe.tracking.tracker import Tracker, TrackerState
from vepe.types import NO_TRACK, Frame, FramePoses

EncodedImage = tuple[Letterbox, FrameMemory]
"""How an image lies in the network's input, and what the network computed of it alone."""


@dataclass(frozen=True)
class PendingFrame:
    """A frame whose poses have not come out yet; `cut` marks the first frame of a new shot."""

    frame_index: int
    time_s: float
    fit: Letterbox
    cut: bool


@dataclass(frozen=True)
class VideoState:
    """All that is remembered of one video. A value: it can be stored and continued repeatedly.

    Attributes:
        network: features of the frames in the window.
        pending: frames that wait for their look-ahead frames, oldest first.
        tracker, smoother, shots: states of these stages.
        fit: of the last frame, or None before the first.
        time_s: of the last frame, or None.
    """

    network: StreamState
    pending: tuple[PendingFrame, ...]
    tracker: TrackerState
    smoother: SmootherState
    shots: ShotState
    fit: Letterbox | None = None
    time_s: float | None = None


@dataclass(frozen=True)
class StreamRunner:
    """The stages of a stream. It remembers nothing of any video, so one serves any number of them.

    Attributes:
        model: in eval mode on `device`.
        device: where it runs.
        input_px: longer side of its input.
        tracker: gives ids; people without a track are dropped. None: no ids at all.
        smoother: smooths tracked keypoints by past frames only, or None.
        shots: detects shot cuts, or None. At a cut the window starts empty, and only
            re-identification continues tracks.
        conf: lowest person score without a tracker; with one, its thresholds apply.
        max_people: how many people per frame at most, or None.
        embeddings: whether the model's identity embeddings are trained.
        lookahead: how many frames after a frame its poses are read from.
    """

    model: Vepe
    device: torch.device
    input_px: int
    tracker: Tracker | None
    smoother: OneEuroSmoother | None
    shots: ShotDetector | None
    conf: float
    max_people: int | None
    embeddings: bool
    lookahead: int

    def start(self) -> VideoState:
        """The state before the first frame."""
        return VideoState(
            StreamState(lookahead=self.lookahead),
            (),
            (self.tracker or Tracker()).start(),
            (self.smoother or OneEuroSmoother()).start(),
            (self.shots or ShotDetector()).start(),
        )

    @torch.inference_mode()
    def step(
        self,
        state: VideoState,
        image_rgb: UInt8[np.ndarray, "H W 3"],
        time_s: float,
        frame_index: int,
        encoded: EncodedImage | None = None,
    ) -> tuple[VideoState, list[FramePoses]]:
        """Processes the next frame; `encoded` is what `encode` gave for it, if it was called.

        Returns:
            The next state, and the poses of the frames that are complete now: without lookahead
            this frame, with lookahead earlier ones.

        Raises:
            VepeError: where the time does not rise, or the image is not uint8 (H, W, 3).
        """
        if state.time_s is not None and not time_s > state.time_s:
            raise VepeError(
                f"Frame {frame_index} at {time_s:g} s does not come after the last one at "
                f"{state.time_s:g} s; give rising times."
            )
        fit, frame = self.encode([image_rgb])[0] if encoded is None else encoded
        shots, cut = state.shots, False
        if self.shots is not None:
            shots, cut = self.shots.step(state.shots, image_rgb, time_s)
        outputs: list[FramePoses] = []
        if cut or (state.fit is not None and state.fit != fit):
            # Another scene, or another size: the frames so far are finished on their own.
            state, outputs = self._flush(state)
            cut = True
        pending = (*state.pending, PendingFrame(frame_index, time_s, fit, cut))
        network, output = stream_add(self.model, state.network, frame, time_s)
        state = replace(
            state, network=network, pending=pending, shots=shots, fit=fit, time_s=time_s
        )
        if output is not None:
            state, poses = self._emit(state, output)
            outputs.append(poses)
        return state, outputs

    @torch.inference_mode()
    def finish(self, state: VideoState) -> list[FramePoses]:
        """The poses of the pending frames, where the video ended before their look-ahead frames."""
        return self._flush(state)[1]

    @torch.inference_mode()
    def encode(self, images: Sequence[Rgb]) -> list[EncodedImage]:
        """What the network computes of each image alone; images of one input size share a pass."""
        inputs = [self.network_input(image) for image in images]
        by_size: dict[tuple[int, int], list[int]] = {}
        for index, (_, _, fit) in enumerate(inputs):
            by_size.setdefault(fit.input_wh, []).append(index)
        encoded: dict[int, EncodedImage] = {}
        for indices in by_size.values():
            pixels = torch.cat([inputs[i][0] for i in indices])
            masks = [inputs[i][1] for i in indices]
            padding = None
            if any(mask is not None for mask in masks):
                nothing = torch.zeros_like(pixels[:1, 0], dtype=torch.bool)
                padding = torch.cat([nothing if mask is None else mask for mask in masks])
            frames, _ = self.model.encode_frame(pixels, padding)
            for row, index in enumerate(indices):
                encoded[index] = inputs[index][2], frames[row : row + 1]
        return [encoded[index] for index in range(len(images))]

    @torch.inference_mode()
    def poses_of(self, images: Sequence[Rgb]) -> list[FramePoses]:
        """The people of single images, without a window and without ids."""
        return [
            frame_poses(
                frame.poses,
                fit,
                frame_index=0,
                time_s=0.0,
                conf=self.conf,
                max_people=self.max_people,
                embeddings=self.embeddings,
            )
            for fit, frame in self.encode(images)
        ]

    def network_input(
        self, image_rgb: UInt8[np.ndarray, "H W 3"]
    ) -> tuple[Float[Tensor, "1 3 h w"], Bool[Tensor, "1 h w"] | None, Letterbox]:
        """An image as the network takes it, on its device. Returns and errors as `letterbox`."""
        image, padding, fit = letterbox(image_rgb, self.input_px, self.model.stride)
        # Convolutions run faster on a CPU with the channels innermost.
        on_cpu = self.device.type == "cpu"
        layout = torch.channels_last if on_cpu else torch.contiguous_format
        image = image.to(self.device, memory_format=layout)
        return image, None if padding is None else padding.to(self.device), fit

    def _flush(self, state: VideoState) -> tuple[VideoState, list[FramePoses]]:
        """The poses of all pending frames; the window is empty afterwards."""
        outputs = []
        for output in stream_flush(self.model, state.network):
            state, poses = self._emit(state, output)
            outputs.append(poses)
        return replace(state, network=StreamState(lookahead=self.lookahead)), outputs

    def _emit(self, state: VideoState, output: PoseOutput) -> tuple[VideoState, FramePoses]:
        """The people of the oldest pending frame, tracked and smoothed."""
        frame, *later = state.pending
        state = replace(state, pending=tuple(later))
        poses = frame_poses(
            output,
            frame.fit,
            frame_index=frame.frame_index,
            time_s=frame.time_s,
            conf=self.tracker.settings.low_threshold if self.tracker else self.conf,
            max_people=self.max_people,
            embeddings=self.embeddings,
        )
        if self.tracker is None:
            return state, poses
        tracks = self.tracker.end_shot(state.tracker) if frame.cut else state.tracker
        tracks, poses = self.tracker.step(tracks, poses)
        poses = poses.select(poses.track_ids != NO_TRACK)
        smoother = state.smoother
        if self.smoother is not None:
            smoother, poses = self.smoother.step(smoother, poses)
        return replace(state, tracker=tracks, smoother=smoother), poses


class Stream:
    """A caller's own video, frame by frame.

    Attributes:
        state: all that is remembered; a value, replaced with every frame.
    """

    def __init__(self, runner: StreamRunner, fps: float | None = None) -> None:
        if fps is not None and not fps > 0:
            raise VepeError(f"{fps:g} frames per second are not possible; give more than 0.")
        self._runner, self._fps = runner, fps
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
        self._check_open()
        return self._step(as_array(image), time_s, frame_index)

    def _check_open(self) -> None:
        if self._finished:
            raise VepeError("This stream is finished; start another for more frames.")

    def _step(
        self,
        image: Rgb,
        time_s: float | None,
        frame_index: int | None,
        encoded: EncodedImage | None = None,
    ) -> list[FramePoses]:
        """As `push`, of a checked image that may be encoded already."""
        index = self._count if frame_index is None else frame_index
        if time_s is None:
            if self._fps is None:
                raise VepeError("Give every frame its time_s, or the stream its fps.")
            time_s = index / self._fps
        if not math.isfinite(number(time_s, f"The time of frame {index}")):
            raise VepeError(f"The time of frame {index} is infinite; give seconds.")
        self.state, outputs = self._runner.step(self.state, image, time_s, index, encoded)
        self._count = index + 1
        return outputs

    def finish(self) -> list[FramePoses]:
        """The poses of the frames that wait for look-ahead frames; ends the stream."""
        if self._finished:
            return []
        self._finished = True
        outputs = self._runner.finish(self.state)
        self.state = self._runner.start()
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
