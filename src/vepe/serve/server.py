"""Running the application with uvicorn."""

from __future__ import annotations

import asyncio
import logging
import socket

import uvicorn

from vepe.errors import VepeError
from vepe.serve.app import create_app
from vepe.serve.http_protocol import TimedProtocol
from vepe.serve.parts import Parts
from vepe.serve.settings import ServeSettings

GRACE_S = 3


def run_server(settings: ServeSettings) -> None:
    """Serves until Ctrl-C or SIGTERM.

    Raises:
        VepeError: as `create_app`.
    """
    logging.getLogger("vepe").setLevel(logging.WARNING)
    server_of(settings).run()


def server_of(settings: ServeSettings) -> PoseServer:
    """The server, not running. Raises VepeError as `create_app`."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=TimedProtocol,
        ws="websockets-sansio",
        ws_max_size=settings.limits.image_bytes,
        ws_per_message_deflate=False,  # JPEG does not get smaller, and bombs do
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        limit_concurrency=settings.limits.connections,
        timeout_graceful_shutdown=GRACE_S,
        lifespan="on",
    )
    return PoseServer(config, app.app.state.parts)


class PoseServer(uvicorn.Server):
    """Ends streams and workers first, so that nothing waits for them.

    Attributes:
        parts: of the application.
    """

    def __init__(self, config: uvicorn.Config, parts: Parts) -> None:
        super().__init__(config)
        self.parts = parts

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self.parts.close)
        await super().shutdown(sockets)


def check_port(host: str, port: int) -> None:
    """Raises VepeError where the address cannot be listened at."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        raise VepeError(
            f"The server cannot listen at {host}, port {port} ({reason}); choose another --port "
            "or --host."
        ) from None
