"""Shards from a server are fetched once, and interrupted downloads are resumed."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import socketserver
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from figures.sets import write_coco, write_posetrack18
from vepe.config.data import FramesConfig, StillsConfig
from vepe.config.training import StageConfig
from vepe.data import remote
from vepe.data.images import ImageIndex
from vepe.data.read_labels import posetrack_files, read_label_files
from vepe.data.remote import expand, fetch, is_remote
from vepe.data.shards import write_shards
from vepe.errors import VepeError
from vepe.skeleton import COCO17, POSETRACK15
from vepe.training.sources import build_source, check_shards, read_images


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files with ranges; may close the connection early, or ignore ranges."""

    breaks_at: ClassVar[list[int]] = []
    ranges: ClassVar[bool] = True
    requests: ClassVar[list[tuple[str, str | None]]] = []
    odd_headers: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        start_range = self.headers.get("Range")
        self.requests.append((path.name, start_range))
        if not path.is_file():
            self.send_error(404)
            return
        data, start = path.read_bytes(), 0
        if start_range and self.ranges:
            start = int(start_range.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        for name, value in self.odd_headers.items():
            self.send_header(name, value)
        if start and "Content-Range" not in self.odd_headers:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if "Content-Length" not in self.odd_headers:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        stop = self.breaks_at.pop(0) if self.breaks_at else len(data)
        self.wfile.write(data[start:stop])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    Handler.breaks_at, Handler.ranges, Handler.requests = [], True, []
    Handler.odd_headers = {}
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(folder))
    ) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{008..010}.tar", ["a-008.tar", "a-009.tar", "a-010.tar"]),
        ("{0..1}/{7..7}", ["0/7", "1/7"]),
    ],
)
def test_ranges_in_patterns(pattern: str, expected: list[str]) -> None:
    assert expand(pattern) == expected


def test_urls_and_paths() -> None:
    assert is_remote("https://host/a.tar")
    assert not any(map(is_remote, ("train/*.tar", "/data/a.tar", r"C:\data\a.tar")))
    with pytest.raises(VepeError, match="is descending"):
        expand("a-{3..1}.tar")


DATA = np.random.default_rng(0).bytes(100_000)


@pytest.mark.parametrize(
    ("breaks_at", "ranges", "requests"),
    [([], True, [None]), ([40_000, 70_000], True, [None, "bytes=40000-", "bytes=70000-"]),
     ([40_000], False, [None, "bytes=40000-"])],
)  # fmt: skip
def test_file_is_fetched_once_and_resumed(
    server: str, tmp_path: Path, breaks_at: list[int], ranges: bool, requests: list[str | None]
) -> None:
    (tmp_path / "served/x.tar").write_bytes(DATA)
    Handler.breaks_at, Handler.ranges = list(breaks_at), ranges
    progress: list[tuple[int, int | None]] = []
    path = fetch(
        f"{server}/x.tar",
        folder=tmp_path / "cache",
        progress=lambda _, done, total: progress.append((done, total)),
    )
    assert path.read_bytes() == DATA
    assert [start_range for _, start_range in Handler.requests] == requests
    assert progress[-1] == (len(DATA), len(DATA))
    assert fetch(f"{server}/x.tar", folder=tmp_path / "cache") == path
    assert len(Handler.requests) == len(requests)
    assert not list(path.parent.glob("*.part"))


def test_partial_download_of_an_earlier_run_is_used(server: str, tmp_path: Path) -> None:
    (tmp_path / "served/x.tar").write_bytes(DATA)
    Handler.breaks_at = [30_000] * 4
    Handler.ranges = False
    with pytest.raises(VepeError, match="download will be resumed"):
        fetch(f"{server}/x.tar", folder=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("x.tar"))
    (part,) = (tmp_path / "cache").rglob("x.tar.part")
    part.write_bytes(DATA)  # all bytes came, but the process died before the renaming
    Handler.breaks_at, Handler.ranges = [], True
    assert fetch(f"{server}/x.tar", folder=tmp_path / "cache").read_bytes() == DATA


def test_checksums_and_wrong_urls(server: str, tmp_path: Path) -> None:
    (tmp_path / "served/x.tar").write_bytes(DATA)
    right = hashlib.sha256(DATA).hexdigest()
    with pytest.raises(VepeError, match="has the SHA-256"):
        fetch(f"{server}/x.tar#sha256={'0' * 64}", folder=tmp_path / "cache")
    assert fetch(f"{server}/x.tar#sha256={right}", folder=tmp_path / "cache").is_file()
    with pytest.raises(VepeError, match="the server says 404"):
        fetch(f"{server}/y.tar", folder=tmp_path / "cache")


@pytest.mark.parametrize(
    "address",
    ["http://[::1/x.tar", "http://host:port/x.tar", "http://host:99999/x.tar", "http:///x.tar",
     "http:x.tar", "http://a b/x.tar", "http://host/a\x00.tar", "http://host/a\n.tar",
     "http://" + "a" * 80 + ".com/x.tar", "https://"],
)  # fmt: skip
def test_malformed_addresses_are_one_sentence(tmp_path: Path, address: str) -> None:
    assert is_remote(address)
    with pytest.raises(VepeError, match="is no address of a file"):
        fetch(address, folder=tmp_path)


def test_checksums_must_be_sha256(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="is no SHA-256"):
        fetch("http://host/x.tar#sha256=abc", folder=tmp_path)


def test_odd_names_are_stored_under_plain_ones(server: str, tmp_path: Path) -> None:
    (tmp_path / "served/\u00e9.tar").write_bytes(DATA)
    assert fetch(f"{server}/\u00e9.tar", folder=tmp_path / "cache").read_bytes() == DATA
    with pytest.raises(VepeError, match="the server says 404"):
        fetch(f"{server}/{'a' * 300}/..", folder=tmp_path / "cache")


@pytest.mark.parametrize("length", ["x", "-5", "9" * 5000, ""])
def test_odd_lengths_are_ignored(server: str, tmp_path: Path, length: str) -> None:
    (tmp_path / "served/x.tar").write_bytes(DATA)
    Handler.odd_headers = {"Content-Length": length}
    assert fetch(f"{server}/x.tar", folder=tmp_path / "cache").read_bytes() == DATA


def test_another_range_than_the_requested_one_is_not_appended(server: str, tmp_path: Path) -> None:
    (tmp_path / "served/x.tar").write_bytes(DATA)
    Handler.breaks_at = [30_000]
    Handler.odd_headers = {"Content-Range": "bytes 0-99999/100000"}
    assert fetch(f"{server}/x.tar", folder=tmp_path / "cache").read_bytes() == DATA
    assert [start for _, start in Handler.requests] == [None, "bytes=30000-", None]


@contextlib.contextmanager
def dripping(head: bytes, drop: bytes) -> Iterator[str]:
    """A server that answers with `head` and then one `drop` every 0.1 s; gives host and port."""
    ended = threading.Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(10_000)
            with contextlib.suppress(OSError):
                self.request.sendall(head)
                while not ended.wait(0.1):
                    self.request.sendall(drop)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        ended.set()
        server.shutdown()


@pytest.mark.parametrize(
    ("scheme", "head", "drop", "attempts", "says"),
    [
        ("http", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", 2, "check the network and start again"),
        (
            *("http", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", 2),
            "check the network and start again",
        ),
        # The header of a TLS handshake of 16 KB: the socket's own timeout never ends.
        ("https", b"\x16\x03\x03\x40\x00", b"\x02", 1, "timed out"),
    ],
    ids=["header", "body", "tls"],
)
def test_server_that_drips_bytes_has_an_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    head: bytes,
    drop: bytes,
    attempts: int,
    says: str,
) -> None:
    monkeypatch.setattr(remote, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(remote, "MAX_ATTEMPTS", attempts)
    with dripping(head, drop) as place:
        began = time.monotonic()
        with pytest.raises(VepeError, match=says):
            fetch(f"{scheme}://{place}/x.tar", folder=tmp_path)
        assert time.monotonic() - began < 20


def test_download_has_limits(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "served/x.tar").write_bytes(DATA * 11)
    monkeypatch.setenv("VEPE_MAX_DOWNLOAD_MB", "1")
    with pytest.raises(VepeError, match="set VEPE_MAX_DOWNLOAD_MB to more than 1"):
        fetch(f"{server}/x.tar", folder=tmp_path / "cache")
    Handler.odd_headers = {"Content-Length": ""}  # the server does not state the size
    with pytest.raises(VepeError, match="set VEPE_MAX_DOWNLOAD_MB to more than 1"):
        fetch(f"{server}/x.tar", folder=tmp_path / "cache")


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1:9/x",
        "http://[::1/\x7f",
        "http://",
        "http://a:b/",
        "/x",
    ],
)
def test_redirects_lead_to_servers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setattr(remote, "MAX_ATTEMPTS", 1)

    class Redirect(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()
            with contextlib.suppress(OSError):
                while target == "/x":  # a body without an end
                    self.wfile.write(b"x" * 65_536)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as redirecting:
        threading.Thread(target=redirecting.serve_forever, daemon=True).start()
        with pytest.raises(VepeError, match=r"leads to|not allowed|infinite loop"):
            fetch(f"http://127.0.0.1:{redirecting.server_port}/x.tar", folder=tmp_path)
        redirecting.shutdown()


def test_training_reads_shards_from_urls(server: str, tmp_path: Path) -> None:
    write_posetrack18(tmp_path, frames=5)
    index = read_label_files(posetrack_files(tmp_path, "train"), tmp_path, single=False)
    write_shards(tmp_path / "served/pt", ImageIndex([index], POSETRACK15))
    write_coco(tmp_path / "coco")
    labels = read_label_files([tmp_path / "coco/labels.json"], tmp_path / "coco", single=True)
    write_shards(tmp_path / "served/st", ImageIndex([labels], COCO17))
    video = FramesConfig(shards=(f"{server}/pt/pt-{{000..000}}.tar",))
    images = StillsConfig(shards=(f"{server}/st/st-000.tar",))
    stage = StageConfig(name="s", steps=1, frames=2, size_px=96, data=(video, images))
    check_shards(stage, tmp_path)
    assert Handler.requests == []
    for config in stage.data:
        clip = build_source(config, stage, tmp_path, POSETRACK15, 0)[0]
        assert clip.images.shape == (2, 96, 96, 3)
        assert clip.background_weight == 1
    assert len(Handler.requests) == 2
    assert len(read_images(images, tmp_path, POSETRACK15)) == 4
    assert len(Handler.requests) == 2


@pytest.mark.parametrize(
    "ranges", ["{0..9}" * 8, "{0..99999999999}", "{0.." + "9" * 5000 + "}", "{0..400}{0..400}"]
)
def test_ranges_of_too_many_files_are_refused(ranges: str) -> None:
    with pytest.raises(VepeError, match="more than 100000 files"):
        expand(f"http://host/{ranges}.tar")
