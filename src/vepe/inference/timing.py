"""How long a frame takes, stage by stage, for several setups in one run.

The setups are interleaved frame by frame, so that drifting machine speed affects all alike, and
compared by the median of the ratios of the same frame. `vepe benchmark` prints the result.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vepe.inference.backends import exported_file
from vepe.inference.devices import available_cores
from vepe.inference.model_files import read_metadata
from vepe.inference.network import Network, NetworkPoses
from vepe.inference.predictor import load
from vepe.inference.prepost import letterbox
from vepe.inference.stream import StreamRunner
from vepe.skeleton import POSETRACK15
from vepe.tracking.tracker import Tracker, TrackerState
from vepe.types import NO_TRACK, Frame, FramePoses

Clock = Literal["wall", "cpu"]
STAGES = ("letterbox", "flow and cuts", "network", "tracker", "other")
"""The stages of a frame. `other` is what happens between them: poses from the network's output,
smoothing, copies."""
WARM_UP = 20
"""Frames at the start that do not count: runtimes prepare themselves for the size of the input."""
PACKAGES = ("vepe", "numpy", "opencv-python-headless", "onnxruntime", "openvino", "torch")


@dataclass(frozen=True)
class Setup:
    """One way to run a model.

    Attributes:
        model, backend, imgsz, window: as `vepe.load` takes them (`input_px` is `imgsz`).
        people: how many made-up people the tracker follows instead of the clip's; None: the clip's.
        batch: how many streams share a step of the network.
    """

    model: str
    backend: str = "auto"
    imgsz: int | None = None
    window: int | None = None
    people: int | None = None
    batch: int = 1


@dataclass(frozen=True)
class Timing:
    """What was measured of a setup; milliseconds for one frame of one stream.

    Attributes:
        setup: with the backend that `auto` took.
        precision: what the network's convolutions are computed in: fp32 or int8.
        input_wh: width and height of the network's input.
        frames_ms: time of each frame.
        stages_ms: the same by stage.
    """

    setup: Setup
    precision: str
    input_wh: tuple[int, int]
    frames_ms: list[float]
    stages_ms: dict[str, list[float]]

    def ratio(self, other: Timing) -> float:
        """Median over frames of this setup's time in units of the other's."""
        return float(np.median(np.divide(self.frames_ms, other.frames_ms)))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        s, median = self.setup, float(np.median(self.frames_ms))
        return {
            "model": s.model,
            "backend": s.backend,
            "precision": self.precision,
            "input": list(self.input_wh),
            "window": s.window,
            "people": s.people,
            "batch": s.batch,
            "median_ms": median,
            "p95_ms": float(np.percentile(self.frames_ms, 95)),
            "frames_per_s": 1000 / median,
            "stages_ms": {name: float(np.median(v)) for name, v in self.stages_ms.items()},
        }


def benchmark(
    setups: Sequence[Setup],
    frames: Sequence[Frame],
    *,
    repeats: int = 1,
    warm_up: int = WARM_UP,
    clock: Clock = "wall",
    on_frame: Callable[[], None] = lambda: None,
) -> list[Timing]:
    """Runs all setups on the frames of a clip, interleaved frame by frame.

    Args:
        setups: what to compare.
        frames: at least one; more than `warm_up` of them, repeats included, are measured.
        repeats: how often the clip is run.
        warm_up: how many frames at the start do not count.
        clock: `wall`, or `cpu` for the CPU time of all threads of this process, which a busy
            machine changes less.
        on_frame: called after each frame of all setups.

    Raises:
        VepeError: as `vepe.load`.
    """
    runs = [_Run(setup, frames[0], _CLOCKS[clock]) for setup in setups]
    count = 0
    for _ in range(repeats):
        for frame in frames:
            for run in runs:
                run.push(frame, count, counted=count >= warm_up)
            count += 1
            on_frame()
    return [run.timing() for run in runs]


_CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


class _Stopwatch:
    """Milliseconds by name since the last `take`."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._spent = now, defaultdict[str, float](float)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        start = self._now()
        yield
        self._spent[name] += 1000 * (self._now() - start)

    def take(self) -> dict[str, float]:
        spent, self._spent = self._spent, defaultdict(float)
        return spent


class _TimedNetwork:
    """A network that is timed."""

    def __init__(self, network: Network, watch: _Stopwatch) -> None:
        self._network, self._watch = network, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def step(self, *arguments: Any) -> tuple[NetworkPoses, list[object]]:
        with self._watch.measure("network"):
            return self._network.step(*arguments)


class _TimedTracker(Tracker):
    """A tracker that is timed, and that may follow made-up people instead."""

    def __init__(self, tracker: Tracker, watch: _Stopwatch, people: int | None) -> None:
        super().__init__(tracker.settings)
        self._watch, self._people = watch, people

    def step(self, state: TrackerState, poses: FramePoses) -> tuple[TrackerState, FramePoses]:
        if self._people is not None:
            poses = crowd(self._people, poses.time_s, poses.keypoints_px.shape[1])
        with self._watch.measure("tracker"):
            return super().step(state, poses)


class _Run:
    """A setup while it is measured."""

    def __init__(self, setup: Setup, frame: Frame, now: Callable[[], float]) -> None:
        predictor = load(
            setup.model,
            backend=setup.backend,
            input_px=setup.imgsz,
            window=setup.window,
        )
        self.setup = replace(
            setup, backend=predictor.backend, window=predictor.config.temporal.window
        )
        exported = None if predictor.backend == "torch" else exported_file(setup.model)
        metadata = {} if exported is None else read_metadata(exported)
        self.precision = metadata.get("precision", "fp32")
        self.watch = _Stopwatch(now)
        runner: StreamRunner = predictor.stream(fps=25).runner
        assert runner.tracker is not None
        self.runner = replace(
            runner,
            network=_TimedNetwork(runner.network, self.watch),
            tracker=_TimedTracker(runner.tracker, self.watch, setup.people),
        )
        self.states = [self.runner.start()] * setup.batch
        image = self._letterbox(frame)
        self.input_wh = (image.shape[1], image.shape[0])
        self.frames_ms: list[float] = []
        self.stages_ms: dict[str, list[float]] = {name: [] for name in STAGES}

    def _letterbox(self, frame: Frame) -> np.ndarray:
        network = self.runner.network
        return letterbox(frame.image, self.runner.input_px, network.stride, network.fixed_wh)[0]

    def push(self, frame: Frame, index: int, *, counted: bool) -> None:
        """One frame for every stream of the batch."""
        with self.watch.measure("extra"):
            self._letterbox(frame)  # once more, for its time
        with self.watch.measure("whole"):
            with self.watch.measure("prepare"):
                steps = [self.runner.plan(s, frame.image, index / 25, index) for s in self.states]
            self.states = [state for state, _ in self.runner.run(steps)]
        spent, batch = self.watch.take(), self.setup.batch
        if not counted:
            return
        prepare, whole = spent["prepare"] / batch, spent["whole"] / batch
        network, tracker = spent["network"] / batch, spent["tracker"] / batch
        stages = {
            "letterbox": spent["extra"],
            "flow and cuts": max(0.0, prepare - spent["extra"]),
            "network": network,
            "tracker": tracker,
            "other": whole - prepare - network - tracker,
        }
        self.frames_ms.append(whole)
        for name, value in stages.items():
            self.stages_ms[name].append(value)

    def timing(self) -> Timing:
        return Timing(self.setup, self.precision, self.input_wh, self.frames_ms, self.stages_ms)


def crowd(people: int, time_s: float, keypoints: int = 15, width: int = 64) -> FramePoses:
    """Made-up people who stand in rows and sway, with embeddings of that width."""
    rng = np.random.default_rng(0)
    body = rng.random((1, keypoints, 2)) * [40, 120]
    number = np.arange(people)
    place = np.stack([number % 10 * 60.0, number // 10 * 90.0], axis=1)
    sway = 4 * np.sin(5 * time_s + number)[:, None, None]
    embeddings = rng.standard_normal((people, width))
    return FramePoses(
        frame_index=round(time_s * 25),
        time_s=time_s,
        keypoints_px=place[:, None] + body + sway,
        keypoint_scores=np.full((people, keypoints), 0.9),
        scores=np.full(people, 0.9),
        track_ids=np.full(people, NO_TRACK),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
    )


def read_frames(source: str, limit: int) -> tuple[list[Frame], list[float]]:
    """The first frames of a video, and the milliseconds that each took to decode."""
    from vepe.video.reader import open_video

    frames: list[Frame] = []
    spent: list[float] = []
    with open_video(source) as video:
        iterator = iter(video)
        while len(frames) < limit:
            start = time.perf_counter()
            frame = next(iterator, None)
            if frame is None:
                break
            spent.append(1000 * (time.perf_counter() - start))
            frames.append(frame)
    return frames, spent


def time_output(frames: Sequence[Frame]) -> dict[str, list[float]]:
    """Milliseconds per frame to draw three people and to encode the video."""
    from vepe.video.writer import VideoWriter
    from vepe.viz.drawing import PoseRenderer

    height, width = frames[0].image.shape[:2]
    renderer = PoseRenderer(POSETRACK15)
    spent: dict[str, list[float]] = {"draw": [], "encode": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        with VideoWriter(path, width=width, height=height, fps=25) as writer:
            for index, frame in enumerate(frames):
                start = time.perf_counter()
                drawn = renderer.draw(frame.image, crowd(3, index / 25))
                middle = time.perf_counter()
                writer.write(drawn, index / 25)
                spent["draw"].append(1000 * (middle - start))
                spent["encode"].append(1000 * (time.perf_counter() - middle))
            writer.finish()
    return spent


def peak_memory_mb() -> float | None:
    """Most memory that this process has had resident; None on systems that do not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1e6 if sys.platform == "darwin" else 1000)


def describe_machine() -> dict[str, str]:
    """What the numbers depend on: processor, cores, load, system and versions."""
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    load_1 = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": str(available_cores()),
        "load before": load_1,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(versions),
    }


def _processor() -> str:
    """Name of the processor, and which of the instructions for int8 it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    known = {key.strip(): value.strip() for key, value in known.items()}
    flags = known.get("flags", "").split()
    fast = [n for n in ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8") if n in flags]
    return ", ".join([known.get("model name", platform.machine()), *fast])
