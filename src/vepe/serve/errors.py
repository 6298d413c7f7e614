"""Errors of requests: always one sentence as JSON, and never a trace."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from vepe.errors import VepeError

_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """An answer other than success: a status and a sentence for the client."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers or {}


_FOLDERS = re.compile(r"(?<![\w:/])/(?:[^/\s'\"]+/)+")


def public_sentence(text: str) -> str:
    """A sentence for clients in one line, with names of files but not the folders they are in."""
    return _FOLDERS.sub("", " ".join(text.split()))


def error_response(
    status: int, sentence: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """A response with an error."""
    return JSONResponse({"error": sentence}, status, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Answers every exception of a route in one sentence."""

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> JSONResponse:
        return error_response(error.status, error.sentence, error.headers)

    @app.exception_handler(VepeError)
    async def wrong(request: Request, error: VepeError) -> JSONResponse:
        return error_response(422, public_sentence(str(error)))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first.get("loc", ())[1:])[:60]
        return error_response(422, f"The value of '{where}' is not valid: {first.get('msg', '')}.")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        sentences = {404: "There is nothing here.", 405: "This address does not take that method."}
        phrase = HTTPStatus(error.status_code).phrase
        sentence = sentences.get(error.status_code, f"{phrase}.")
        return error_response(error.status_code, sentence, dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> JSONResponse:
        return error_response(400, "The client closed the connection.")

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("Unexpected error", exc_info=error)
        return error_response(500, "The server ran into an unexpected error.")
