"""What goes wrong while a server runs: crashes, cancellations, clients that stall, limits."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from running_server import CLIP, LIMITS, Running
from starlette.testclient import TestClient

from vepe.cli.app import run
from vepe.client import ServerError
from vepe.errors import VepeError
from vepe.serve import http_protocol
from vepe.serve.app import create_app
from vepe.serve.guard import COOKIE
from vepe.serve.settings import Limits, ServeSettings
from vepe.serve.worker_process import WorkerLostError, WorkerProcess

TOKEN = "a-secret-of-some-length"


def test_a_crash_costs_one_job(server: Running, clip: Path) -> None:
    client = server.client
    job = client.submit(CLIP, imgsz=640)
    next(client.frames(job.id))
    os.kill(server.parts.scheduler.worker._process.pid, signal.SIGKILL)
    with pytest.raises(VepeError, match="ended unexpectedly; the file may be damaged"):
        client.wait(job.id, timeout_s=60)
    with pytest.raises(ServerError, match="has no results: it failed"):
        client.save_video(job.id, "unused.mp4")
    folder = server.settings.data / "jobs" / job.id
    assert {path.name for path in folder.iterdir()} == {"job.json", "source.mp4"}
    assert client.wait(client.submit(clip, imgsz=64).id, timeout_s=60).frames == 6


def test_a_running_job_is_cancelled(server: Running) -> None:
    client = server.client
    job = client.submit(CLIP, imgsz=640)
    frames = client.frames(job.id)
    next(frames)
    client.cancel(job.id)
    list(frames)  # the stream ends with the job
    ended = client.job(job.id)
    assert ended.status == "cancelled"
    assert ended.error is None
    with pytest.raises(VepeError, match="was cancelled"):
        client.wait(job.id)


def test_clients_that_stall_are_let_go(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEADERS_S", 0.1)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0")
        assert connection.recv(100) == b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_a_worker_ends_above_its_memory_and_starts_again(tmp_path: Path) -> None:
    worker = WorkerProcess("tools", ServeSettings(tmp_path, limits=Limits(worker_memory_mb=1)))
    with pytest.raises(WorkerLostError, match="more than 1 MB"):
        worker.start()
    assert not worker.alive
    assert worker.restarts == 1
    worker._settings = ServeSettings(tmp_path, limits=LIMITS)
    try:
        worker.start()
        worker.send("probe", {"path": "no.mp4", "name": "no.mp4", "limits": LIMITS})
        name, values = worker.receive(60)
        assert (name, "no.mp4" in values["error"]) == ("failed", True)
        assert worker.usage().memory_mb > 1
    finally:
        worker.close()
    with pytest.raises(WorkerLostError, match="The server is stopping"):
        worker.start()


def test_a_session_stands_for_the_token(tmp_path: Path) -> None:
    app = create_app(ServeSettings(tmp_path, token=TOKEN, host="0.0.0.0"))
    client = TestClient(app, base_url="http://127.0.0.1:8000")
    assert client.get("/v1/jobs").json() == {"error": "This server needs its token."}
    for wrong in ({"token": "wrong"}, {"token": 5}, {}):
        assert client.post("/v1/session", json=wrong).status_code == 401
    answer = client.post("/v1/session", json={"token": TOKEN})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert client.get("/v1/jobs").status_code == 200
    client.cookies.clear()
    client.cookies.set(COOKIE, "x")
    assert client.get("/v1/jobs").status_code == 401


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "clients must know a token"),
        (["--token", "short"], "at least 16 ASCII characters"),
        (["--root", "no-such-folder"], "is no folder"),
        (["--root", ".", "--data", "inside"], "--data lies below --root"),
        (["--host", "no host"], "clients must know a token"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--port", "0"], "--port"),
    ],
)
def test_wrong_options_of_the_command(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VEPE_TOKEN", raising=False)
    assert run(["serve", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_port_in_use(server: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["serve", "--port", str(server.port), "--data", str(tmp_path / "x")]) == 2
    assert f"cannot listen at 127.0.0.1, port {server.port}" in capsys.readouterr().err


def test_without_the_extra() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from vepe.cli.app import run; sys.exit(run(['serve']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert "pip install '.[serve]'" in result.stderr
