"""Images, and live frames over a WebSocket."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

from vepe.errors import VepeError
from vepe.serve.api_schema import IMAGE_BODY, ImageOut
from vepe.serve.errors import RefusedError
from vepe.serve.job import JobOptions, display_name
from vepe.serve.media_kind import kind_of_file
from vepe.serve.parts import Parts, ask, parts_of
from vepe.serve.uploads import read_form

router = APIRouter()

PREDICT_S = 60.0
FRAME_S = 30.0
_TRY_LATER, _TOO_BIG, _WRONG, _IDLE = 1013, 1009, 1003, 1001


@router.post(
    "/v1/predict",
    response_model=ImageOut,
    tags=["images"],
    openapi_extra={"requestBody": IMAGE_BODY},
)
async def predict(request: Request) -> JSONResponse:
    """The people of one image: a form with `file`, and `model`, `conf` and `imgsz` where wanted."""
    parts = parts_of(request)
    limits = parts.settings.limits
    waiting: set[object] = request.app.state.waiting_images
    if len(waiting) >= limits.waiting_images:
        raise RefusedError(429, "Too many images wait; try again later.", {"retry-after": "1"})
    ticket = object()
    waiting.add(ticket)
    try:
        async with read_form(request, parts.store.incoming, limits, limits.image_bytes) as form:
            options = _image_options(parts, dict(form.fields))
            if form.path is None or form.bytes == 0:
                raise RefusedError(400, "The form has no file, or an empty one; send it as 'file'.")
            name = display_name(form.name)
            kind = kind_of_file(form.path, name)
            if not kind.is_image:
                raise RefusedError(415, f"'{name}' is a video; send it to /v1/jobs.")
            path = form.path.with_suffix(kind.suffix)
            form.path.rename(path)
            form.path = path
            values = {"path": str(path), "name": name, "options": options}
            answer = await ask(parts.live, "predict", values, PREDICT_S)
    finally:
        waiting.discard(ticket)
    parts.metrics.images += 1
    return JSONResponse(answer)


def _image_options(parts: Parts, values: dict[str, str]) -> JobOptions:
    known = ("model", "conf", "imgsz")
    for name in values:
        if name not in known:
            raise RefusedError(422, f"Images have the options {', '.join(known)}.")
    return JobOptions.parse(values, parts.settings.models, parts.settings.model)


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """Live frames: JPEG in, poses with ids out; a newer frame replaces one that waits."""
    parts = parts_of(socket)
    await socket.accept()
    try:
        values = dict(socket.query_params.items())
        options = _image_options(parts, values)
    except (VepeError, RefusedError) as error:
        await _end(socket, _WRONG, getattr(error, "sentence", str(error)))
        return
    if parts.metrics.live_sessions >= parts.settings.limits.live_sessions:
        await _end(socket, _TRY_LATER, "Too many live sessions are open; try again later.")
        return
    parts.metrics.live_sessions += 1
    session = _Session(parts, socket, options)
    try:
        await session.run()
    finally:
        parts.metrics.live_sessions -= 1
        with suppress(RefusedError, RuntimeError):
            if session.begun:
                await ask(parts.live, "close", {"session": session.id}, FRAME_S)


async def _end(socket: WebSocket, code: int, sentence: str) -> None:
    """Sends a sentence, and closes."""
    with suppress(RuntimeError, WebSocketDisconnect):
        await socket.send_json({"error": sentence})
        await socket.close(code)


class _Session:
    """One live session: a task that receives, and one that answers the newest frame.

    Attributes:
        id: random.
        begun: whether the worker has a stream of it.
    """

    def __init__(self, parts: Parts, socket: WebSocket, options: JobOptions) -> None:
        self.id = secrets.token_hex(8)
        self._parts, self._socket, self._options = parts, socket, options
        self._newest: tuple[int, bytes] | None = None
        self._arrived = asyncio.Event()
        self.begun = False

    async def run(self) -> None:
        """Answers frames until the client leaves, or sends what is no frame."""
        answering = asyncio.create_task(self._answer())
        receiving = asyncio.create_task(self._receive())
        closing = asyncio.create_task(self._closing())
        tasks = (answering, receiving, closing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _closing(self) -> None:
        while not self._parts.closing.is_set():
            await asyncio.sleep(0.2)

    async def _receive(self) -> None:
        limits = self._parts.settings.limits
        count = 0
        while True:
            try:
                async with asyncio.timeout(limits.live_idle_s):
                    message = await self._socket.receive()
            except RuntimeError:
                return
            except TimeoutError:
                await _end(
                    self._socket, _IDLE, f"No frame came for {limits.live_idle_s:g} seconds."
                )
                return
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            if not data:
                await _end(self._socket, _WRONG, "Send frames as binary messages.")
                return
            if len(data) > limits.image_bytes:
                await _end(self._socket, _TOO_BIG, "The frame is too large.")
                return
            if self._newest is not None:
                self._parts.metrics.live_dropped += 1
            self._newest = (count, data)
            count += 1
            self._arrived.set()

    async def _answer(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if self._newest is None:
                continue
            (index, data), self._newest = self._newest, None
            values = {"session": self.id, "data": data, "options": self._options}
            self.begun = True
            try:
                answer = await ask(self._parts.live, "frame", values, FRAME_S)
            except RefusedError as error:
                answer = {"error": error.sentence}
            else:
                self._parts.metrics.live_frames += 1
            try:
                await self._socket.send_json({"frame": index, **answer})
            except (RuntimeError, WebSocketDisconnect):
                return
