"""`vepe.load`: a model that is ready to use on pictures, videos and streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from vepe.config.model import ModelConfig
from vepe.config.tracking import SmoothMode, TrackerSettings
from vepe.errors import VepeError
from vepe.inference.devices import DEFAULT_CONF, choose_device, keep_freed_memory
from vepe.inference.prefetch import Prefetched
from vepe.inference.prepost import frame_poses
from vepe.inference.smoothing import OfflineSmoothing
from vepe.inference.stream import Stream, StreamRunner
from vepe.inference.weights import load_weights
from vepe.models.folding import fold_batch_norms
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton
from vepe.tracking.shots import ShotDetector
from vepe.tracking.smoothing import OneEuroSmoother
from vepe.tracking.tracker import Tracker
from vepe.types import FramePoses
from vepe.video.images import read_image
from vepe.video.reader import open_video

MAX_INPUT_PX = 4096
"""Longer inputs would ask for more memory than machines have."""


def load(
    name: str | Path = "vepe-n",
    *,
    device: str = "auto",
    conf: float = DEFAULT_CONF,
    window: int | None = None,
    lookahead: int | None = None,
    input_px: int | None = None,
    smooth: SmoothMode = "off",
    tracker: TrackerSettings | None = None,
    shot_cuts: bool = True,
    max_people: int | None = None,
) -> Predictor:
    """Loads a model for use.

    On a Linux CPU the process keeps the memory it frees from then on (see `vepe.inference.devices`), which
    makes networks several times faster.

    Args:
        name: a preset whose weights come with VEPE, the path of a `.safetensors` file, or one on
            the Hugging Face hub: `hf://OWNER/REPO` or `hf://OWNER/REPO/FILE.safetensors`.
        device: `auto` (the best there is), `cpu`, `cuda`, `cuda:1` or `mps`.
        conf: lowest person score that is told, 0..1. In videos it is the score that starts a
            track; once begun, it goes on with lower ones (see `tracker_settings`).
        window: frames that each frame's poses are read from, itself included.
        lookahead: how many of those lie in the future; results come that many frames later.
        input_px: longer side of the network's input. More finds smaller people, more slowly.
        smooth: of keypoints in videos: `off`, `causal`, or `offline` (`track` alone).
        tracker: settings of the tracker; `conf` has no say in videos then.
        shot_cuts: whether to look for cuts, at which window and tracks start anew.
        max_people: keep so many of a frame's best at most.

    Raises:
        VepeError: where weights or device are not there, or an option is out of range.
    """
    chosen = choose_device(device)
    model, config, _ = load_weights(name)
    fold_batch_norms(model)
    if chosen.type == "cpu":
        keep_freed_memory()
    return Predictor(
        model,
        config,
        device=chosen,
        conf=conf,
        window=window,
        lookahead=lookahead,
        input_px=input_px,
        smooth=smooth,
        tracker=tracker,
        shot_cuts=shot_cuts,
        max_people=max_people,
    )


class Predictor:
    """A model on a device, with settings. Holds nothing of any picture or video.

    Args: as `load`, with a model in place of its name; the model is moved and set to eval mode.

    Attributes:
        skeleton: the keypoints of its poses.
        config: what the model is made of, with the window and input size in use.
        device: where it runs.
        conf: lowest person score that is told.
        smooth: how `track` smooths.
    """

    def __init__(
        self,
        model: Vepe,
        config: ModelConfig,
        *,
        device: torch.device | None = None,
        conf: float = DEFAULT_CONF,
        window: int | None = None,
        lookahead: int | None = None,
        input_px: int | None = None,
        smooth: SmoothMode = "off",
        tracker: TrackerSettings | None = None,
        shot_cuts: bool = True,
        max_people: int | None = None,
    ) -> None:
        if not 0 <= conf <= 1:
            raise VepeError(f"conf is {conf:g}; give a score between 0 and 1.")
        if smooth not in ("off", "causal", "offline"):
            raise VepeError(f"There is no smoothing '{smooth}'; give off, causal or offline.")
        if max_people is not None and max_people < 1:
            raise VepeError(f"max_people is {max_people}; give 1 or more.")
        self.config = _with_overrides(config, model, window, lookahead, input_px)
        self.device = device or torch.device("cpu")
        self.conf, self.smooth = conf, smooth
        model.window = self.config.temporal.window
        model.lookahead = self.config.temporal.lookahead
        model = model.eval().to(self.device)
        if self.device.type == "cpu":
            model = model.to(memory_format=torch.channels_last)
        self._runner = StreamRunner(
            model=model,
            device=self.device,
            input_px=self.config.input_px,
            tracker=Tracker(tracker or tracker_settings(conf)),
            smoother=OneEuroSmoother() if smooth == "causal" else None,
            shots=ShotDetector() if shot_cuts else None,
            conf=conf,
            max_people=max_people,
            embeddings=config.consistency.enabled,
        )

    @property
    def skeleton(self) -> Skeleton:
        """Names, edges and sigmas of the K keypoints."""
        return self.config.skeleton

    @torch.inference_mode()
    def predict(self, image: UInt8[np.ndarray, "H W 3"] | str | Path) -> FramePoses:
        """The people of one picture (an RGB array, or a file), without track ids.

        Raises:
            VepeError: where the file cannot be read, or the array is not uint8 (H, W, 3).
        """
        pixels = image if isinstance(image, np.ndarray) else read_image(image)
        runner, model = self._runner, self._runner.model
        tensor, padding, fit = runner.network_input(pixels)
        features = model.encode_frame(tensor, padding)
        times_s = torch.zeros(1, 1, dtype=torch.float32, device=self.device)
        return frame_poses(
            model.fuse([features], times_s, 0),
            fit,
            frame_index=0,
            time_s=0.0,
            conf=self.conf,
            max_people=runner.max_people,
            embeddings=runner.embeddings,
        )

    def track(
        self,
        source: str | Path | int,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        stride: int = 1,
        fps: float | None = None,
    ) -> Iterator[FramePoses]:
        """Poses with track ids, frame by frame, of a file, folder, camera number or address.

        Memory does not grow with the length of the video. People without a track are left out.

        Args:
            source: see `vepe.video.reader.open_video`.
            start_s, end_s: part of the video, in seconds.
            stride: every n-th frame.
            fps: frames per second of a folder of pictures, 25 unless given.

        Raises:
            VepeError: where the source cannot be read, or `fps` is given for what is no folder; at
                the first frame, since it is lazy.
        """
        offline = OfflineSmoothing() if self.smooth == "offline" else None
        stream = self.new_stream()
        with open_video(source, start_s=start_s, end_s=end_s, stride=stride, fps=fps) as video:
            frames = Prefetched(video, 1 if video.info.live else 4)
            try:
                for frame in frames:
                    told = stream.push(frame.image, frame.time_s, frame.index)
                    for poses in told:
                        yield from offline.push(poses) if offline else (poses,)
            finally:
                video.close()  # first, lest the reading thread wait for a camera that hangs
                frames.close()
        for poses in stream.finish():
            yield from offline.push(poses) if offline else (poses,)
        if offline:
            yield from offline.finish()

    def stream(self, fps: float | None = None, *, tracking: bool = True) -> Stream:
        """A new stream for a caller's own frames; streams of one predictor do not touch.

        Args:
            fps: frames per second, where frames are pushed without their times.
            tracking: whether people get ids; without, all people from `conf` on are told.

        Raises:
            VepeError: where the predictor was loaded with offline smoothing.
        """
        if self.smooth == "offline":
            raise VepeError(
                "A stream has no offline smoothing; load with smooth='causal' or 'off'."
            )
        return self.new_stream(fps, tracking=tracking)

    def new_stream(self, fps: float | None = None, *, tracking: bool = True) -> Stream:
        """As `stream`, whatever the smoothing: offline smoothing is left to the caller."""
        runner = self._runner if tracking else replace(self._runner, tracker=None, smoother=None)
        return Stream(runner, fps)


REVIVAL = {"revive_similarity": 0.5, "revive_margin": 0.3, "max_gap_s": 10.0}
"""How the bundled weights find who was gone for long. The same person's cosine falls to 0.5 as the
pose changes, and small people in dark clothes reach 0.7 with each other: hence the margin."""


def tracker_settings(conf: float) -> TrackerSettings:
    """The tracker's settings for the bundled weights, with tracks that start from `conf` on."""
    usual = TrackerSettings()
    factor = conf / usual.birth_score
    return usual.model_copy(
        update={
            "birth_score": conf,
            "confident_score": usual.confident_score * factor,
            "weak_score": usual.weak_score * factor,
            **REVIVAL,
        }
    )


def _with_overrides(
    config: ModelConfig,
    model: Vepe,
    window: int | None,
    lookahead: int | None,
    input_px: int | None,
) -> ModelConfig:
    """The configuration with what the caller wants otherwise. Raises VepeError out of range."""
    temporal = config.temporal
    window = temporal.window if window is None else window
    if lookahead is None:
        lookahead = min(temporal.lookahead, max(window, 1) - 1)
    input_px = config.input_px if input_px is None else input_px
    if window < 1:
        raise VepeError(f"The window is {window}; give 1 for single frames, 3 for two more.")
    if not 0 <= lookahead < window:
        raise VepeError(
            f"The lookahead is {lookahead}, but the window of {window} frames has room for 0 to "
            f"{window - 1}; give a larger window."
        )
    if not model.stride <= input_px <= MAX_INPUT_PX:
        raise VepeError(f"The input size is {input_px} px; give {model.stride} to {MAX_INPUT_PX}.")
    changed = temporal.model_copy(update={"window": window, "lookahead": lookahead})
    return config.model_copy(update={"temporal": changed, "input_px": input_px})
