"""Times `vepe synth`: frames per second with five people at 640x384, everything included.

    python benchmarks/bench_synth.py [--videos 12] [--workers 2] [--steps]

Plans, renders, labels and writes videos of 24 frames in worker processes, after one warm-up video
per worker. Prints frames per second and, with one worker, frames per second of CPU time, which is
less sensitive to other load on the machine. With `--steps`, prints the time of each step instead,
measured in one process without threads.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from vepe_synth.config import PeopleSettings, SynthSettings
from vepe_synth.dataset import JobRenderer, RenderJob, prepare
from vepe_synth.labels import PosedPerson, frame_labels
from vepe_synth.workers import render, usable_cores

SETTINGS = SynthSettings(people=PeopleSettings(people_min=5, people_max=5))


def whole(videos: int, workers: int) -> None:
    """Measures the frame rate of the whole command, from plan to files."""
    with tempfile.TemporaryDirectory() as folder:
        job = RenderJob(Path(folder), SETTINGS, videos + workers)
        prepare(job)
        done = render(job, workers)
        for _ in range(workers):  # warm-up: every worker has started and compiled its programs
            next(done)
        wall, cpu = time.monotonic(), _cpu_seconds()
        count = sum(1 for _ in done)
        wall = time.monotonic() - wall
        cpu = _cpu_seconds() - cpu
    frames = count * SETTINGS.frames
    print(f"{count} videos, {frames} frames, {workers} processes on {usable_cores()} cores")
    print(f"{frames / wall:.1f} frames/s")
    if workers == 1:
        print(f"{frames / cpu:.1f} frames per second of CPU time")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def steps(videos: int) -> None:
    """Measures the CPU milliseconds of each step, per frame or per video."""
    os.environ["LP_NUM_THREADS"] = "0"  # Mesa renders in the calling thread
    with tempfile.TemporaryDirectory() as folder:
        job_renderer = JobRenderer(RenderJob(Path(folder), SETTINGS, videos))
        renderer = job_renderer.renderer
        spent: defaultdict[str, float] = defaultdict(float)
        frames = 0
        for index in range(videos + 1):
            if index == 1:  # warm-up: compilation of the programs
                spent.clear()
                frames = 0
            clock = _Clock(spent)
            plan = job_renderer.plan(index)
            clock("plan, per video")
            people = plan.scene.people
            renderer.load(plan.stage, [p.avatar for p in people], plan.tints)
            clock("load, per video")
            for i in range(0, SETTINGS.frames, 3):
                now = i / SETTINGS.fps
                joints = [p.joint_world(now) for p in people]
                view = plan.camera.at(now)
                renderer.pose(view, joints)
                clock("pose")
                ids = renderer.ids()
                clock("ids and depths")
                posed = [
                    PosedPerson(p.avatar, p.track_id, j)
                    for p, j in zip(people, joints, strict=True)
                ]
                frame_labels(view, ids, posed, SETTINGS)
                clock("labels")
                renderer.colour()
                clock("colour, one instant")
                frames += 1
        job_renderer.close()
    for name, seconds in spent.items():
        count = videos if name.endswith("video") else frames
        print(f"{name:22} {1000 * seconds / count:7.1f} ms")


class _Clock:
    """Adds the CPU time since the last call to a named step."""

    def __init__(self, spent: defaultdict[str, float]) -> None:
        self.spent, self.last = spent, time.process_time()

    def __call__(self, name: str) -> None:
        now = time.process_time()
        self.spent[name] += now - self.last
        self.last = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--steps", action="store_true")
    args = parser.parse_args()
    steps(args.videos) if args.steps else whole(args.videos, args.workers)


if __name__ == "__main__":
    main()
