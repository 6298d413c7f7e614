"""A client of `vepe serve`, with the standard library alone.

from vepe.client import Client

client = Client("http://127.0.0.1:8000")
job = client.wait(client.submit("walk.mp4").id)
client.save_poses(job.id, "walk.csv")
"""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

from vepe.errors import VepeError
from vepe.partial_files import claim_file, uninterrupted

_CHUNK = 1 << 20
_POLL_S = 0.5

Status = Literal["queued", "running", "done", "failed", "cancelled"]
Format = Literal["json", "jsonl", "coco", "csv", "mot", "parquet", "hdf5", "slp", "nwb"]
_FORMATS: Mapping[str, Format] = {
    ".jsonl": "jsonl", ".coco.json": "coco", ".json": "json", ".csv": "csv", ".mot.txt": "mot",
    ".parquet": "parquet", ".h5": "hdf5", ".slp": "slp", ".nwb": "nwb",
}  # fmt: skip


class ServerError(VepeError):
    """An answer of the server other than success; `status` is HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Person:
    """A person of a frame.

    Attributes:
        track_id: identity over the video; None in images, and without a track.
        score: confidence in 0..1 that this is a person.
        keypoints: x, y in pixels of the source and confidence in 0..1, in the skeleton's order.
        box: x, y, width, height in pixels, around the keypoints.
    """

    track_id: int | None
    score: float
    keypoints: tuple[tuple[float, float, float], ...]
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """The people of a frame: `frame` counts from 0 in the video, at `time_s` seconds."""

    frame: int
    time_s: float
    people: tuple[Person, ...]


@dataclass(frozen=True)
class ImagePoses:
    """The people of an image of `width` x `height` pixels; `time_ms` in the network."""

    width: int
    height: int
    people: tuple[Person, ...]
    time_ms: float
    keypoint_names: tuple[str, ...]


@dataclass(frozen=True)
class JobInfo:
    """A job.

    Attributes:
        id, name, status, model, created: as the server has them.
        queue_place: 1 for the next one; None unless it waits.
        frames, total: done, and of the whole video (None where it is not known).
        eta_s, fps: remaining time and frames per second, while it runs.
        people: number of identities so far.
        error: one sentence, where it failed.
        warnings: what should be known of results that exist.
        values: the whole answer of the server.
    """

    id: str
    name: str
    status: Status
    model: str
    created: str
    queue_place: int | None
    frames: int
    total: int | None
    eta_s: float | None
    fps: float | None
    people: int | None
    error: str | None
    warnings: tuple[str, ...]
    values: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ("done", "failed", "cancelled")


class Client:
    """A connection to a server; threads may share it.

    Args:
        url: of the server.
        token: that the server asks for.
        timeout_s: longest silence of the server.

    All methods raise `ServerError` with the server's sentence, and VepeError where it cannot be
    reached.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8000", token: str | None = None, timeout_s: float = 60.0
    ) -> None:
        try:
            parts = urlsplit(url)
            self._port = parts.port
        except ValueError:
            raise VepeError(f"'{url}' is no address; give one such as http://host:8000.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise VepeError(f"'{url}' is no address; give one such as http://host:8000.")
        self._secure, self._host = parts.scheme == "https", parts.hostname
        self._base, self._url = parts.path.rstrip("/"), url
        self._timeout_s = timeout_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return self._json("GET", "/healthz") == {"status": "ok"}
        except VepeError:
            return False

    def models(self) -> list[str]:
        """Names of the models that jobs may use, the default first."""
        models = self._json("GET", "/v1/models")
        return [m["name"] for m in sorted(models, key=lambda m: not m["default"])]

    def submit(self, path: str | Path, **options: str | float | None) -> JobInfo:
        """Sends a video, in pieces of constant memory.

        Args:
            path: of the file on this machine.
            options: model, conf, window, imgsz, smooth, hide, start, end; as of `vepe track`.
        """
        return _job(self._json("POST", "/v1/jobs", *_form(Path(path), options)))

    def submit_path(self, path: str, **options: str | float | None) -> JobInfo:
        """As `submit`, of a file on the server's machine, relative to its --root."""
        values = {"path": path, **{key: v for key, v in options.items() if v is not None}}
        headers = {"Content-Type": "application/json"}
        return _job(self._json("POST", "/v1/jobs", json.dumps(values).encode(), headers))

    def jobs(self) -> list[JobInfo]:
        """All jobs, newest first."""
        return [_job(values) for values in self._json("GET", "/v1/jobs")]

    def job(self, job_id: str) -> JobInfo:
        """One job."""
        return _job(self._json("GET", _path(job_id)))

    def wait(
        self,
        job_id: str,
        on_progress: Callable[[JobInfo], None] = lambda job: None,
        timeout_s: float | None = None,
    ) -> JobInfo:
        """Waits until a job is done.

        Args:
            job_id: of the job.
            on_progress: called about twice a second.
            timeout_s: how long to wait at most.

        Raises:
            VepeError: where it failed or was cancelled, or after `timeout_s`.
        """
        begun_s = time.monotonic()
        while True:
            job = self.job(job_id)
            on_progress(job)
            if job.status == "done":
                return job
            if job.ended:
                raise VepeError(job.error or f"The job '{job.name}' was cancelled.")
            if timeout_s is not None and time.monotonic() - begun_s > timeout_s:
                raise VepeError(f"The job '{job.name}' is not done after {timeout_s:g} seconds.")
            time.sleep(_POLL_S)

    def frames(self, job_id: str, start: int = 0) -> Iterator[Frame]:
        """The poses of a job, frame by frame, also while it runs; ends with the job.

        Args:
            job_id: of the job.
            start: first frame.
        """
        path = f"{_path(job_id)}/events?{urlencode({'from': start})}"
        name = ""
        with self._open("GET", path) as response:
            for line in response:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: ") and name == "frame":
                    yield _frame(json.loads(line[6:]))
                elif line.startswith(b"data: ") and name == "end":
                    return

    def save_poses(self, job_id: str, path: str | Path, format: Format | None = None) -> Path:
        """Writes the poses of a job to a file, in the format of its ending unless one is given."""
        path = Path(path)
        name = format or next((f for end, f in _FORMATS.items() if path.name.endswith(end)), None)
        if name is None:
            raise VepeError(f"The ending of '{path}' names no format; use {', '.join(_FORMATS)}.")
        return self._save(f"{_path(job_id)}/poses?format={name}", path)

    def save_video(self, job_id: str, path: str | Path) -> Path:
        """Writes the video with skeletons and ids (MP4) to a file."""
        return self._save(f"{_path(job_id)}/video", Path(path))

    def cancel(self, job_id: str) -> JobInfo:
        """Ends a job that waits or runs."""
        return _job(self._json("POST", f"{_path(job_id)}/cancel"))

    def delete(self, job_id: str) -> None:
        """Ends a job, and deletes its files on the server."""
        with self._open("DELETE", _path(job_id)):
            pass

    def predict(self, path: str | Path, **options: str | float | None) -> ImagePoses:
        """The people of an image. `options`: model, conf, imgsz."""
        values = self._json("POST", "/v1/predict", *_form(Path(path), options))
        return ImagePoses(
            values["width"],
            values["height"],
            tuple(map(_person, values["people"])),
            values["time_ms"],
            tuple(values["skeleton"]["keypoints"]),
        )

    def _json(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        with self._open(method, path, body, headers) as response:
            return json.loads(response.read())

    def _save(self, server_path: str, path: Path) -> Path:
        """Writes an answer to a file, whole or not at all."""
        with self._open("GET", server_path) as response:
            partial = None
            try:
                with uninterrupted():
                    partial = claim_file(path)
                with partial.path.open("wb") as file:
                    while chunk := response.read(_CHUNK):
                        file.write(chunk)
                partial.path.replace(path)
            except OSError as error:
                reason = error.strerror or error
                raise VepeError(f"'{path}' cannot be written ({reason}); choose another.") from None
            finally:
                if partial is not None:
                    with uninterrupted():
                        partial.remove()
        return path

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """Sends a request, and gives its answer where that is a success."""
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout_s)
        try:
            try:
                everything = {**self._headers, **(headers or {})}
                with suppress(BrokenPipeError, ConnectionResetError):
                    # Where these occur, it was refused before all was sent; the answer says why.
                    connection.request(method, self._base + path, body, everything)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
                raise VepeError(
                    f"The server at {self._url} cannot be reached ({reason}); is it running?"
                ) from None
            if response.status >= 300:
                raise ServerError(response.status, _sentence(response))
            try:
                yield response
            except (TimeoutError, http.client.HTTPException) as error:
                raise VepeError(
                    f"The connection to {self._url} broke ({type(error).__name__}); try again."
                ) from None
        finally:
            connection.close()


def _form(
    path: Path, options: Mapping[str, str | float | None]
) -> tuple[Iterable[bytes], dict[str, str]]:
    """A form with a file and fields: its body in pieces, and its headers."""
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise VepeError(f"'{path}' cannot be read ({error.strerror}); check the path.") from None
    boundary = secrets.token_hex(16)
    fields = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in options.items()
        if value is not None
    ]
    name = path.name
    for character in '"\r\n':  # as browsers do
        name = name.replace(character, f"%{ord(character):02X}")
    text = "".join(fields) + (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    head = text.encode("utf-8", "replace")
    tail = f"\r\n--{boundary}--\r\n"

    def pieces() -> Iterator[bytes]:
        with file:
            yield head
            while chunk := file.read(_CHUNK):
                yield chunk
            yield tail.encode()

    length = len(head) + size + len(tail)
    return pieces(), {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(length),
    }


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _sentence(response: http.client.HTTPResponse) -> str:
    try:
        return str(json.loads(response.read(100_000))["error"])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return f"The server answered {response.status} {response.reason}."


def _job(values: dict[str, Any]) -> JobInfo:
    progress = values["progress"]
    plain = ("id", "name", "status", "model", "created", "queue_place", "people", "error")
    return JobInfo(
        **{key: values[key] for key in plain},
        **{key: progress[key] for key in ("frames", "total", "eta_s", "fps")},
        warnings=tuple(values["warnings"]),
        values=values,
    )


def _frame(values: dict[str, Any]) -> Frame:
    return Frame(values["frame"], values["time_s"], tuple(map(_person, values["people"])))


def _person(values: dict[str, Any]) -> Person:
    x, y, width, height = values["box"]
    return Person(
        values.get("track_id"),
        values["score"],
        tuple((a, b, confidence) for a, b, confidence in values["keypoints"]),
        (x, y, width, height),
    )
