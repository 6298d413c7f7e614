"""What a cluster costs and survives, on a Ray of this machine with throttled workers.

    python benchmarks/cluster.py kill       200 videos, a worker killed every ten seconds
    python benchmarks/cluster.py driver     the driver killed on the way, and started again
    python benchmarks/cluster.py scaling    1, 2 and 4 workers against one loop in one process
    python benchmarks/cluster.py split      clips in four segments against the whole (vepe-n)
    python benchmarks/cluster.py load       what the driver does per task, and what a resume reads

All but `split` use the stand-in network of the tests, which sleeps for a set time per frame. So a
machine with two cores shows queueing, stragglers and recovery of more workers than it has cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

import stand_in  # noqa: E402

from vepe import __version__  # noqa: E402
from vepe.cluster.engine import InProcess  # noqa: E402
from vepe.cluster.ray_engine import RayEngine, WorkerSize  # noqa: E402
from vepe.cluster.ray_run import result_token  # noqa: E402
from vepe.cluster.ray_session import ray_session  # noqa: E402
from vepe.cluster.ray_worker import WorkerCheck, WorkerReport  # noqa: E402
from vepe.cluster.scheduler import Patience, Scheduler  # noqa: E402
from vepe.cluster.tasks import Event, Result, Task, WorkSettings  # noqa: E402
from vepe.cluster.worker import Worker  # noqa: E402
from vepe.inference.batch import SharedSettings, plan_batch  # noqa: E402
from vepe.video.sources import NamedSource, list_sources  # noqa: E402

NO_SOURCE = NamedSource("/nowhere.mp4", "x")


def clips(folder: Path, count: int, num_frames: int) -> Path:
    """Small videos that differ."""
    for i in range(count):
        stand_in.write_clip(folder / f"v{i:03d}.mp4", num_frames, seed=i)
    return folder


def work(folder: Path, frame_s: float) -> WorkSettings:
    shared = stand_in.shared_settings(folder)
    return WorkSettings(shared, partial(stand_in.stand_in_predictor, frame_s))


def todo(folder: Path, videos: Path) -> list:
    shared = stand_in.shared_settings(folder)
    return list(plan_batch(list_sources([str(videos)]).sources, shared, resume=True).todo)


def serial(folder: Path, videos: Path, frame_s: float) -> float:
    """One loop in this process; returns its seconds without the loading of the model."""
    worker = Worker(work(folder, frame_s))
    begun = time.monotonic()
    Scheduler(todo(folder, videos), InProcess(worker.do)).run(threading.Event())
    return time.monotonic() - begun


@contextmanager
def engine(folder: Path, frame_s: float, workers: int) -> Iterator[RayEngine]:
    """Ready workers on a local Ray. They sleep rather than compute, so two fit on a core."""
    cores = max(2, workers)
    settings = work(folder, frame_s)
    with result_token(folder) as token, ray_session(None, cores) as ray:
        ray.cloudpickle.register_pickle_by_value(stand_in)
        check = WorkerCheck(__version__, None, "", token)
        workers_here = RayEngine(ray, settings, check, WorkerSize(most=workers))
        while workers_here.num_workers() < workers:
            workers_here.wait(0.5)
        yield workers_here


def drive(folder: Path, videos: Path, frame_s: float, workers: int, kill_s: float = 0) -> dict:
    """All videos that are not done; with `kill_s`, a worker is killed every so many seconds."""
    over = threading.Event()
    killed: list[str] = []
    with engine(folder, frame_s, workers) as ray_engine:

        def killer() -> None:
            rng = random.Random(0)
            while not over.wait(kill_s):
                ready = [m.name for m in ray_engine._members if m.ready is None]
                if ready:
                    name = rng.choice(ready)
                    os.kill(int(name.rpartition(":")[2]), signal.SIGKILL)
                    killed.append(name)

        if kill_s:
            threading.Thread(target=killer, daemon=True).start()
        scheduler = Scheduler(todo(folder, videos), ray_engine, Patience())
        begun = time.monotonic()
        outcomes = scheduler.run(threading.Event())
        seconds = time.monotonic() - begun
        over.set()
        lost = ray_engine.lost
    return {
        "seconds": round(seconds, 2),
        "done": sum(outcome.failure is None for outcome in outcomes),
        "failed": [outcome.failure for outcome in outcomes if outcome.failure],
        "killed": len(killed),
        "lost": lost,
        "videos_tried_again": sum(video.losses > 0 for video in scheduler.videos),
    }


def prepare(folder: Path) -> Path:
    """200 videos with their results from one process, unless they are there."""
    videos = folder / "videos"
    if not (folder / "serial").exists():
        clips(videos, 200, 6)
        serial(folder / "serial", videos, 0.0)
    return videos


def kill(folder: Path) -> dict:
    videos = prepare(folder)
    result = drive(folder / "ray", videos, 0.1, 2, kill_s=10)
    left, right = stand_in.results_of(folder / "serial"), stand_in.results_of(folder / "ray")
    return {**result, "results": len(right), "equal_to_serial": left == right}


def driver(folder: Path) -> dict:
    videos = prepare(folder)
    words = [sys.executable, __file__, "drive", "--folder", str(folder), "--frame-s", "0.05"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    results = folder / "ray"
    while process.poll() is None and len(list(results.glob("*.json"))) < 80:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(5)  # for what the driver left running, which must end by itself
    before = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    result = drive(results, videos, 0.05, 2)
    kept = sum(before[name] == (results / name).stat().st_mtime_ns for name in before)
    left, right = stand_in.results_of(folder / "serial"), stand_in.results_of(results)
    return {
        "done_before_the_kill": len(before),
        "of_those_untouched": kept,
        "done_by_the_second_driver": result["done"],
        "equal_to_serial": left == right,
    }


def scaling(folder: Path, counts: list[int]) -> dict:
    videos = clips(folder / "videos", 24, 20)
    frame_s = 0.1
    alone = serial(folder / "serial", videos, frame_s)
    result: dict = {"frames": 24 * 20, "frame_s": frame_s, "one_process_s": round(alone, 2)}
    for workers in counts:
        out = folder / f"ray{workers}"
        seconds = drive(out, videos, frame_s, workers)["seconds"]
        result[f"{workers}_workers_s"] = seconds
        result[f"{workers}_workers_speedup"] = round(alone / seconds, 3)
    return result


def split(folder: Path, names: list[str]) -> dict:
    from vepe.evaluation.tracks import evaluate_tracks
    from vepe.inference.model_files import find_weights
    from vepe.inference.predictor import load
    from vepe.inference.result_info import RunInfo
    from vepe.inference.track_job import TrackJob

    predictor = load("vepe-n", device="cpu")
    result = {}
    for name in names:
        source = list_sources([name]).sources[0]
        info = RunInfo.of("vepe-n", find_weights("vepe-n"), {})
        seams, seconds = (0, 0), {}
        for kind in ("whole", "parts"):
            out = folder / kind
            shared = SharedSettings(TrackJob(out, "", video=False), info)
            with shared.open(source) as video:
                length_s = (video.info.frame_count or 0) / video.info.fps
            segment_s = None if kind == "whole" else length_s / 4 + 1e-6
            worker = Worker(WorkSettings(shared, lambda: predictor, segment_s))
            scheduler = Scheduler([(source, True)], InProcess(worker.do))
            begun = time.monotonic()
            (outcome,) = scheduler.run(threading.Event())
            seconds[kind] = round(time.monotonic() - begun, 1)
            if outcome.failure:
                raise SystemExit(outcome.failure)
            seams = scheduler.videos[0].seams
        paths = [folder / kind / f"{source.name}.json" for kind in ("whole", "parts")]
        whole, parts = (json.loads(path.read_text()) for path in paths)
        scores = evaluate_tracks(paths[0], paths[1]).to_dict()
        ids = [{image["id"]: set() for image in document["images"]} for document in (whole, parts)]
        keypoints: list[dict] = [{}, {}]
        for document, frames, places in zip((whole, parts), ids, keypoints, strict=True):
            for person in document["annotations"]:
                frames[person["image_id"]].add(person["track_id"])
                places[person["image_id"], person["track_id"]] = person["keypoints"]
        same = sum(ids[0][key] == ids[1].get(key) for key in ids[0])
        farthest = [
            math.dist(a[k : k + 2], b[k : k + 2])
            for key, a in keypoints[0].items()
            if (b := keypoints[1].get(key)) is not None
            for k in range(0, len(a), 3)
        ]
        result[source.name] = {
            "frames": len(ids[0]),
            "frames_with_equal_ids": same,
            "largest_distance_px": round(max(farthest, default=0.0), 4),
            "poses_equal_bit_by_bit": whole["annotations"] == parts["annotations"],
            "seams": seams,
            "seconds": seconds,
            "scores": scores["tracking"],
        }
    return result


class FakeRay:
    """What the engine calls of Ray, done at once: what remains is the driver's own work."""

    class exceptions:  # noqa: N801
        class RayError(Exception): ...

        class RayActorError(RayError): ...

    class Method:
        def __init__(self, answer) -> None:
            self.answer = answer

        def options(self, **_: object):
            return self

        def remote(self, *words: object) -> object:
            return (object(), self.answer(*words))

    class Actor:
        def __init__(self, number: int) -> None:
            done = Event(Task(NO_SOURCE, False), "done", Result(seconds=0.0))
            self.ready = FakeRay.Method(lambda: WorkerReport(f"w{number}", None))
            self.do = FakeRay.Method(lambda task: done)
            self.frames = FakeRay.Method(lambda: 0)

    def __init__(self, workers: int) -> None:
        self.numbers = iter(range(10**9))

    def put(self, value: object) -> object:
        return value

    def cluster_resources(self) -> dict:
        return {"CPU": 10_000.0}

    def nodes(self) -> list:
        return []

    def get(self, reference):
        return reference[1]

    def wait(self, references: list, num_returns: int, timeout: float):
        return references[: min(num_returns, 20)], []

    def remote(self, **_: object):
        ray = self

        class Remote:
            def options(self, **_: object):
                return self

            def remote(self, *_: object):
                return FakeRay.Actor(next(ray.numbers))

        return lambda actor: Remote()


def driver_ms(workers: int, tasks: int = 20_000) -> float:
    """CPU of the driver's own code per task, with so many workers and without Ray."""
    settings = work(Path("/nowhere"), 0.0)
    ray = FakeRay(workers)
    check = WorkerCheck(__version__, None, "", Path("/nowhere"))
    fake = RayEngine(ray, settings, check, WorkerSize(most=workers))
    while fake.num_workers() < workers:
        fake.wait(0)
    task = Task(NO_SOURCE, False)
    begun, ended, sent = time.process_time(), 0, 0
    while ended < tasks:
        while sent < tasks and fake.room():
            fake.submit(task)
            sent += 1
        ended += len(fake.wait(0))
    return round(1000 * (time.process_time() - begun) / tasks, 3)


def load(folder: Path) -> dict:
    """Tasks without work: what Ray and the driver cost; and what a resume reads."""
    videos = folder / "videos"
    videos.mkdir(parents=True)
    clip = stand_in.write_clip(folder / "clip.mp4", 2)
    count = 2000
    for i in range(count):
        os.link(clip, videos / f"v{i:05d}.mp4")
    result: dict = {f"own_ms_per_task_{n}_workers": driver_ms(n) for n in (10, 100, 1000)}
    with engine(folder / "ray", 0.0, 2) as ray_engine:
        missing = Task(NO_SOURCE, False)  # fails at once
        begun, cpu = time.monotonic(), time.process_time()
        sent = ended = 0
        while ended < 3000:
            while ray_engine.room() and sent < 3000:
                ray_engine.submit(missing)
                sent += 1
            ended += len(ray_engine.wait(1.0))
        seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
        result["tasks_per_s"] = round(3000 / seconds)
        result["driver_cpu_ms_per_task"] = round(1000 * cpu / 3000, 3)
    worker = Worker(work(folder / "out", 0.0))
    sources = list_sources([str(videos)]).sources
    report = worker.do(Task(sources[0], False)).report
    document = json.loads(report.paths[0].read_text())
    shared = worker.settings.shared
    for source in sources[1:]:
        document["info"]["key"] = shared.info.key(source)
        (folder / "out" / f"{source.name}.json").write_text(json.dumps(document))
    begun = time.monotonic()
    plan = plan_batch(list_sources([str(videos)]).sources, shared, resume=True)
    result["resume_ms_per_video"] = round(1000 * (time.monotonic() - begun) / count, 3)
    result["resume_done"] = len(plan.done)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "what", choices=["prepare", "kill", "driver", "scaling", "split", "load", "drive"]
    )
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--frame-s", type=float, default=0.05)
    parser.add_argument("--videos", nargs="*", default=[str(p) for p in ROOT.glob("assets/*.mp4")])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    words = parser.parse_args()
    if words.what == "prepare":
        prepare(words.folder)
        return
    if words.what == "drive":
        print(json.dumps(drive(words.folder / "ray", words.folder / "videos", words.frame_s, 2)))
        return
    folder = words.folder or Path(tempfile.mkdtemp(prefix="vepe-cluster-"))
    run = {"kill": kill, "driver": driver, "load": load}
    try:
        if words.what == "split":
            print(json.dumps(split(folder, words.videos), indent=2))
        elif words.what == "scaling":
            print(json.dumps(scaling(folder, words.workers), indent=2))
        else:
            print(json.dumps(run[words.what](folder), indent=2))
    finally:
        if words.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
