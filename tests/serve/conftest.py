"""One server for all tests of the room, and what they send to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from running_server import CLIP, SECRET_PLACE, Running, running_server

from tiny_models import moving_frames, write_video


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("serve") / SECRET_PLACE
    with running_server(data, tmp_path_factory.mktemp("root")) as running:
        yield running


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small video without people."""
    return write_video(tmp_path_factory.mktemp("clip") / "small.mp4", moving_frames(6, 64, 48))


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame of the clip with two people."""
    path = tmp_path_factory.mktemp("photo") / "walkers.jpg"
    video = cv2.VideoCapture(str(CLIP))
    assert cv2.imwrite(str(path), video.read()[1])
    video.release()
    return path
