"""`vepe.load`: a model that is ready to use on images, videos and streams."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from PIL import Image

from vepe.config.model import ModelConfig
from vepe.config.tracking import ShotSettings, SmoothingSettings, SmoothMode, TrackerSettings
from vepe.errors import VepeError
from vepe.inference import DEFAULT_CONF, DEFAULT_MODEL
from vepe.inference.arguments import Rgb, describe, number, whole_number
from vepe.inference.backends import open_network
from vepe.inference.devices import quiet_threads
from vepe.inference.flipped_network import FlippedNetwork
from vepe.inference.network import Network
from vepe.inference.predicted import predict_images
from vepe.inference.result_streams import ResultStream, StreamGroup
from vepe.inference.stream import Stream, StreamRunner
from vepe.inference.tracked import TrackedFrames, VideoPart
from vepe.inference.window import WindowState
from vepe.results.events import OnFrame, OnTrack, TrackEvents
from vepe.results.frame import FrameResult
from vepe.skeleton import Skeleton
from vepe.tracking.shots import ShotDetector
from vepe.tracking.smoothing import OneEuroSmoother
from vepe.tracking.smoothing_offline import OfflineSmoother
from vepe.tracking.tracker import Tracker

_log = logging.getLogger(__name__)

ImageLike = Rgb | Image.Image | str | Path
"""An image: an RGB array, a PIL image, or a file; tensors of torch are accepted, too."""

MAX_INPUT_PX = 4096
"""Larger inputs would need more memory than machines have."""


def load(
    name: str | Path = DEFAULT_MODEL,
    *,
    backend: str = "auto",
    device: str = "auto",
    conf: float = DEFAULT_CONF,
    window: int | None = None,
    lookahead: int | None = None,
    input_px: int | None = None,
    flip: bool = False,
    smooth: SmoothMode = "off",
    tracker: TrackerSettings | None = None,
    smoothing: SmoothingSettings | None = None,
    shots: ShotSettings | None = None,
    shot_cuts: bool = True,
    max_people: int | None = None,
) -> Predictor:
    """Loads a model for use.

    Programs that run models on a Linux CPU should also call `vepe.keep_freed_memory()` once: it
    makes networks several times faster.

    Args:
        name: a preset with bundled weights, the path of a `.safetensors` file or of a model from
            `vepe export`, or one on the Hugging Face hub: `hf://OWNER/REPO` or
            `hf://OWNER/REPO/FILE.safetensors`.
        backend: `torch`, `onnxruntime` or `openvino`; `auto` takes the fastest installed one, see
            `vepe.inference.backends`.
        device: `auto` (the best available), `cpu`, `cuda`, `cuda:1` or `mps`.
        conf: lowest person score to return, 0..1. In videos it is the score that starts a track;
            later frames of the track may score lower (see `TrackerSettings`).
        window: number of frames that each frame's poses are read from, itself included.
        lookahead: how many frames to wait for, of which the 1st, 2nd and 4th are read, too. None:
            the model's (4) for files, none for cameras, network streams and `stream`.
        input_px: longer side of the network's input. Larger finds smaller people, more slowly.
        flip: whether the mirror image of each frame is read, too, and the poses of both are merged:
            more accurate, in twice the time.
        smooth: keypoint smoothing in videos: `off`, `causal`, or `offline` (`track` only).
        tracker: tracker settings instead of the model's; `conf` has no effect in videos then.
        smoothing: smoothing settings instead of the model's.
        shots: settings of shot cut detection instead of the model's.
        shot_cuts: whether to detect shot cuts, where windows and tracks must not continue.
        max_people: how many people per frame at most, highest scores first.

    Raises:
        VepeError: where the weights or the device are missing, or an option is out of range.
    """
    options: dict[str, Any] = {
        "conf": conf,
        "window": window,
        "lookahead": lookahead,
        "input_px": input_px,
        "smooth": smooth,
        "tracker": tracker,
        "smoothing": smoothing,
        "shots": shots,
        "shot_cuts": shot_cuts,
        "max_people": max_people,
    }
    begun = time.monotonic()
    _log.info("Loading '%s'", name)
    quiet_threads()
    network, config = open_network(name, backend, device)
    if flip:
        network = FlippedNetwork(network, config.skeleton)
    predictor = Predictor(network, config, **options)
    where_from = {"backend": backend, "device": device, "flip": flip}
    predictor._loaded_from = (name, {**options, **where_from})
    where = f"{network.device} ({network.backend})"
    _log.info("Loaded '%s' on %s in %.1f s", name, where, time.monotonic() - begun)
    return predictor


def _load_again(name: str | Path, options: dict[str, Any]) -> Predictor:
    """What a pickled predictor calls."""
    return load(name, **options)


class Predictor:
    """A model on a device, with settings. It remembers nothing of any image or video.

    Threads may share it. Pickled, as for other processes, one from `load` is loaded again by its
    name there, and any other takes its model with it.

    The arguments are those of `load`, with a network instead of its name; for a model of PyTorch,
    that is `vepe.inference.torch_network.TorchNetwork(model)`.

    Attributes:
        config: what the model is made of, with the settings in use.
        backend, device: what runs the model, and where.
        conf: lowest person score to return.
        smooth: how `track` smooths.
    """

    def __init__(
        self,
        network: Network,
        config: ModelConfig,
        *,
        conf: float = DEFAULT_CONF,
        window: int | None = None,
        lookahead: int | None = None,
        input_px: int | None = None,
        smooth: SmoothMode = "off",
        tracker: TrackerSettings | None = None,
        smoothing: SmoothingSettings | None = None,
        shots: ShotSettings | None = None,
        shot_cuts: bool = True,
        max_people: int | None = None,
    ) -> None:
        if not 0 <= number(conf, "conf") <= 1:
            raise VepeError(f"conf is {conf:g}; give a score between 0 and 1.")
        if smooth not in ("off", "causal", "offline"):
            raise VepeError(f"There is no smoothing '{smooth}'; give off, causal or offline.")
        if max_people is not None and whole_number(max_people, "max_people") < 1:
            raise VepeError(f"max_people is {max_people}; give 1 or more.")
        config = _with_overrides(config, network, window, lookahead, input_px)
        replaced = {"tracker": tracker, "smoothing": smoothing, "shots": shots}
        self.config = config = config.model_copy(
            update={key: value for key, value in replaced.items() if value is not None}
        )
        self.backend, self.device = network.backend, network.device
        self.conf, self.smooth = conf, smooth
        temporal = config.temporal
        self._runner = StreamRunner(
            network=network,
            input_px=config.input_px,
            tracker=Tracker(tracker or config.tracker.scaled_to(conf)),
            smoother=OneEuroSmoother(config.smoothing) if smooth == "causal" else None,
            shots=ShotDetector(config.shots) if shot_cuts else None,
            conf=conf,
            max_people=max_people,
            embeddings=config.consistency.enabled,
            window=WindowState(temporal.window, temporal.lookahead, temporal.memory_interval_s),
        )
        self._live_lookahead = temporal.lookahead if lookahead is not None else 0
        self._loaded_from: tuple[str | Path, dict[str, Any]] | None = None

    def __reduce__(self) -> str | tuple[Any, ...]:
        return (
            super().__reduce__() if self._loaded_from is None else (_load_again, self._loaded_from)
        )

    def __repr__(self) -> str:
        temporal = self.config.temporal
        return (
            f"Predictor('{self.config.name}' on {self.device}: "
            f"{len(self.skeleton)} keypoints, input {self.config.input_px} px, "
            f"window {temporal.window})"
        )

    @property
    def skeleton(self) -> Skeleton:
        """Names, edges and sigmas of the K keypoints."""
        return self.config.skeleton

    @overload
    def predict(  # type: ignore[overload-overlap]  # nothing is both an image and a list
        self, images: ImageLike, *, batch: int = ...
    ) -> FrameResult: ...

    @overload
    def predict(self, images: Sequence[ImageLike], *, batch: int = ...) -> list[FrameResult]: ...

    @overload
    def predict(
        self, images: Iterator[ImageLike], *, batch: int = ...
    ) -> Iterator[FrameResult]: ...

    def predict(self, images: Any, *, batch: int = 1) -> Any:
        """The people of images, without track ids.

        Args:
            images: one image: an RGB array of uint8 (H, W, 3), a PIL image, the path of a file,
                or a tensor (C, H, W) of uint8 or of floats in 0..1. Or several: a list of these, a
                generator of them, an array (B, H, W, 3) or a tensor (B, C, H, W).
            batch: how many images of one size go through the network at a time. It makes GPUs
                faster and takes memory; the results are the same up to rounding.

        Returns:
            One result for one image, a list for several, and for a generator an iterator, which
            reads `batch` images at a time. In results of several, `frame_index` counts images.

        Raises:
            VepeError: where a file cannot be read, or something is no image; says what to do.
        """
        whole_number(batch, "batch")
        if batch < 1:
            raise VepeError(f"batch is {batch}; give 1 or more.")
        return predict_images(images, batch, self._runner.poses_of, self.skeleton)

    def track(
        self,
        source: str | Path | int,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        stride: int = 1,
        fps: float | None = None,
        on_frame: OnFrame | None = None,
        on_track_start: OnTrack | None = None,
        on_track_end: OnTrack | None = None,
    ) -> TrackedFrames:
        """Poses with track ids, frame by frame, of a file, folder, camera number or URL.

        Memory does not grow with the length of the video. People without a track are left out.
        The work is done while the result is iterated, or by its `collect()` and `save()`.

        Args:
            source: see `vepe.video.reader.open_video`.
            start_s, end_s: part of the video, in seconds.
            stride: take every n-th frame.
            fps: frames per second of a folder of images; 25 if None.
            on_frame: called with the result of every frame.
            on_track_start: called with a new id and the result of its first frame.
            on_track_end: called with an id and the result of the last frame that it was seen in,
                as soon as it cannot come back: `config.tracker.max_gap_s` later, or at the end.

        Raises:
            VepeError: where an argument is wrong; where the source cannot be read, or `fps` is
                given for anything but a folder, at the first frame.
        """
        if not isinstance(source, str | Path | int) or isinstance(source, bool):
            raise VepeError(
                "A video is a file, a folder of images, a camera's number or a URL; got "
                f"{describe(source)}. For frames in memory, push them into `stream()`."
            )
        for name, value in (("start_s", start_s), ("end_s", end_s), ("fps", fps)):
            if value is not None:
                number(value, name)
        whole_number(stride, "stride")
        events = TrackEvents(self.config.tracker.max_gap_s, on_frame, on_track_start, on_track_end)
        return TrackedFrames(self, VideoPart(source, start_s, end_s, stride, fps), events)

    def stream(self, fps: float | None = None, *, tracking: bool = True) -> ResultStream:
        """A new stream for a caller's own frames; streams of one predictor are independent.

        Args:
            fps: frames per second, where frames are pushed without their times.
            tracking: whether people get ids; without, all people of at least `conf` are returned.

        Raises:
            VepeError: where the predictor was loaded with offline smoothing.
        """
        if self.smooth == "offline":
            raise VepeError(
                "A stream has no offline smoothing; load with smooth='causal' or 'off'."
            )
        if fps is not None:
            number(fps, "fps")
        return ResultStream(self._stream_runner(tracking, live=True), fps, self.skeleton)

    def streams(
        self, count: int, fps: float | None = None, *, tracking: bool = True
    ) -> StreamGroup:
        """Several new streams, such as cameras, whose frames share passes of the network.

        Each gives the same results as alone, up to rounding. Arguments and errors as `stream`.
        """
        if whole_number(count, "count") < 1:
            raise VepeError(f"count is {count}; give 1 or more streams.")
        return StreamGroup([self.stream(fps, tracking=tracking) for _ in range(count)])

    def new_stream(
        self, fps: float | None = None, *, tracking: bool = True, live: bool = False
    ) -> Stream:
        """As `stream`, but offline smoothing is left to the caller, see `offline_smoother`.

        Only a `live` stream has no lookahead unless the predictor was loaded with one.
        """
        return Stream(self._stream_runner(tracking, live=live), fps)

    def _stream_runner(self, tracking: bool, *, live: bool) -> StreamRunner:
        runner = self._runner if tracking else replace(self._runner, tracker=None, smoother=None)
        if not live:
            return runner
        return replace(runner, window=replace(runner.window, lookahead=self._live_lookahead))

    @property
    def runner(self) -> StreamRunner:
        """The stages of the streams of files, to run the network and the tracker apart."""
        return self._runner

    def offline_smoother(self) -> OfflineSmoother | None:
        """The smoother of a whole video, for `track_frames`; None unless `smooth` is `offline`."""
        return OfflineSmoother(self.config.smoothing) if self.smooth == "offline" else None


def _with_overrides(
    config: ModelConfig,
    network: Network,
    window: int | None,
    lookahead: int | None,
    input_px: int | None,
) -> ModelConfig:
    """The configuration with the caller's options. Raises VepeError where one is out of range."""
    temporal = config.temporal
    window = temporal.window if window is None else whole_number(window, "window")
    if lookahead is None:
        lookahead = min(temporal.lookahead, max(window, 1) - 1)
    input_px = config.input_px if input_px is None else whole_number(input_px, "input_px")
    if window < 1:
        raise VepeError(f"The window is {window}; give 1 for single frames, 3 for two more.")
    if not 0 <= whole_number(lookahead, "lookahead") < window:
        raise VepeError(
            f"The lookahead is {lookahead}, but the window of {window} frames has room for 0 to "
            f"{window - 1}; give a larger window."
        )
    if network.future is not None and lookahead > network.future:
        raise VepeError(
            f"The lookahead is {lookahead}, but this model was exported for at most "
            f"{network.future}; give that, or use --backend torch."
        )
    smallest = network.stride if network.future is None else max(network.blank_wh)
    if network.fixed_wh is None and not smallest <= input_px <= MAX_INPUT_PX:
        raise VepeError(f"The input size is {input_px} px; give {smallest} to {MAX_INPUT_PX}.")
    changed = temporal.model_copy(update={"window": window, "lookahead": lookahead})
    return config.model_copy(update={"temporal": changed, "input_px": input_px})
