"""What a connection does with bodies that are no HTTP."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from vepe.serve.http_protocol import TimedProtocol

_HEADERS = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _at_once(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers as soon as it has the headers, in two parts."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"no", "more_body": True})
    await receive()
    await send({"type": "http.response.body", "body": b"ne"})


async def _with_the_body(scope: Any, receive: Any, send: Any) -> None:
    """An application that waits for the body."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"none"})


async def _answer(app: Any, parts: list[bytes]) -> bytes:
    """What a client gets that sends the parts, and in between waits for an answer that comes."""
    config = uvicorn.Config(app, log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: TimedProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    answer = b""
    for part in parts[:-1]:
        writer.write(part)
        answer += await reader.read(1) if app is _at_once else b""
    writer.write(parts[-1])
    answer += await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await asyncio.gather(*state.tasks)
    server.close()
    return answer


@pytest.mark.parametrize("app", [_at_once, _with_the_body])
@pytest.mark.parametrize("parts", [[_HEADERS + b"zz\r\n"], [_HEADERS, b"zz\r\n"]])
def test_a_body_that_is_no_http_is_answered_once(
    app: Any, parts: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        answer = asyncio.run(_answer(app, parts))
    begun = app is _at_once and len(parts) == 2
    assert answer.startswith(b"HTTP/1.1 404" if begun else b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors
