"""Who may ask what: hosts, origins, the token, and headers of every response.

A server on 127.0.0.1 can still be reached by every web page that its user's browser shows: by
requests from other sites, and by names that an attacker's DNS points to 127.0.0.1. Both are
recognised by headers that pages cannot set.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from vepe.serve.errors import error_response
from vepe.serve.metrics import Metrics
from vepe.serve.settings import ServeSettings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

COOKIE = "vepe_session"
PUBLIC = re.compile(r"/|/healthz|/favicon\.ico|/page/[^/].*|/v1/session")
"""Paths that need no token: they hold nothing of anyone."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; media-src 'self' blob:; worker-src 'self' blob:; "
        "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


def session_of(token: str) -> str:
    """The value of the cookie: made from the token, which cannot be read back from it."""
    return hmac.new(token.encode(), b"vepe serve: session", hashlib.sha256).hexdigest()


def same(value: str, secret: str) -> bool:
    """Whether two texts are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(value.encode("utf-8", "replace"), secret.encode())


class Guard:
    """The outermost layer: refuses what must not get further, and adds headers.

    Args:
        app: what is guarded.
        settings: of the server.
        metrics: that count requests.
    """

    def __init__(self, app: Any, settings: ServeSettings, metrics: Metrics) -> None:
        self.app, self._settings, self._metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        live = scope["type"] == "websocket"
        refusal = self._refusal(scope)
        if refusal is not None and live:
            self._metrics.request("WS", 403)
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        sent = self._noting(scope, send)
        await (refusal or self.app)(scope, receive, sent)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that must not get further; None where it may."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._knows(host):
            return error_response(
                421, "This server does not answer under that name; open it under its own address."
            )
        unsafe = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if unsafe and not _same_origin(headers, host):
            return error_response(403, "Other sites may not use this server.")
        if self._settings.token is None or PUBLIC.fullmatch(scope["path"]):
            return None
        if self._has_token(headers):
            return None
        return error_response(
            401, "This server needs its token.", {"www-authenticate": 'Bearer realm="vepe"'}
        )

    def _knows(self, host: str) -> bool:
        """Whether the Host header names this server.

        With a token any well-formed name will do: the cookie belongs to one name alone, so that a
        page under another name has no token.
        """
        name = _host_name(host)
        if name is None:
            return False
        if self._settings.token is not None:
            return True
        if name in ("localhost", self._settings.host.lower()):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def _has_token(self, headers: Headers) -> bool:
        token = self._settings.token or ""
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return same(value.strip(), token)
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        return COOKIE in cookies and same(cookies[COOKIE].value, session_of(token))

    def _noting(self, scope: Scope, send: Send) -> Send:
        """Adds headers to the response, and counts it."""

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                # The page's files are asked for again each time, so that none is of an old version.
                is_page = scope["path"].startswith("/page/")
                headers.setdefault("cache-control", "no-cache" if is_page else "no-store")
                self._metrics.request(scope["method"], message["status"])
            await send(message)

        return sent


def _same_origin(headers: Headers, host: str) -> bool:
    """Whether a request comes from this server's own page, or from no page at all."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return False
    usual = 443 if parts.scheme == "https" else 80
    return (parts.hostname.lower(), port or usual) == (_host_name(host), _port(host) or usual)


_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")


def _host_name(host: str) -> str | None:
    match = _HOST.fullmatch(host)
    return None if match is None else match[1].strip("[]").lower()


def _port(host: str) -> int | None:
    match = _HOST.fullmatch(host)
    return int(match[2]) if match is not None and match[2] else None
