"""A server that runs, and the clip that tests send to it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vepe.client import Client
from vepe.serve.parts import Parts
from vepe.serve.server import server_of
from vepe.serve.settings import Limits, ServeSettings

CLIP = Path(__file__).parents[2] / "assets" / "walking.mp4"
SECRET_PLACE = "secret_place"
"""Name of the server's folder, which must never reach a client."""

LIMITS = Limits(
    upload_bytes=2_000_000,
    image_bytes=500_000,
    duration_s=10.0,
    frame_pixels=600_000,
    idle_s=2.0,
    free_disk_mb=1,
)


@dataclass(frozen=True)
class Running:
    """A server that runs: its port, its settings and its parts."""

    port: int
    settings: ServeSettings
    parts: Parts

    @property
    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}")

    def get(self, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer to a GET request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()


@contextmanager
def running_server(
    data: Path, root: Path | None, limits: Limits = LIMITS, token: str | None = None
) -> Iterator[Running]:
    """Runs a server in a thread until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = ServeSettings(
        data,
        port=port,
        token=token,
        root=root,
        backend="onnxruntime",
        limits=limits,
        models=("vepe-n",),
    )
    server = server_of(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.05)
    try:
        yield Running(port, settings, server.parts)
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()
