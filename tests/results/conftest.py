"""A small video with its frames, and poses for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tiny_models import moving_frames, write_video
from vepe.results.video import VideoResult
from vepe.skeleton import POSETRACK15
from vepe.types import FramePoses, PoseTracks, VideoInfo
from vepe.video.reader import open_video

NUM_FRAMES = 12


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames of 96x64 at 25 per second."""
    frames = moving_frames(NUM_FRAMES, width=96, height=64)
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames)


@pytest.fixture(scope="session")
def images(clip: Path) -> list[np.ndarray]:
    """Its frames as they are decoded."""
    with open_video(clip) as source:
        return [frame.image for frame in source]


@pytest.fixture
def tracks(rng: np.random.Generator) -> PoseTracks:
    """Person 1 in all frames, person 2 from frame 4 to 7; nobody has an id of -1."""
    frames = []
    for index in range(NUM_FRAMES):
        ids = [1, 2] if 4 <= index < 8 else [1]
        base = rng.uniform(10, 50, (1, len(POSETRACK15), 2)) + 10 * np.array(ids)[:, None, None]
        frames.append(
            FramePoses(
                frame_index=index,
                time_s=index / 25,
                keypoints_px=base.astype(np.float32),
                keypoint_scores=rng.uniform(0.5, 1, base.shape[:2]).astype(np.float32),
                scores=np.array([0.9, 0.8][: len(ids)], np.float32),
                track_ids=np.array(ids, np.int64),
            )
        )
    video = VideoInfo("clip.mp4", 96, 64, 25.0, NUM_FRAMES)
    return PoseTracks(video, POSETRACK15, tuple(frames))


@pytest.fixture
def result(tracks: PoseTracks, clip: Path) -> VideoResult:
    return VideoResult.of(tracks, clip)
