"""A network without weights, which takes as long as it is asked to: for tests and measurements."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from figures.sets import training_set
from vepe.cluster.tasks import WorkSettings
from vepe.config.model import ModelConfig
from vepe.data.images import ImageIndex, LabelPolicy
from vepe.data.read_labels import read_label_files
from vepe.data.shards import ShardPlan
from vepe.formats.annotations import skeleton_named
from vepe.inference.batch import SharedSettings
from vepe.inference.network import KEY_PLACE, NetworkPoses
from vepe.inference.predictor import Predictor
from vepe.inference.result_info import RunInfo
from vepe.inference.track_job import TrackJob
from vepe.video.writer import VideoWriter

CONFIG = ModelConfig.model_validate(
    {
        "name": "stand-in",
        "input_px": 64,
        "temporal": {"window": 4, "lookahead": 1, "memory_interval_s": 0.0, "alignment": "none"},
        "consistency": {"dim": 8},
    }
)
PEOPLE = 3


class StandIn:
    """A `Network` whose poses depend on the pixels of all frames of a window.

    Args:
        frame_s: seconds of sleep per frame.
    """

    backend, device, stride, future, fixed_wh = "stand-in", "cpu", 32, None, None
    blank_wh = (32, 32)
    aligned = False

    def __init__(self, frame_s: float = 0.0) -> None:
        self.frame_s = frame_s

    def step(
        self,
        images: np.ndarray,
        sizes_px: np.ndarray,
        memory: Sequence[object],
        windows: np.ndarray,
        flows: object,
    ) -> tuple[NetworkPoses, list[object]]:
        if self.frame_s and images.shape[1:3] != self.blank_wh:
            time.sleep(self.frame_s * len(images))
        new = [float(image.mean()) for image in images]
        values = np.array([*memory, *new])
        read = np.where(windows >= 0, values[windows], 0.0)  # (Q, T)
        weights = 1.0 / (1 + np.abs(np.arange(windows.shape[1]) - KEY_PLACE))
        shift = (read * weights).sum(axis=1) / 100  # (Q,)
        count, points = len(windows), len(CONFIG.skeleton)
        grid = np.stack([np.arange(points) % 4, np.arange(points) // 4], axis=1) * 3.0
        places = np.stack([np.arange(PEOPLE) * 18.0 + 4, np.full(PEOPLE, 8.0)], axis=1)
        keypoints = places[None, :, None] + grid[None, None] + shift[:, None, None, None]
        return NetworkPoses(
            np.full((count, PEOPLE), 0.9, np.float32) - np.arange(PEOPLE, dtype=np.float32) / 50,
            keypoints.astype(np.float32),
            np.full((count, PEOPLE, points), 0.8, np.float32),
            np.tile(np.eye(PEOPLE, 8, dtype=np.float32), (count, 1, 1)),
        ), list(new)


def stand_in_predictor(frame_s: float = 0.0, kill_once: Path | None = None) -> Predictor:
    """A predictor; with `kill_once`, its process dies at the first frame if that file exists."""
    network = StandIn(frame_s)
    if kill_once is not None:
        step = network.step

        def dying(*arguments: object) -> object:
            try:
                kill_once.unlink()  # two workers may be here at once: one of them dies
            except FileNotFoundError:
                return step(*arguments)  # type: ignore[arg-type]
            os._exit(9)

        network.step = dying  # type: ignore[method-assign, assignment]
    return Predictor(network, CONFIG)


def shard_plan(folder: Path) -> ShardPlan:
    """Images of the moving figures, in several shards."""
    root = training_set()
    index = read_label_files([root / "labels.json"], root, single=True)
    images = ImageIndex([index], skeleton_named(index.keypoints), LabelPolicy())
    return ShardPlan.of(folder, images, megabytes=5 * images[0].num_bytes() / 1e6)


def shared_settings(folder: Path, **job: object) -> SharedSettings:
    """Settings of videos that are tracked with the stand-in."""
    options = {"video": False, **job}
    return SharedSettings(
        TrackJob(folder, "", **options),  # type: ignore[arg-type]
        RunInfo("stand-in", "0" * 64, {"conf": 0.4}),
    )


def work_settings(folder: Path, segment_s: float | None = None, **job: object) -> WorkSettings:
    """The same, for workers."""
    return WorkSettings(shared_settings(folder, **job), stand_in_predictor, segment_s)


def write_clip(path: Path, num_frames: int, seed: int = 0, cut_at: int | None = None) -> Path:
    """A clip of smooth noise that changes from frame to frame, at 25 frames per second."""
    rng = np.random.default_rng(seed)
    width, height = 64, 48
    base = rng.integers(40, 200, (height // 8, width // 8, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, width=width, height=height, fps=25.0) as writer:
        for i in range(num_frames):
            if i == cut_at:
                base = rng.integers(40, 200, base.shape) * np.array([1, 0.2, 0.2])
            level = base + 10 * np.sin(i / 3)
            image = np.clip(level, 0, 255).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            writer.write(np.ascontiguousarray(image), i / 25)
    return path


def results_of(folder: Path) -> dict[str, bytes]:
    """The results of a folder by name, without the paths that they hold."""
    root = str(folder).encode()
    return {
        path.name: path.read_bytes().replace(root, b"")
        for path in sorted(folder.iterdir())
        if path.is_file()
    }
