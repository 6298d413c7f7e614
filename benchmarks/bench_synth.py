"""Times `vepe synth`: frames a second with five people at 640x384, everything included.

    python benchmarks/bench_synth.py [--videos 12] [--workers 2] [--steps]

Plans, renders, labels and writes videos of 24 frames in processes of their own, after one video
that is not counted (start of the processes, compilation of the programs). Prints frames a second,
and frames per second of one core's time, which other load on the machine disturbs less. With
`--steps`, where the time of a frame goes, in one process without threads.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from vepe_synth.config import SynthSettings
from vepe_synth.dataset import Order, Studio, prepare
from vepe_synth.labels import Actor, frame_labels
from vepe_synth.production import produce, usable_cores
from vepe_synth.scene_config import PerformanceSettings

SETTINGS = SynthSettings(people=PerformanceSettings(people_min=5, people_max=5))


def whole(videos: int, workers: int) -> None:
    """Frames a second of the command, from plan to files."""
    with tempfile.TemporaryDirectory() as folder:
        order = Order(Path(folder), SETTINGS, videos + workers)
        prepare(order)
        done = produce(order, workers)
        for _ in range(workers):  # every process has begun by then
            next(done)
        wall, cpu = time.monotonic(), _cpu_seconds()
        count = sum(1 for _ in done)
        wall = time.monotonic() - wall
        cpu = _cpu_seconds() - cpu
    frames = count * SETTINGS.frames
    print(f"{count} videos, {frames} frames, {workers} processes on {usable_cores()} cores")
    print(f"{frames / wall:.1f} frames/s")
    if workers == 1:
        print(f"{frames / cpu:.1f} frames per second of processor time")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def steps(videos: int) -> None:
    """Milliseconds of processor time of each step, a frame and, where so said, a video."""
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Order(Path(folder), SETTINGS, videos), threads=0)
        spent: defaultdict[str, float] = defaultdict(float)
        frames = 0
        for index in range(videos + 1):
            if index == 1:  # the first video pays for compilation
                spent.clear()
                frames = 0
            clock = _Clock(spent)
            film = studio.film(index)
            clock("plan, a video")
            people = film.performance.performers
            studio.renderer.load(film.stage, [p.avatar for p in people], film.tints)
            clock("load, a video")
            for i in range(0, SETTINGS.frames, 3):
                now = i / SETTINGS.fps
                joints = [p.joint_world(now) for p in people]
                view = film.camera.at(now)
                studio.renderer.pose(view, joints)
                clock("pose")
                ids = studio.renderer.ids()
                clock("ids and depths")
                actors = [
                    Actor(p.avatar, p.track_id, j) for p, j in zip(people, joints, strict=True)
                ]
                frame_labels(view, ids, actors, SETTINGS)
                clock("labels")
                studio.renderer.colour()
                clock("colour, one instant")
                frames += 1
        studio.close()
    for name, seconds in spent.items():
        count = videos if name.endswith("video") else frames
        print(f"{name:22} {1000 * seconds / count:7.1f} ms")


class _Clock:
    """Adds the processor time since the last call to a named step."""

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
    given = parser.parse_args()
    steps(given.videos) if given.steps else whole(given.videos, given.workers)


if __name__ == "__main__":
    main()
