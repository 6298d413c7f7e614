"""A server under load, on this machine: many clients, malformed requests, and a long video.

    python benchmarks/serve_load.py clients --clients 50
    python benchmarks/serve_load.py malformed --requests 1000 --seed 1
    python benchmarks/serve_load.py long

Each starts `vepe serve` on a free port with an empty folder, and prints what it measured.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "serve"))

from malformed_requests import Judgement, Malformed, exchange, secrets_of

from vepe.client import Client, ServerError
from vepe.errors import VepeError
from vepe.video.reader import open_video
from vepe.video.writer import VideoWriter

CLIP = Path(__file__).parents[1] / "assets" / "walking.mp4"
AISLE = Path(__file__).parents[1] / "assets" / "store_aisle.mp4"


@contextmanager
def server(folder: Path, *options: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """`vepe serve` on a free port until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vepe", "serve", "--port", str(port), "--data", str(folder)]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    try:
        while not Client(f"http://127.0.0.1:{port}").healthy():
            if process.poll() is not None:
                sys.exit(f"the server did not start: {process.stderr and process.stderr.read()}")
            time.sleep(0.1)
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


class Watch:
    """Asks a server for its health and its page all the time, and for its memory.

    Attributes:
        times_s: of the answers.
        memory_mb: largest resident memory of each process.
    """

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.times_s: list[float] = []
        self.failures = 0
        self.memory_mb: dict[str, float] = {}

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.1):
            for path in ("/healthz", "/", "/v1/jobs"):
                begun_s = time.perf_counter()
                try:
                    with urllib.request.urlopen(self._url + path, timeout=30) as answer:
                        answer.read()
                except OSError:
                    self.failures += 1
                self.times_s.append(time.perf_counter() - begun_s)
            with suppress(OSError):
                self._note_memory()

    def _note_memory(self) -> None:
        with urllib.request.urlopen(self._url + "/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith('vepe_memory_bytes{role="'):
                    role, value = line.split('"')[1], float(line.split()[-1]) / 1e6
                    self.memory_mb[role] = max(value, self.memory_mb.get(role, 0.0))

    def report(self) -> None:
        """Prints the times and the memory."""
        times_ms = sorted(1000 * value for value in self.times_s)
        print(
            f"health, page and list asked {len(times_ms)} times: median "
            f"{statistics.median(times_ms):.0f} ms, 99 % within "
            f"{times_ms[int(0.99 * (len(times_ms) - 1))]:.0f} ms, longest {times_ms[-1]:.0f} ms, "
            f"{self.failures} failures"
        )
        memory = ", ".join(f"{role} {value:.0f} MB" for role, value in self.memory_mb.items())
        print(f"largest memory: {memory}")


def run_clients(count: int) -> bool:
    """All clients send a video at once, try again where the queue is full, and read the poses."""
    refusals = 0

    def one(index: int, port: int) -> bool:
        nonlocal refusals
        client = Client(f"http://127.0.0.1:{port}", timeout_s=300)
        while True:
            try:
                job = client.submit(CLIP, imgsz=128, end=0.5)
                break
            except ServerError as error:
                if error.status != 429:
                    raise
                refusals += 1
                time.sleep(1 + index % 7 / 7)
        frames = [frame.frame for frame in client.frames(job.id)]
        done = client.wait(job.id)
        return frames == list(range(7)) and done.frames == 7

    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (port, _):
        begun_s = time.monotonic()
        with Watch(port) as watch, ThreadPoolExecutor(count) as pool:
            complete = list(pool.map(lambda index: one(index, port), range(count)))
        seconds = time.monotonic() - begun_s
        jobs = Client(f"http://127.0.0.1:{port}").jobs()
    print(
        f"{count} clients: {sum(complete)} with all poses, {len(jobs)} jobs done in {seconds:.0f} "
        f"s, {refusals} times 429 and tried again"
    )
    watch.report()
    return all(complete) and len(jobs) == count and not watch.failures


def run_malformed(count: int, seed: int) -> bool:
    """Malformed requests from eight connections at a time."""
    judgement = Judgement()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "secret_place"
        image = Path(folder) / "walkers.jpg"
        cv2.imwrite(str(image), cv2.VideoCapture(str(CLIP)).read()[1])
        with server(data, "--max-upload-mb", "2") as (port, process):
            client = Client(f"http://127.0.0.1:{port}")
            kept = client.wait(client.submit(CLIP, imgsz=64, end=0.5).id)
            source = Malformed(seed, port, kept.id, CLIP.read_bytes(), image.read_bytes())
            before, begun_s = set(Path(folder).iterdir()), time.monotonic()
            lock = threading.Lock()

            def one(item: tuple[str, bytes]) -> None:
                answer = exchange(port, item[1])
                with lock:
                    judgement.add(*item, answer, secrets_of(data))
                    jobs, judgement.jobs = judgement.jobs, []
                for job in jobs if len(judgement.statuses) % 2 else ():
                    with suppress(ServerError):
                        client.cancel(job)

            with Watch(port) as watch, ThreadPoolExecutor(8) as pool:
                list(pool.map(one, source.requests(count)))
            seconds = time.monotonic() - begun_s
            for job in client.jobs():
                if job.id != kept.id:
                    client.delete(job.id)
            alive = client.wait(client.submit(CLIP, imgsz=64, end=0.5).id).frames == 7
            left = len(list((data / "incoming").iterdir()))
            outside = set(Path(folder).iterdir()) - before
            still = process.poll() is None
    print(f"{count} malformed requests (seed {seed}) in {seconds:.0f} s; answers by status:")
    print(
        ", ".join(f"{status or 'closed'}: {n}" for status, n in sorted(judgement.statuses.items()))
    )
    print(f"wrong: {len(judgement.wrong)}; uploads left: {left}; files elsewhere: {len(outside)}")
    print(f"the server is alive: {still}, and tracks: {alive}")
    for sentence in judgement.wrong[:20]:
        print("  " + sentence[:1000])
    watch.report()
    return not judgement.wrong and not left and not outside and still and alive


def long_video(path: Path, seconds: int = 60) -> Path:
    """A 1080p video at 25 frames/s: five seconds of a clip, again and again."""
    part = path.with_name("part.mp4")
    with open_video(AISLE) as video, VideoWriter(part, width=1920, height=1080, fps=25.0) as writer:
        images = [cv2.resize(frame.image, (1920, 1080)) for frame in islice(video, 25)]
        for index in range(125):
            writer.write(np.ascontiguousarray(images[index % 25]), index / 25)
    with av.open(str(path), "w") as output:
        stream, offset = None, 0
        for _ in range(seconds // 5):
            with av.open(str(part)) as source:
                if stream is None:
                    stream = output.add_stream_from_template(source.streams.video[0])
                unit = source.streams.video[0].time_base or Fraction(1, 90_000)
                for packet in source.demux(video=0):
                    if packet.dts is None:
                        continue
                    packet.dts, packet.pts = packet.dts + offset, (packet.pts or 0) + offset
                    packet.stream = stream
                    output.mux(packet)
            offset += round(5 / unit)
    return path


def cpu_s(port: int) -> float:
    """CPU time of the worker of jobs so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return float(text.split('vepe_cpu_seconds_total{role="jobs"} ')[1].split("\n")[0])


def run_long(watched_s: float) -> bool:
    """How soon the first poses of a minute of 1080p are there, and how the server answers then."""
    with tempfile.TemporaryDirectory() as folder:
        video = long_video(Path(folder) / "long.mp4")
        with server(Path(folder) / "data") as (port, _):
            client = Client(f"http://127.0.0.1:{port}")
            used_s, begun_s = cpu_s(port), time.monotonic()
            job = client.submit(video)
            sent_s = time.monotonic() - begun_s
            stream = client.frames(job.id)
            next(stream)
            seen_s, used_s = time.monotonic() - begun_s, cpu_s(port) - used_s
            values = client.job(job.id).values
            with Watch(port) as watch:
                time.sleep(watched_s)
            state = client.job(job.id)
            with suppress(VepeError):
                client.cancel(job.id)
    facts = values["video"]
    print(
        f"{facts['width']}x{facts['height']}, {facts['duration_s']:g} s: sent and looked at in "
        f"{sent_s:.2f} s, first poses {values['first_poses_s']:.2f} s after the start of "
        f"processing ({used_s:.2f} s of CPU time), and {seen_s:.2f} s after the upload began; load "
        f"average {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    )
    print(f"then {state.fps or 0:.1f} frames/s, {state.eta_s or 0:.0f} s left, while:")
    watch.report()
    return values["first_poses_s"] < 3.0 and not watch.failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("clients", "malformed", "long"))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--watch", type=float, default=30.0, help="seconds of the long video")
    options = parser.parse_args()
    if options.what == "clients":
        passed = run_clients(options.clients)
    elif options.what == "malformed":
        passed = run_malformed(options.requests, options.seed)
    else:
        passed = run_long(options.watch)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
