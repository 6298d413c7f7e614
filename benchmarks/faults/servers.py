"""Kind `servers`: downloads from, and videos on, HTTP servers that misbehave, on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import run_vepe
from campaign import Trial, WrongError

from vepe.data import remote
from vepe.errors import VepeError

_TIMEOUT_S = 1.0
_LONG = 40
"""More chunks than a client waits for."""

Answer = Callable[[socket.socket, bytes], None]


def _head(length: object, more: str = "", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def _whole(client: socket.socket, body: bytes) -> None:
    client.sendall(_head(len(body)) + body)


def _cut(client: socket.socket, body: bytes) -> None:
    client.sendall(_head(len(body)) + body[: len(body) // 2])


def _too_long(client: socket.socket, body: bytes) -> None:
    client.sendall(_head(len(body) // 2) + body)


def _no_length(client: socket.socket, body: bytes) -> None:
    client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)


def _slow_head(client: socket.socket, body: bytes) -> None:
    for byte in _head(len(body)):
        client.sendall(bytes([byte]))
        time.sleep(0.3)


def _slow_body(client: socket.socket, body: bytes) -> None:
    client.sendall(_head(len(body)))
    for byte in body[:_LONG]:
        client.sendall(bytes([byte]))
        time.sleep(0.3)


def _silent(client: socket.socket, body: bytes) -> None:
    time.sleep(_LONG * 0.3)


def _endless(client: socket.socket, body: bytes) -> None:
    client.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    while True:
        client.sendall(body[:65_536] * 16)


def _endless_head(client: socket.socket, body: bytes) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        client.sendall(b"X-Long: " + b"a" * 4000 + b"\r\n")


def _endless_chunks(client: socket.socket, body: bytes) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.sendall(b"5\r\nabcde\r\nzz\r\n" + body[:100])


def _endless_redirect(client: socket.socket, body: bytes) -> None:
    client.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
    while True:
        client.sendall(body[:65_536] * 16)


def _redirect(target: str) -> Answer:
    def answer(client: socket.socket, body: bytes) -> None:
        client.sendall(_head(0, f"Location: {target}\r\n", "302 Found"))

    return answer


def _status(status: str, more: str = "") -> Answer:
    return lambda client, body: client.sendall(_head(0, more, status))


def _length(stated: object) -> Answer:
    return lambda client, body: client.sendall(_head(stated) + body)


def _raw(data: bytes) -> Answer:
    return lambda client, body: client.sendall(data)


ANSWERS: dict[str, Answer] = {
    "whole": _whole,
    "cut": _cut,
    "too long": _too_long,
    "no length": _no_length,
    "slow head": _slow_head,
    "slow body": _slow_body,
    "silent": _silent,
    "endless": _endless,
    "endless head": _endless_head,
    "broken chunks": _endless_chunks,
    "closed at once": _raw(b""),
    "not HTTP": _raw(b"\x00\xff SSH-2.0\r\n\r\n" * 20),
    "gzip": lambda client, body: client.sendall(
        _head(len(body), "Content-Encoding: gzip\r\n") + body
    ),
    "redirect to a file": _redirect("file:///etc/passwd"),
    "redirect to ftp": _redirect("ftp://127.0.0.1:9/x"),
    "redirect to itself": _redirect("/again"),
    "redirect to nothing": _redirect("http://"),
    "redirect to odd": _redirect("http://[::1/\x7f"),
    "redirect with an endless body": _endless_redirect,
    "404": _status("404 Not Found"),
    "403": _status("403 \x1b[31mForbidden"),
    "500": _status("500 Error"),
    "206": _status("206 Partial", "Content-Range: bytes 7-/9\r\n"),
    "416": _status("416 Range", "Content-Range: bytes */0\r\n"),
    "length -1": _length(-1),
    "length of 400 digits": _length("9" * 400),
    "length in words": _length("many"),
    "length of 10 TB": _length(10**13),
}


@contextmanager
def server(answer: Answer, body: bytes) -> Iterator[str]:
    """The address of a server on this machine that answers every request in one way."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                threading.Thread(
                    target=_serve_one, args=(client, answer, body), daemon=True
                ).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        listener.close()


def _serve_one(client: socket.socket, answer: Answer, body: bytes) -> None:
    with client, contextlib.suppress(OSError):
        client.recv(65_536)
        answer(client, body)


def servers(trial: Trial) -> None:
    """A download, or a video on a server: the whole file, or a sentence in a limited time."""
    name = trial.rng.choice(sorted(ANSWERS))
    if trial.rng.random() < 0.75:
        _download(trial, name)
    else:
        _video(trial, name)


def _download(trial: Trial, name: str) -> None:
    remote.TIMEOUT_S = _TIMEOUT_S  # the same rules, with less patience
    os.environ["VEPE_MAX_DOWNLOAD_MB"] = "3"
    body = (trial.samples.folder / "shard.tar").read_bytes()
    checked = trial.rng.random() < 0.5
    checksum = f"#sha256={hashlib.sha256(body).hexdigest()}" if checked else ""
    trial.say(f"fetch from a server: {name}, checksum {checked}")
    folder = trial.folder / "cache"
    begun = time.monotonic()
    with server(ANSWERS[name], body) as address:
        try:
            path = remote.fetch(f"{address}/s.tar{checksum}", folder=folder)
        except VepeError as error:
            _check_sentence(str(error))
        else:
            _check_download(name, path.read_bytes(), body, checked)
    if time.monotonic() - begun > 100:
        raise WrongError(f"took {time.monotonic() - begun:.0f} s")
    names = [
        p.name for p in folder.rglob("*") if p.is_file() and p.suffix not in (".lock", ".part")
    ]
    if names not in ([], ["s.tar"]):
        raise WrongError(f"files in the cache: {names}")


def _check_sentence(text: str) -> None:
    if "\n" in text or not text.endswith("."):
        raise WrongError(f"not a sentence: {text!r}")


def _check_download(name: str, got: bytes, body: bytes, checked: bool) -> None:
    # Without a checksum, a file that the server itself cuts at the stated length is the file.
    honest = got == body or (not checked and name in ("too long", "gzip", "broken chunks"))
    if not honest:
        raise WrongError(f"stored {len(got)} of {len(body)} bytes as the whole file")


def _video(trial: Trial, name: str) -> None:
    from vepe.video import container

    container.NETWORK_TIMEOUT_S = _TIMEOUT_S
    container.open_network.__defaults__ = (_TIMEOUT_S,)
    clip = trial.rng.choice(["clip.mp4", "clip.ts", "clip.mkv"])
    body = (trial.samples.folder / clip).read_bytes()
    trial.samples.copy(("tiny.safetensors",), trial.folder / "in")
    trial.say(f"track {clip} on a server: {name}")
    with server(ANSWERS[name], body) as address:
        words = ["track", f"{address}/{clip}", "-o", str(trial.folder / "out"), "--imgsz", "64"]
        words += ["--model", str(trial.folder / "in/tiny.safetensors"), "--end", "5"]
        answer = run_vepe.run(words, trial.folder)
    run_vepe.check(answer)
    run_vepe.check_files(trial.folder / "out")
    if answer.seconds > 100:
        raise WrongError(f"took {answer.seconds:.0f} s")
