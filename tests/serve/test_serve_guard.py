"""Who may ask what: hosts, origins, tokens, and the settings that open a server to others."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from vepe.errors import VepeError
from vepe.serve.guard import COOKIE, Guard, session_of
from vepe.serve.metrics import Metrics
from vepe.serve.settings import ServeSettings

TOKEN = "a-secret-of-some-length"
OTHER_SITE = {"origin": "https://evil.example"}


def guarded(token: str | None = None, **changes: object) -> TestClient:
    """An application of two routes behind the guard."""

    async def ok(request: object) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("ok")
        await socket.close()

    methods = ["GET", "POST", "DELETE"]
    app = Starlette(
        routes=[
            *(Route(p, ok, methods=methods) for p in ("/", "/v1/jobs", "/healthz", "/v1/session")),
            WebSocketRoute("/v1/live", talk),
        ]
    )
    settings = ServeSettings(Path("unused"), token=token, **changes)  # type: ignore[arg-type]
    return TestClient(Guard(app, settings, Metrics()), base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("[::1]:8000", 200),
        ("127.1.2.3", 200),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("192.168.1.5:8000", 421),
        ("local host", 421),
        ("", 421),
    ],
)
def test_names_that_are_not_this_machine_are_refused(host: str, status: int) -> None:
    assert guarded().get("/v1/jobs", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"origin": "http://localhost:8000"}, 403),  # the page of another name
        ({"origin": "http://127.0.0.1:9000"}, 403),  # another program of this machine
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:x"}, 403),
        ({"origin": "file://"}, 403),
        (OTHER_SITE, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"}, 200),
    ],
)
def test_other_sites_change_nothing(headers: dict[str, str], status: int) -> None:
    client = guarded()
    assert client.post("/v1/jobs", headers=headers).status_code == status
    assert client.delete("/v1/jobs", headers=headers).status_code == status
    assert client.get("/v1/jobs", headers=headers).status_code == 200  # unreadable: no CORS
    assert "access-control-allow-origin" not in client.get("/v1/jobs", headers=headers).headers


def test_other_sites_open_no_websocket() -> None:
    client = guarded()
    with client.websocket_connect("/v1/live", headers={"host": "127.0.0.1:8000"}) as socket:
        assert socket.receive_text() == "ok"
    for headers in (OTHER_SITE, {"host": "evil.example"}):
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect("/v1/live", headers=headers),
        ):
            pass


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {TOKEN}"}, 200),
        ({"authorization": f"bearer  {TOKEN}"}, 200),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"cookie": f"{COOKIE}={session_of(TOKEN)}"}, 200),
        ({"cookie": f"{COOKIE}={TOKEN}"}, 401),
        ({"cookie": "\x7f=;;="}, 401),
    ],
)
def test_the_token(headers: dict[str, str], status: int) -> None:
    client = guarded(TOKEN, host="0.0.0.0")
    assert client.get("/v1/jobs", headers=headers).status_code == status
    # Any name will do with a token, since only one that knows it gets further.
    assert client.get("/v1/jobs", headers={**headers, "host": "a.example"}).status_code == status
    assert client.get("/v1/jobs?token=" + TOKEN).status_code == 401
    for public in ("/", "/healthz", "/v1/session"):
        assert client.get(public, headers=headers).status_code == 200


def test_tricks_with_paths_need_the_token_too() -> None:
    client = guarded(TOKEN)
    for path in ("//v1/jobs", "/page/../v1/jobs", "/page//etc", "/healthz/../v1/jobs", "/v1/Jobs"):
        assert client.get(path).status_code in (401, 404), path


def test_headers_of_every_answer() -> None:
    for path in ("/", "/v1/jobs", "/nothing"):
        headers = guarded().get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"host": "0.0.0.0"}, "clients must know a token"),
        ({"host": "::"}, "clients must know a token"),
        ({"host": "example.org"}, "clients must know a token"),
        ({"token": "short"}, "at least 16"),
        ({"token": "ä" * 20}, "ASCII"),
        ({"root": Path("no/such/folder")}, "is no folder"),
    ],
)
def test_settings_that_are_not_safe(changes: dict[str, object], says: str) -> None:
    with pytest.raises(VepeError, match=says):
        ServeSettings(Path("x"), **changes).check()  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_hosts_that_need_no_token(host: str) -> None:
    ServeSettings(Path("x"), host=host).check()
