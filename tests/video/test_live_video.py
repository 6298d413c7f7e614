"""Live sources: the newest frames, no growing memory, and one sentence where nobody answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny_videos import grey_image, index_of, make_video

from vepe.errors import VepeError
from vepe.types import VideoInfo
from vepe.video.container import open_network, public_name
from vepe.video.live import LiveSource
from vepe.video.reader import open_video
from vepe.video.source import Span

INFO = VideoInfo("test", 64, 48, 10.0, live=True)


def images(n: int, gate: threading.Event | None = None) -> Iterator[tuple[float, np.ndarray]]:
    for i in range(n):
        yield i / 10, grey_image(i % 24)
    if gate is not None:
        gate.set()


def test_slow_reader_gets_only_the_newest_frame() -> None:
    gate = threading.Event()
    with LiveSource(images(1000, gate), INFO, Span()) as video:
        assert gate.wait(10)
        frames = list(video)
    assert [f.index for f in frames] == [999]
    assert [f.time_s for f in frames] == [99.9]
    assert video.dropped == 999


def test_fast_reader_gets_every_frame() -> None:
    taken = threading.Semaphore(1)

    def paced() -> Iterator[tuple[float, np.ndarray]]:
        for image in images(30):
            assert taken.acquire(timeout=10)
            yield image

    indices = []
    with LiveSource(paced(), INFO, Span()) as video:
        for frame in video:
            indices.append(frame.index)
            taken.release()
    assert indices == list(range(30))
    assert video.dropped == 0
    assert video.warning is None


def test_span_and_stride_hold_for_live_sources() -> None:
    taken = threading.Event()

    def paced() -> Iterator[tuple[float, np.ndarray]]:
        for i, image in enumerate(images(100)):
            if i > 5 and i % 5 == 1:  # the frame before is read: wait until it has been taken
                assert taken.wait(10) or i > 26
                taken.clear()
            yield image

    indices = []
    with LiveSource(paced(), INFO, Span(start_s=0.5, end_s=3.0, stride=5)) as video:
        for frame in video:
            indices.append(frame.index)
            taken.set()
    assert indices == [5, 10, 15, 20, 25]


def test_a_source_that_breaks_off_leaves_a_warning() -> None:
    def breaking() -> Iterator[tuple[float, np.ndarray]]:
        yield from images(3)
        raise VepeError("Camera 0 stopped sending images; check its cable.")

    with LiveSource(breaking(), INFO, Span()) as video:
        assert [f.index for f in video][-1] == 2
    assert video.warning == "Camera 0 stopped sending images; check its cable."


def test_error_in_the_reading_thread_is_raised() -> None:
    def faulty() -> Iterator[tuple[float, np.ndarray]]:
        yield from images(1)
        raise ZeroDivisionError("a fault of ours")

    with LiveSource(faulty(), INFO, Span()) as video:
        frames = iter(video)
        assert next(frames).index == 0
        with pytest.raises(ZeroDivisionError, match="a fault of ours"):
            next(frames)


def test_close_ends_the_thread_and_frees_the_source() -> None:
    freed = threading.Event()

    def endless() -> Iterator[tuple[float, np.ndarray]]:
        try:
            index = 0
            while True:
                yield index / 10, grey_image(0)
                index += 1
                time.sleep(0.001)
        finally:
            freed.set()

    video = LiveSource(endless(), INFO, Span())
    next(iter(video))
    video.close()
    assert freed.is_set()
    assert not video._thread.is_alive()
    video.close()
    assert list(video) == []


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[str]:
    """The address of a server that sends a transport stream once, then hangs up."""
    data = make_video(
        tmp_path / "a.ts", [grey_image(i) for i in range(20)], options={"g": "5"}
    ).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def send() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(data)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join(20)


def test_network_stream_is_live(sender: str) -> None:
    with open_video(sender) as video:
        assert video.info.live
        assert video.info.frame_count is None
        assert (video.info.width, video.info.height) == (64, 48)
        frames = list(video)
    assert [index_of(f.image) for f in frames] == [f.index for f in frames]
    np.testing.assert_allclose([f.time_s for f in frames], [f.index / 10 for f in frames])
    assert frames[-1].index == 19


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a web server for the test's folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_file_on_a_web_server_is_read_whole(
    web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    make_video(tmp_path / "a.mp4", [grey_image(i) for i in range(20)])
    with open_video(f"{web}/a.mp4", start_s=0.5) as video:
        assert not video.info.live
        assert video.info.frame_count == 15
        assert [index_of(f.image) for f in video] == list(range(5, 20))
    with pytest.raises(VepeError, match=r"none.mp4' cannot be opened: .*404"):
        open_video(f"{web}/none.mp4")


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp"])
def test_dead_address_is_one_sentence(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(VepeError, match="cannot be opened: connection refused") as caught:
        open_video(f"{scheme}://anna:secret@127.0.0.1:{port}/door")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp"])
def test_silent_address_fails_within_the_timeout(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/door"
        begun = time.monotonic()
        with pytest.raises(VepeError, match=r"did not answer within 0.4 s"):
            open_network(address, timeout_s=0.4)
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("source", ["97", 97])
def test_missing_camera_is_one_sentence(
    source: str | int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(VepeError, match=r"[Cc]amera 97"):
        open_video(source)
    assert capfd.readouterr().err == ""


class FakeCamera:
    """A camera of three images, blue in OpenCV's order of colours."""

    def __init__(self, index: int) -> None:
        self.left, self.released = 3 if index == 1 else 0, False
        made.append(self)

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, :, 0] = 255
        return (True, image) if self.left >= 0 else (False, None)

    def get(self, _: int) -> float:
        return 0.0

    def release(self) -> None:
        self.released = True


made: list[FakeCamera] = []


def test_camera_gives_rgb_and_warns_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vepe.video.live.cv2.VideoCapture", FakeCamera)
    monkeypatch.setattr("vepe.video.live.sys.platform", "darwin")
    with open_video("1") as video:
        frames = list(video)
    assert (video.info.width, video.info.height, video.info.fps) == (64, 48, 25.0)
    assert video.info.live
    assert frames[-1].index == 2
    assert len(frames) + video.dropped == 3
    assert (frames[0].image == (0, 0, 255)).all()
    assert all(a.time_s < b.time_s for a, b in pairwise(frames))
    assert video.warning is not None
    assert "stopped sending images" in video.warning
    with pytest.raises(VepeError, match="Camera 2 cannot be opened or sends no image"):
        open_video(2)
    assert all(camera.released for camera in made)


def test_negative_camera_is_refused() -> None:
    with pytest.raises(VepeError, match="cameras count from 0"):
        open_video(-1)


def test_file_named_like_a_camera_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_video(tmp_path / "a.mp4", [grey_image(i) for i in range(3)]).rename(tmp_path / "7")
    monkeypatch.chdir(tmp_path)
    assert len(list(open_video("7"))) == 3


def test_passwords_are_never_shown() -> None:
    assert (
        public_name("rtsp://anna:secret@cam.local:554/door?x=1") == "rtsp://cam.local:554/door?x=1"
    )
