"""The same input gives the same poses and ids, however it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from tiny_models import moving_frames, tiny_predictor
from vepe.inference.predictor import Predictor
from vepe.types import FramePoses
from vepe.video.reader import open_video

FRAMES = 10


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return tiny_predictor(conf=0.3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video without loss; next to it, a folder of its frames as PNG files."""
    folder = tmp_path_factory.mktemp("clip")
    (folder / "frames").mkdir()
    path = folder / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for i, view in enumerate(moving_frames(FRAMES, width=64, height=48)):
            Image.fromarray(view).save(folder / f"frames/{i:03d}.png")
            frame = av.VideoFrame.from_ndarray(view).reformat(format="bgr0")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def tracked(predictor: Predictor, source: Path) -> list[FramePoses]:
    return list(predictor.track(source))


def largest_difference_px(one: list[FramePoses], two: list[FramePoses]) -> float:
    """The largest distance of a keypoint; infinite where frames or ids differ."""
    worst = 0.0
    if len(one) != len(two):
        return float("inf")
    for a, b in zip(one, two, strict=True):
        if a.track_ids.tolist() != b.track_ids.tolist():
            return float("inf")
        worst = max(worst, float(np.abs(a.keypoints_px - b.keypoints_px).max(initial=0)))
    return worst


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_two_runs_are_equal(predictor: Predictor, clip: Path) -> None:
    one, two = tracked(predictor, clip), tracked(predictor, clip)
    assert sum(len(frame) for frame in one) > FRAMES
    assert largest_difference_px(one, two) == 0


def test_numbers_of_threads_agree(
    predictor: Predictor, clip: Path, threads: Callable[[int], None]
) -> None:
    threads(1)
    one = tracked(predictor, clip)
    threads(2)
    assert largest_difference_px(one, tracked(predictor, clip)) < 1e-3


def test_file_and_folder_of_its_frames_are_equal(predictor: Predictor, clip: Path) -> None:
    with open_video(clip) as file, open_video(clip.parent / "frames", fps=25) as folder:
        pairs = list(zip(file, folder, strict=True))
    assert all(np.array_equal(a.image, b.image) for a, b in pairs)
    assert largest_difference_px(
        tracked(predictor, clip), tracked(predictor, clip.parent / "frames")
    ) == pytest.approx(0, abs=1e-9)


def test_an_image_gives_the_same_poses_alone_and_among_others(
    predictor: Predictor, clip: Path
) -> None:
    files = sorted((clip.parent / "frames").iterdir())
    alone = [predictor.predict(path) for path in files[:3]]
    predictor.predict(np.zeros((90, 30, 3), np.uint8))  # another size in between
    again = [predictor.predict(path) for path in reversed(files[:3])]
    for one, two in zip(alone, reversed(again), strict=True):
        assert np.array_equal(one.keypoints_px, two.keypoints_px)


@pytest.mark.parametrize("batch", [2, 5])
def test_batches_of_images_give_what_single_ones_do(
    predictor: Predictor, clip: Path, batch: int
) -> None:
    files = sorted((clip.parent / "frames").iterdir())
    single, together = predictor.predict(files), predictor.predict(files, batch=batch)
    assert sum(len(frame.poses) for frame in single) > FRAMES
    for one, two in zip(single, together, strict=True):
        np.testing.assert_allclose(one.poses.keypoints_px, two.poses.keypoints_px, atol=1e-3)
