"""The poses of a job while they come: lines of its file, as they are or as server-sent events."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson

from vepe.serve.job import FINISHED, Job
from vepe.serve.parts import Parts
from vepe.serve.track_task import LINES

POLL_S = 0.1
PROGRESS_S = 0.5
KEEP_ALIVE_S = 15.0
_CHUNK = 1 << 18
_FRAME = re.compile(rb'\{"frame":(\d+)')


class _Tail:
    """Reads whole lines of a file that grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._stamp: tuple[int, int] | None = None

    def read(self) -> list[bytes]:
        """The next lines, at most some hundred KB; none where there are none yet."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read(_CHUNK)
                if chunk and b"\n" not in chunk:  # a frame with very many people
                    chunk += file.readline()
        except OSError:
            return []
        end = chunk.rfind(b"\n") + 1
        self._offset += end
        return chunk[:end].splitlines()


async def _followed(parts: Parts, job: Job) -> AsyncIterator[list[bytes]]:
    """The lines of a job in batches, empty ones while it waits; ends when the job did."""
    tail = _Tail(parts.store.folder_of(job) / LINES)
    loop = asyncio.get_running_loop()
    while True:
        ended = job.status in FINISHED or parts.closing.is_set()
        batch: list[bytes] = []
        if job.status != "queued":
            batch = await loop.run_in_executor(None, tail.read)
        yield batch
        if not batch:
            if ended:
                return
            await asyncio.sleep(POLL_S)


async def lines(parts: Parts, job: Job) -> AsyncIterator[bytes]:
    """The poses of a job, one line of JSON for each frame."""
    async for batch in _followed(parts, job):
        if batch:
            yield b"\n".join(batch) + b"\n"


async def events(parts: Parts, job: Job, start: int) -> AsyncIterator[bytes]:
    """The poses and the progress of a job as server-sent events, from frame `start` on."""
    yield _event("progress", parts.public(job))
    sent_s = progress_s = time.monotonic()
    last = _seen(job)
    async for batch in _followed(parts, job):
        now_s = time.monotonic()
        frames = [line for line in batch if _frame_of(line) >= start]
        if frames:
            yield b"".join(
                b"event: frame\nid: %d\ndata: %s\n\n" % (_frame_of(line), line) for line in frames
            )
            sent_s = now_s
        if _seen(job) != last and now_s - progress_s >= PROGRESS_S:
            last, progress_s, sent_s = _seen(job), now_s, now_s
            yield _event("progress", parts.public(job))
        if now_s - sent_s >= KEEP_ALIVE_S:
            sent_s = now_s
            yield b": waiting\n\n"
    if job.status in FINISHED:
        yield _event("end", parts.public(job))


def _seen(job: Job) -> tuple[str, int]:
    return job.status, job.frames


def _frame_of(line: bytes) -> int:
    match = _FRAME.match(line)
    return int(match[1]) if match else 0


def _event(name: str, values: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(values))
