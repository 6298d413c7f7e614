"""Kind `serve`: a server with hostile clients, odd names, a full disk, or an end while it works."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import run_vepe
from campaign import Trial, WrongError
from interruptions import mount_small_disk
from samples import TESTS

sys.path.insert(0, str(TESTS / "serve"))

from malformed_requests import NAMES, Judgement, Malformed, exchange, secrets_of

from vepe.client import Client, JobInfo, ServerError
from vepe.errors import VepeError

_PLACE = "secret_place"
"""Name of the server's folder, which must never reach a client."""
_PATIENCE_S = 90.0
_LIMITS = (503, 507)
"""Answers of 500 and above that say which limit was passed."""
_ENDINGS = ("csv", "json", "coco", "jsonl")


@dataclass(frozen=True)
class _Server:
    """A server that runs: its process, its port, its folder, and a client."""

    process: subprocess.Popen[bytes]
    port: int
    data: Path

    @property
    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}")


def serve(trial: Trial) -> None:
    """A server that stays alive, says what is wrong, and keeps whole results only."""
    actions = [_malformed, _malformed, _names, _killed, _killed, _worker_killed, _file_size, _disk]
    action = trial.rng.choice(actions)
    trial.samples.copy((trial.samples.small_model, "clip.mkv", "images"), trial.folder / "in")
    trial.say(f"serve: {action.__name__.strip('_')}")
    data = trial.folder / _PLACE
    data.mkdir()
    action(trial, data)
    for upload in data.glob("jobs/*/source.*"):
        upload.unlink()  # as damaged as it came
    run_vepe.check_files(data)
    incoming = data / "incoming"
    if incoming.exists() and any(incoming.iterdir()):
        raise WrongError(f"left behind: {sorted(p.name for p in incoming.iterdir())[:3]}")
    strange = {p.name for p in trial.folder.iterdir()} - {"in", _PLACE, "log"}
    if strange:
        raise WrongError(f"wrote outside of its folder: {sorted(strange)}")


@contextmanager
def _running(
    trial: Trial, data: Path, *options: str, before: Callable[[], None] | None = None
) -> Iterator[_Server]:
    """A server until the block ends; its log may hold no trace."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = trial.folder / "in" / trial.samples.small_model
    words = ["serve", "--port", str(port), "--data", str(data), "--model", str(model), *options]
    with (trial.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vepe", *words],
            stdout=log, stderr=log, preexec_fn=before, cwd=trial.folder,
        )  # fmt: skip
        server = _Server(process, port, data)
        try:
            _wait(server, server.client.healthy, "does not answer")
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(30)
            process.kill()
    text = (trial.folder / "log").read_text(encoding="utf-8", errors="replace")
    if "Traceback" in text:
        raise WrongError("traceback of the server: " + " | ".join(text.splitlines()[-14:]))


def _wait(server: _Server, ready: Callable[[], bool], problem: str) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while not ready():
        if server.process.poll() is not None:
            log = server.data.with_name("log").read_text(encoding="utf-8", errors="replace")
            raise WrongError(f"the server ended with {server.process.returncode}: {log[-400:]}")
        if time.monotonic() > end_s:
            raise WrongError(f"the server {problem}")
        time.sleep(0.02)


def _finished(server: _Server, job_id: str) -> JobInfo:
    """A job once it has ended."""
    jobs: list[JobInfo] = []

    def ended() -> bool:
        jobs[:] = [server.client.job(job_id)]
        return jobs[0].status in ("done", "failed", "cancelled")

    _wait(server, ended, "does not end a job")
    return jobs[0]


def _check_tracks(trial: Trial, server: _Server) -> None:
    job = server.client.submit(trial.folder / "in/clip.mkv", imgsz=64)
    done = _finished(server, job.id)
    if done.status != "done" or done.frames != 8:
        raise WrongError(f"afterwards a job is {done.status} with {done.frames} frames")


def _malformed(trial: Trial, data: Path) -> None:
    """Wrong headers, forms, JSON and media."""
    clip, image = (trial.folder / "in" / name for name in ("clip.mkv", "images/a.jpg"))
    seed, root = trial.rng.getrandbits(32), trial.rng.random() < 0.5
    trial.say(f"{trial.title}, files by path {root}")
    more = ("--root", str(trial.folder / "in")) if root else ()
    with _running(trial, data, *more) as server:
        kept = server.client.submit(clip, imgsz=64)
        _finished(server, kept.id)
        source = Malformed(seed, server.port, kept.id, clip.read_bytes(), image.read_bytes())
        judgement = Judgement()
        for kind, request in source.requests(40):
            answer = exchange(server.port, request)
            judgement.add(kind, request, answer, secrets_of(trial.folder))
            while judgement.jobs:
                with contextlib.suppress(ServerError):  # deleted by one of the requests
                    server.client.cancel(judgement.jobs.pop())
        if judgement.wrong:
            raise WrongError(judgement.wrong[0])
        _check_tracks(trial, server)


def _names(trial: Trial, data: Path) -> None:
    """A valid upload by a hostile name, and all that can be read of it."""
    name = trial.rng.choice(NAMES)
    trial.say(f"{trial.title} {name!r:.60}")
    content = (trial.folder / "in/clip.mkv").read_bytes()
    quoted = name.replace('"', "%22").replace("\r\n", "%0D%0A").replace("\0", "%00")
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--b--\r\n"
    with _running(trial, data) as server:
        url = f"http://127.0.0.1:{server.port}/v1/jobs"
        status, text = _fetch(url, body, {"Content-Type": "multipart/form-data; boundary=b"})
        if status not in (201, 400, 415, 422):
            raise WrongError(f"answer {status}: {text[:200]!r}")
        if status == 201:
            job = _finished(server, json.loads(text)["id"])
            if job.status != "done":
                raise WrongError(f"the job {job.status}: {job.error}")
            addresses = [f"{url}/{job.id}/poses?format={ending}" for ending in _ENDINGS]
            for address in (url, f"{url}/{job.id}", *addresses, f"{url}/{job.id}/video"):
                status, text = _fetch(address)
                if status != 200:
                    raise WrongError(f"answer {status} for {address}: {text[:200]!r}")
                _check_no_secret(trial, text)
        _check_tracks(trial, server)


def _fetch(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and content of an answer. Raises WrongError where its headers are not clean."""
    request = urllib.request.Request(url, body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            found = answer.headers
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        found = error.headers
        status, text = error.code, error.read()
    if "Y" in found.values() or any(re.search(r"[\x00-\x1f\x7f]", v) for v in found.values()):
        raise WrongError(f"a name made headers: {found.items()!r:.300}")
    return status, text


def _check_no_secret(trial: Trial, text: bytes) -> None:
    if _PLACE.encode() in text or str(trial.folder).encode() in text:
        raise WrongError("an answer holds a path of the server")


def _killed(trial: Trial, data: Path) -> None:
    """The server is ended while it works; the next one goes on, and ends all jobs."""
    number = trial.rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    with _running(trial, data) as server:
        moment = _work_until_a_moment(trial, server)
        trial.say(f"{trial.title}: {number.name} {moment}")
        server.process.send_signal(number)
        code = server.process.wait(60)
    allowed = (-number,) if number == signal.SIGKILL else (0, run_vepe.INTERRUPTED)
    if code not in allowed:
        raise WrongError(f"exit code {code} of the server")
    with _running(trial, data) as server:
        for job in server.client.jobs():
            done = _finished(server, job.id)
            if done.status != "done" or done.frames != 8:
                raise WrongError(f"a job is {done.status} after the restart: {done.error}")
        _check_tracks(trial, server)


def _work_until_a_moment(trial: Trial, server: _Server) -> str:
    """Sends jobs, and waits until one of them is at a random point, which is returned."""
    name = trial.rng.choice(["job.json", "poses.jsonl", "result.json", "result.mp4", ""])
    jobs = [server.client.submit(trial.folder / "in/clip.mkv", imgsz=64) for _ in range(3)]
    chosen = trial.rng.randrange(len(jobs))
    folder = server.data / "jobs" / jobs[chosen].id
    end_s = time.monotonic() + _PATIENCE_S
    while name and not (folder / name).exists() and time.monotonic() < end_s:
        time.sleep(0.0005)
    return f"at {name} of job {chosen}" if name else "at once"


def _worker_killed(trial: Trial, data: Path) -> None:
    """A worker process dies: that costs one job."""
    with _running(trial, data) as server:
        moment = _work_until_a_moment(trial, server)
        workers = _children(server.process.pid)
        trial.say(f"{trial.title} {moment}")
        for pid in trial.rng.sample(workers, min(len(workers), 1)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended = [_finished(server, job.id) for job in server.client.jobs()]
        failed = [job for job in ended if job.status != "done"]
        if len(failed) > 1:
            raise WrongError(f"{len(failed)} jobs failed: {failed[0].error}")
        for job in failed:
            _check_sentence(job.error or "")
            if {p.name for p in (data / "jobs" / job.id).iterdir()} != {"job.json", "source.mkv"}:
                raise WrongError("a failed job has results")
        _check_tracks(trial, server)


def _children(pid: int) -> list[int]:
    """Worker processes of a server, where the system tells."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    threads = path.parents[1].iterdir() if path.exists() else ()
    found = [int(p) for t in threads for p in (t / "children").read_text().split()]
    command = {p: Path(f"/proc/{p}/cmdline").read_bytes() for p in found}
    return sorted(p for p, words in command.items() if b"spawn_main" in words)


def _check_sentence(text: str) -> None:
    if "\n" in text or not text.endswith(".") or _PLACE in text or "Traceback" in text:
        raise WrongError(f"not a sentence for clients: {text!r}")


def _file_size(trial: Trial, data: Path) -> None:
    """No file of the server can be larger than a limit, as with a quota."""
    limit = trial.rng.choice([300, 1000, 3000, 6000, 20_000])

    def arm() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    trial.say(f"{trial.title} of at most {limit} bytes")
    _work_with_little_room(trial, data, arm)


def _disk(trial: Trial, data: Path) -> None:
    """A small disk, of which little is free."""
    if not mount_small_disk(data, 3_000_000):
        _file_size(trial, data)
        return
    _work_with_little_room(trial, data, None)


def _work_with_little_room(trial: Trial, data: Path, arm: Callable[[], None] | None) -> None:
    with _running(trial, data, before=arm) as server:
        for name in ("clip.mkv", "images/b.png", "clip.mkv"):
            try:
                job = server.client.submit(trial.folder / "in" / name, imgsz=64)
            except ServerError as error:
                if error.status >= 500 and error.status not in _LIMITS:
                    raise WrongError(f"answer {error.status}: {error}") from None
                _check_sentence(str(error))
                continue
            except VepeError as error:
                raise WrongError(f"no answer: {error}") from None
            done = _finished(server, job.id)
            if done.status == "failed":
                _check_sentence(done.error or "")
        if not server.client.healthy():
            raise WrongError("the server is not healthy afterwards")
