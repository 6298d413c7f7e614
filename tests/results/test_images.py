"""Images of frames: any order, decoded as often as necessary, in constant memory."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny_models import moving_frames, write_video
from vepe.errors import VepeError
from vepe.results import images as module
from vepe.results.images import FrameImages
from vepe.types import Frame
from vepe.video.reader import open_video


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The start times at which a video was opened."""
    starts: list[float] = []

    def spy(source, *, start_s=0.0, fps=None):
        starts.append(start_s)
        return open_video(source, start_s=start_s, fps=fps)

    monkeypatch.setattr(module, "open_video", spy)
    return starts


def uneven_video(folder: Path) -> Path:
    times_s = np.cumsum([0.0, 0.04, 0.1, 0.02, 0.3, 0.04, 0.04, 0.15, 0.04, 0.5])
    return write_video(folder / "v.mp4", moving_frames(10, width=64, height=48), times_s)


def image_folder(folder: Path) -> Path:
    for i, image in enumerate(moving_frames(10, width=64, height=48)):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("make", [uneven_video, image_folder])
@pytest.mark.parametrize("order", [range(10), [9, 0, 5, 4, 4, 8, 1], [7, 6, 5]])
def test_any_order(make, order, tmp_path: Path) -> None:
    path = make(tmp_path)
    with open_video(path) as source:
        frames = list(source)
    images = FrameImages(path)
    for index in order:
        image = images.get(index, frames[index].time_s)
        np.testing.assert_array_equal(image, frames[index].image)


def test_frames_in_order_are_decoded_once(clip: Path, images, opened) -> None:
    reader = FrameImages(clip)
    for index in (0, 1, 2, 5, 5, 9):
        np.testing.assert_array_equal(reader.get(index, index / 25), images[index])
    assert opened == [0.0]
    reader.get(1, 1 / 25)  # still among the last ones that were decoded
    assert opened == [0.0]


def test_recent_frames_are_not_decoded_again_and_old_ones_are_dropped(clip, images, opened) -> None:
    reader = FrameImages(clip)
    for index, image in enumerate(images):
        reader.keep(Frame(index, index / 25, image))
        assert len(reader._recent) <= module._NUM_RECENT
    assert reader.get(11, 11 / 25) is images[11]
    assert opened == []
    np.testing.assert_array_equal(reader.get(0, 0.0), images[0])
    assert len(opened) == 1


def test_pickled_images_decode_for_themselves(clip: Path, images) -> None:
    reader = FrameImages(clip)
    reader.get(3, 3 / 25)
    data = pickle.dumps(reader)
    assert len(data) < 500
    np.testing.assert_array_equal(pickle.loads(data).get(3, 3 / 25), images[3])


def test_a_frame_that_is_not_there(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(VepeError, match=r"Frame 40 of .* cannot be read again"):
        FrameImages(clip).get(40, 0.4)
    with pytest.raises(VepeError, match="There is no file or folder"):
        FrameImages(tmp_path / "gone.mp4").get(0, 0.0)
