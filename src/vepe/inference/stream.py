"""A video that comes frame by frame: network, tracker and smoother, with all memory in one value.

`StreamRunner` holds settings and weights only; what is remembered of a video goes in and comes out
as a `StreamMemory`. `Stream` is the handle that users push frames into.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from vepe.errors import VepeError
from vepe.inference.prepost import Letterbox, frame_poses, letterbox
from vepe.models.streaming import PoseOutput, StreamState
from vepe.models.vepe import Vepe
from vepe.tracking.shots import ShotDetector, ShotState
from vepe.tracking.smoothing import OneEuroSmoother, SmootherState
from vepe.tracking.tracker import Tracker, TrackerState
from vepe.types import NO_TRACK, FramePoses


@dataclass(frozen=True)
class PendingFrame:
    """A frame whose poses have not come out yet; `cut` says that a new shot begins with it."""

    frame_index: int
    time_s: float
    fit: Letterbox
    cut: bool


@dataclass(frozen=True)
class StreamMemory:
    """All that is remembered of one video. A value: it can be kept, and continued more than once.

    Attributes:
        network: features of the window's frames.
        waiting: frames whose future is still awaited (lookahead), oldest first.
        tracker, smoother, shots: of these stages.
        fit: of the last frame, or None before the first.
        time_s: of the last frame, or None.
    """

    network: StreamState
    waiting: tuple[PendingFrame, ...]
    tracker: TrackerState
    smoother: SmootherState
    shots: ShotState
    fit: Letterbox | None = None
    time_s: float | None = None


@dataclass(frozen=True)
class StreamRunner:
    """The stages of a stream. Holds nothing of any video, so one serves any number of them.

    Attributes:
        model: in eval mode on `device`.
        device: where it runs.
        input_px: longer side of its input.
        tracker: gives ids; people it gives none to are left out. None: no ids at all.
        smoother: calms tracked keypoints with the past alone, or None.
        shots: finds cuts, or None. At a cut the window starts anew, and tracks go on by their
            embeddings or not at all.
        conf: lowest person score without a tracker; with one, its settings say what is kept.
        max_people: in a frame, or None.
        embeddings: whether the model's identity embeddings are trained.
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

    def start(self) -> StreamMemory:
        """The memory before the first frame."""
        return StreamMemory(
            StreamState(),
            (),
            (self.tracker or Tracker()).start(),
            (self.smoother or OneEuroSmoother()).start(),
            (self.shots or ShotDetector()).start(),
        )

    @torch.inference_mode()
    def step(
        self,
        memory: StreamMemory,
        image_rgb: UInt8[np.ndarray, "H W 3"],
        time_s: float,
        frame_index: int,
    ) -> tuple[StreamMemory, list[FramePoses]]:
        """Takes the next frame; gives the poses of all frames that can now be told.

        Without lookahead that is this very frame.

        Raises:
            VepeError: where the time does not rise, or the picture is not uint8 (H, W, 3).
        """
        if memory.time_s is not None and not time_s > memory.time_s:
            raise VepeError(
                f"Frame {frame_index} at {time_s:g} s does not come after the last one at "
                f"{memory.time_s:g} s; give rising times."
            )
        image, padding, fit = self.network_input(image_rgb)
        shots, cut = memory.shots, False
        if self.shots is not None:
            shots, cut = self.shots.step(memory.shots, image_rgb, time_s)
        told: list[FramePoses] = []
        if cut or (memory.fit is not None and memory.fit != fit):
            # Another scene, or another size: what came before is finished on its own.
            memory, told = self._finished(memory)
            cut = True
        waiting = (*memory.waiting, PendingFrame(frame_index, time_s, fit, cut))
        network, output = self.model.step(memory.network, image, time_s, padding)
        memory = replace(
            memory, network=network, waiting=waiting, shots=shots, fit=fit, time_s=time_s
        )
        if output is not None:
            memory, poses = self._answered(memory, output)
            told.append(poses)
        return memory, told

    @torch.inference_mode()
    def finish(self, memory: StreamMemory) -> list[FramePoses]:
        """The poses of the last frames, whose future will never come."""
        return self._finished(memory)[1]

    def network_input(
        self, image_rgb: UInt8[np.ndarray, "H W 3"]
    ) -> tuple[Float[Tensor, "1 3 h w"], Bool[Tensor, "1 h w"] | None, Letterbox]:
        """A picture as the network takes it, on its device. Errors as `letterbox`."""
        image, padding, fit = letterbox(image_rgb, self.input_px, self.model.stride)
        # Convolutions run faster on a CPU with the channels innermost.
        on_cpu = self.device.type == "cpu"
        layout = torch.channels_last if on_cpu else torch.contiguous_format
        image = image.to(self.device, memory_format=layout)
        return image, None if padding is None else padding.to(self.device), fit

    def _finished(self, memory: StreamMemory) -> tuple[StreamMemory, list[FramePoses]]:
        """All waiting frames answered, and an empty window."""
        told = []
        for output in self.model.flush(memory.network):
            memory, poses = self._answered(memory, output)
            told.append(poses)
        return replace(memory, network=StreamState()), told

    def _answered(
        self, memory: StreamMemory, output: PoseOutput
    ) -> tuple[StreamMemory, FramePoses]:
        """The oldest waiting frame's people, with ids and smoothed as the settings say."""
        frame, *later = memory.waiting
        memory = replace(memory, waiting=tuple(later))
        settings = self.tracker.settings if self.tracker else None
        poses = frame_poses(
            output,
            frame.fit,
            frame_index=frame.frame_index,
            time_s=frame.time_s,
            conf=settings.weak_score if settings else self.conf,
            max_people=self.max_people,
            embeddings=self.embeddings,
        )
        if self.tracker is None:
            return memory, poses
        tracks = self.tracker.end_shot(memory.tracker) if frame.cut else memory.tracker
        tracks, poses = self.tracker.step(tracks, poses)
        poses = poses.select(poses.track_ids != NO_TRACK)
        smooth = memory.smoother
        if self.smoother is not None:
            smooth, poses = self.smoother.step(smooth, poses)
        return replace(memory, tracker=tracks, smoother=smooth), poses


class Stream:
    """A caller's own video, frame by frame.

    Attributes:
        memory: all that is remembered; a value, replaced with every frame.
    """

    def __init__(self, runner: StreamRunner, fps: float | None = None) -> None:
        if fps is not None and not fps > 0:
            raise VepeError(f"{fps:g} frames per second are not possible; give more than 0.")
        self._runner, self._fps = runner, fps
        self._count = 0
        self._ended = False
        self.memory = runner.start()

    def push(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        time_s: float | None = None,
        frame_index: int | None = None,
    ) -> list[FramePoses]:
        """Takes the next frame; gives the poses of all frames that can now be told, in order.

        Without lookahead that is this frame's; with it, frames come out `lookahead` later.

        Args:
            image: RGB.
            time_s: its time in seconds, rising; may be left out where the stream has `fps`.
            frame_index: its number; counted from 0 where left out.

        Raises:
            VepeError: where the time is missing or does not rise, the picture is not uint8
                (H, W, 3), or the stream was finished.
        """
        if self._ended:
            raise VepeError("This stream is finished; start another for more frames.")
        index = self._count if frame_index is None else frame_index
        if time_s is None:
            if self._fps is None:
                raise VepeError("Give every frame its time_s, or the stream its fps.")
            time_s = index / self._fps
        self.memory, told = self._runner.step(self.memory, image, time_s, index)
        self._count = index + 1
        return told

    def finish(self) -> list[FramePoses]:
        """The poses of the frames that are still waiting for their future; ends the stream."""
        if self._ended:
            return []
        self._ended = True
        told = self._runner.finish(self.memory)
        self.memory = self._runner.start()
        return told
