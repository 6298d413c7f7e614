"""Requests that are wrong in seeded, random ways, as bytes for a socket, and their judgement."""

from __future__ import annotations

import json
import random
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "get", "G\0T", "")
_PATHS = (
    "/", "/healthz", "/metrics", "/v1/jobs", "/v1/models", "/v1/predict", "/v1/session",
    "/v1/live", "/docs", "/openapi.json", "/page/../job.py", "/page/%2e%2e/job.py",
    "/page/..%2f..%2fjob.py", "/page//etc/passwd", "/page/%00", "/../../etc/passwd",
    "//etc/passwd", "/v1/jobs/%2e%2e/video", "/v1/jobs/../../x", "/v1/jobs/" + "0" * 24,
    "/v1/jobs/JOB", "/v1/jobs/JOB/poses?format=../../x", "/v1/jobs/JOB/poses?format=csv",
    "/v1/jobs/JOB/events?from=-1", "/v1/jobs/JOB/events?from=1e9", "/v1/jobs/JOB/video",
    "/v1/jobs/JOB/source", "/v1/jobs/JOB/skeleton", "/v1/jobs/JOB/job.json", "/v1/jobs/JOB\\..",
    "*", "http://evil.example/v1/jobs", "/" + "a" * 5000, "/%ff%fe", "/v1/jobs?" + "a=b&" * 500,
)  # fmt: skip
_HEADERS = (
    "Host: evil.example", "Host:", "Host: a b", "Origin: https://evil.example", "Origin: null",
    "Content-Length: -1", "Content-Length: 1e3", "Content-Length: 99999999999999999999",
    "Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked", "Expect: 100-continue", "Connection: upgrade",
    "Upgrade: websocket", "Upgrade: h2c", "Range: bytes=0-", "Range: bytes=-1", "Range: bytes=9-1",
    "Range: bytes=" + ",".join(f"{i}-{i}" for i in range(200)), "Range: apples=1-2",
    "If-Range: x", "If-Modified-Since: never", "Cookie: " + "a=b; " * 300,
    "Authorization: Bearer \xff", "Content-Type: multipart/form-data",
    "Content-Type: application/json; charset=utf-7", "X-Forwarded-For: 1.2.3.4",
    "X-Long: " + "y" * 20000, "Bad Header: 1", ": empty", "NoColon", "X: a\r\n folded",
    "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 999", "Sec-Fetch-Site: cross-site",
    "Accept-Encoding: \0", "Content-Encoding: gzip",
)  # fmt: skip
NAMES = (
    "../../../etc/cron.d/x", "/etc/passwd", "C:\\x.mp4", "a\0b.mp4", "x" * 3000, "", ".", "..",
    "con", "<script>alert(1)</script>.mp4", "\u202egpj.mp4", "a\r\nX: y", '"', "%2e%2e%2fx", "-rf",
)  # fmt: skip
_VALUES = (
    None, True, -1, 0, 10**30, 1e308, "", "x" * 2000, [], {}, [[[]]], "../../etc/passwd",
    "/etc/passwd", "file:///etc/passwd", "http://169.254.169.254/", "a\0b", "\ud800", "nan", ".",
    "/proc/self/environ", "~root", "$HOME", "%2e%2e", "\\\\host\\share",
)  # fmt: skip
_FIELDS = (
    "path",
    "model",
    "conf",
    "window",
    "imgsz",
    "smooth",
    "hide",
    "start",
    "end",
    "token",
    "",
)

_LEAKS = re.compile(
    rb'Traceback|site-packages|File "|secret_place|root:x:|/usr/lib|\.py"|vepe/serve|PosixPath'
)


def _http(method: str, path: str, headers: list[str], body: bytes = b"") -> bytes:
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "Connection: close", "", ""])
    return head.encode("utf-8", "surrogateescape") + body


class Malformed:
    """A seeded source of wrong requests.

    Args:
        seed: equal seeds give equal requests.
        port: of the server.
        job: id of a job that exists.
        video, image: valid files, to be damaged.
    """

    def __init__(self, seed: int, port: int, job: str, video: bytes, image: bytes) -> None:
        self._random, self._job = random.Random(seed), job
        self._host = f"Host: 127.0.0.1:{port}"
        self._video, self._image = video, image

    def requests(self, count: int) -> Iterator[tuple[str, bytes]]:
        """So many requests of all kinds, each with the name of its kind."""
        kinds: list[Callable[[], bytes]] = [self.headers, self.form, self.json, self.media]
        for index in range(count):
            kind = kinds[index % len(kinds)]
            yield kind.__name__, kind()

    def headers(self) -> bytes:
        """Wrong methods, paths and headers; now and then no HTTP at all."""
        pick = self._random
        if pick.random() < 0.08:
            return pick.choice(
                [
                    *(b"", b"\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0", b"GET / HTTP/9.9\r\n\r\n"),
                    *(pick.randbytes(200), b"GET /\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n"),
                ]
            )
        headers = pick.sample(_HEADERS, pick.randint(0, 4))
        if pick.random() < 0.85:
            headers.insert(0, self._host)
        path = pick.choice(_PATHS).replace("JOB", self._job)
        body = pick.choice([b"", b"x", b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", pick.randbytes(50)])
        return _http(pick.choice(_METHODS), path, headers, body)

    def form(self) -> bytes:
        """Forms with wrong boundaries, headers, names and endings."""
        pick = self._random
        boundary = pick.choice(["b", "x" * 70, "y" * 300, 'q"', ""])
        parts = []
        for _ in range(pick.choice([0, 1, 1, 2, 3, 40])):
            name = pick.choice(["file", "file", *_FIELDS, "f" * 3000])
            filename = pick.choice(['; filename="' + pick.choice(NAMES) + '"', "", "; filename="])
            kind = pick.choice(["form-data", "attachment", "", "form-data; form-data"])
            content = pick.choice([b"", b"hello", self._damaged(self._video), pick.randbytes(999)])
            head = f'--{boundary}\r\nContent-Disposition: {kind}; name="{name}"{filename}\r\n'
            head += pick.choice(["\r\n", "", "Content-Type: \xff\r\n\r\n", "X" * 5000 + "\r\n\r\n"])
            parts.append(head.encode() + content + pick.choice([b"\r\n", b"", b"\n"]))
        body = b"".join(parts) + pick.choice([f"--{boundary}--\r\n", "", f"--{boundary}"]).encode()
        if pick.random() < 0.2:
            body = body[: pick.randint(0, len(body))]
        kind = pick.choice(["multipart/form-data"] * 4 + ["multipart/mixed", "text/plain"])
        length = len(body) + pick.choice([0, 0, 0, 0, 7, -3])
        headers = [self._host, f"Content-Type: {kind}; boundary={boundary}"]
        headers.append(f"Content-Length: {max(length, 0)}")
        return _http("POST", pick.choice(["/v1/jobs", "/v1/predict"]), headers, body)

    def json(self) -> bytes:
        """JSON that is none, is too deep, or holds wrong values and paths."""
        pick = self._random
        values = {pick.choice(_FIELDS): pick.choice(_VALUES) for _ in range(pick.randint(0, 4))}
        text = json.dumps(values)
        body = pick.choice(
            [text.encode()] * 6
            + [text[: pick.randint(0, len(text))].encode(), b"[" * 3000, b'{"path": NaN}']
            + [b"\xff\xfe{}", b'{"path":' + b"9" * 3000 + b"}", b"null", b" " * 30000, b"[]"]
        )
        headers = [self._host, "Content-Type: application/json", f"Content-Length: {len(body)}"]
        return _http("POST", pick.choice(["/v1/jobs", "/v1/session"]), headers, body)

    def media(self) -> bytes:
        """Well-formed forms with damaged videos and images."""
        pick = self._random
        is_image = pick.random() < 0.4
        content = self._damaged(self._image if is_image else self._video)
        path = pick.choice(["/v1/predict", "/v1/jobs"]) if is_image else "/v1/jobs"
        fields = {"imgsz": "64"} if path == "/v1/predict" else {"imgsz": "64", "end": "0.2"}
        body = b"".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        )
        name = pick.choice(["a.mp4", "a.jpg", *NAMES]).replace('"', "").replace("\r\n", "")
        body += f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"'.encode()
        body += b"\r\n\r\n" + content + b"\r\n--b--\r\n"
        headers = [self._host, "Content-Type: multipart/form-data; boundary=b"]
        return _http("POST", path, [*headers, f"Content-Length: {len(body)}"], body)

    def _damaged(self, content: bytes) -> bytes:
        pick = self._random
        data = bytearray(content)
        for _ in range(pick.choice([1, 3, 30, 300])):
            data[pick.randrange(len(data))] = pick.randrange(256)
        how = pick.random()
        if how < 0.3:
            del data[pick.randrange(len(data)) :]
        elif how < 0.45:
            start = pick.randrange(len(data))
            del data[start : start + pick.randint(1, 5000)]
        elif how < 0.6:
            start = pick.randrange(len(data))
            data[start:start] = pick.randbytes(pick.randint(1, 500))
        elif how < 0.7:
            return pick.choice([b"#EXTM3U\n", b"ffconcat version 1.0\n", b"v=0\n"]) + bytes(data)
        return bytes(data)


@dataclass
class Judgement:
    """What a server made of requests.

    Attributes:
        statuses: number of answers by status; 0 for a connection that was closed without one.
        wrong: what must not be: a status of 500 or above but 507, a leak, a server that hangs.
        jobs: ids of jobs that were taken.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)

    def add(self, kind: str, request: bytes, answer: bytes | None, secrets: list[bytes]) -> None:
        """Judges an answer; None where it did not come in time."""
        start = repr(request[:300])
        if answer is None:
            self.wrong.append(f"{kind}: no answer in time to {start}")
            return
        match = re.match(rb"HTTP/1\.1 (\d{3})", answer)
        status = int(match[1]) if match else 0
        self.statuses[status] += 1
        if status >= 500 and status != 507:
            self.wrong.append(f"{kind}: {status} to {start}: {answer[-300:]!r}")
        leak = _LEAKS.search(answer) or next((s for s in secrets if s in answer), None)
        if leak:
            self.wrong.append(f"{kind}: leak {leak!r} in the answer to {start}: {answer[:600]!r}")
        created = re.search(rb'"id":"([0-9a-f]{24})"', answer) if status == 201 else None
        if created:
            self.jobs.append(created[1].decode())


def is_whole(request: bytes) -> bool:
    """Whether a server can see where the request ends, so that it answers by itself."""
    head, end, body = request.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        return b"0\r\n\r\n" in body
    lengths = re.findall(rb"(?i)content-length: (\d+)\b", head)
    return bool(end) and all(int(length) <= len(body) for length in lengths)


def exchange(port: int, request: bytes, timeout_s: float = 60.0) -> bytes | None:
    """Sends bytes and reads the answer to its end (at most 1 MB); None where it does not come.

    What has no end is cut off by closing our side.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        answer = bytearray()
        try:
            connection.sendall(request)
            if not is_whole(request):
                connection.shutdown(socket.SHUT_WR)
            while len(answer) < 1_000_000 and (chunk := connection.recv(65536)):
                answer += chunk
        except TimeoutError:
            return None
        except OSError:  # it was closed while we sent
            pass
        return bytes(answer)


def secrets_of(folder: Path) -> list[bytes]:
    """What no answer may hold: where the server keeps its files."""
    return [str(folder).encode(), str(folder.absolute()).encode()]
