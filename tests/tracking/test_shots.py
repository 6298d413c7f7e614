"""Shot cuts: joined scenes, pans, flashes and fades."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.config.tracking import ShotSettings
from vepe.tracking.shots import ShotDetector


def scene(seed: int, width: int = 1600, height: int = 180) -> np.ndarray:
    """A wide smooth image of coloured blobs, float 0..1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    image = np.ones((height, width, 3)) * rng.uniform(0.2, 0.6, 3)
    for _ in range(60):
        centre, radius = rng.uniform((0, 0), (width, height)), rng.uniform(20, 70)
        blob = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2)
        image += blob[..., None] * rng.uniform(-0.5, 0.5, 3)
    return np.clip(image, 0, 1)


def as_frame(image: np.ndarray, gain: float = 1.0, noise: float = 0.02, seed: int = 0):
    noisy = image * gain + np.random.default_rng(seed).normal(size=image.shape) * noise
    return (np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def still(seed: int, count: int) -> list[np.ndarray]:
    view = scene(seed)[:, :320]
    return [as_frame(view, seed=i) for i in range(count)]


def pan(seed: int, count: int, speed: int) -> list[np.ndarray]:
    wide = scene(seed)
    return [as_frame(wide[:, speed * i : speed * i + 320], seed=i) for i in range(count)]


def flash() -> list[np.ndarray]:
    view = scene(3)[:, :320] * 0.6
    return [as_frame(view, gain=1.6 if i == 5 else 1.0, seed=i) for i in range(12)]


def fade() -> list[np.ndarray]:
    return [as_frame(scene(4)[:, :320], gain=1 - i / 12, noise=0.0) for i in range(13)]


def dark() -> list[np.ndarray]:
    """Little but sensor noise."""
    return [as_frame(np.full((180, 320, 3), 0.02), noise=0.01, seed=i) for i in range(12)]


def cuts_of(frames: list[np.ndarray], fps: float = 25.0) -> list[int]:
    detector, cuts = ShotDetector(), []
    state = detector.start()
    for index, image in enumerate(frames):
        state, cut = detector.step(state, image, index / fps)
        if cut:
            cuts.append(index)
    return cuts


@pytest.mark.parametrize(
    ("name", "frames", "expected"),
    [
        ("still", still(0, 12), []),
        ("cut", still(0, 8) + still(1, 8), [8]),
        ("two-cuts", still(0, 1) + still(1, 1) + still(2, 1), [1, 2]),
        ("pan", pan(0, 12, 8), []),
        ("fast-pan", pan(0, 12, 40), []),
        ("pan-then-cut", pan(0, 12, 40) + still(9, 5), [12]),
        ("flash", flash(), []),
        ("fade", fade(), []),
        ("dark", dark(), []),
        ("none", [], []),
    ],
)
def test_cuts(name, frames, expected):
    assert cuts_of(frames) == expected, name


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (1080, 1920)])
def test_any_image_size(shape):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    assert cuts_of([image, image]) == []


def test_a_change_of_image_size_alone_is_no_cut():
    view = scene(2)[:, :320]
    assert cuts_of([as_frame(view), as_frame(view[::2, ::2])]) == []


def test_settings_decide():
    frames = still(0, 4) + still(1, 4)
    detector = ShotDetector(ShotSettings(structure_change=2.0))
    state, cuts = detector.start(), []
    for index, image in enumerate(frames):
        state, cut = detector.step(state, image, index / 25)
        cuts.append(cut)
    assert not any(cuts)


def test_real_clips_joined(shared_dir):
    av = pytest.importorskip("av")
    frames, starts = [], []
    for path in sorted((shared_dir / "data" / "demo").glob("*.mp4")):
        with av.open(str(path)) as container:
            some = [
                f.to_ndarray(format="rgb24")
                for f, _ in zip(container.decode(video=0), range(24), strict=False)
            ]
        starts.append(len(frames))
        frames += [image[::2, ::2] for image in some[::2]]
    assert len(starts) == 5
    assert cuts_of(frames, fps=12.5) == starts[1:]
