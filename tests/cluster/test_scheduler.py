"""The scheduler: every video ends once, whatever happens to workers."""

from __future__ import annotations

import random
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from stand_in import results_of, shared_settings, stand_in_predictor, write_clip

from vepe.cluster.engine import InProcess, disk_is_full
from vepe.cluster.monitor import Monitor
from vepe.cluster.scheduler import Patience, Scheduler
from vepe.cluster.tasks import Event, Result, Task, WorkSettings
from vepe.cluster.worker import Worker
from vepe.errors import VepeError
from vepe.inference.batch import plan_batch
from vepe.inference.segment import split
from vepe.inference.track_job import TrackReport
from vepe.video.sources import NamedSource, list_sources

QUICK = Patience(attempts=3, losses=4, pause_s=0.0)
DONE = Result(report=TrackReport(1, 1, 1, 0.0), frames=1, seconds=0.1)


@dataclass
class Scripted:
    """An engine whose tasks end as a script says: a list of outcomes by (name, step); then done."""

    script: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    most: int = 2
    segments: int = 0
    tasks: deque[Task] = field(default_factory=deque)
    log: list[tuple[str, str, bool]] = field(default_factory=list)
    interrupted: bool = False

    def room(self) -> int:
        return self.most - len(self.tasks)

    def submit(self, task: Task) -> None:
        assert self.room() > 0
        self.tasks.append(task)
        self.log.append((task.source.name, task.step, task.overwrite))

    def wait(self, timeout_s: float) -> list[Event]:
        if not self.tasks:
            return []
        task = self.tasks.popleft()
        outcomes = self.script.get((task.source.name, task.step), [])
        kind = outcomes.pop(0) if outcomes else "done"
        if kind == "done":
            return [Event(task, "done", self._result(task), worker="w")]
        if kind == "full":
            return [Event(task, "failed", reason="No space on w.", fatal=True)]
        begun = kind != "waiting"
        return [Event(task, "failed" if kind == "failed" else "lost", reason=kind, begun=begun)]

    def _result(self, task: Task) -> Result:
        if self.interrupted:
            return Result(stopped=True)
        if task.step == "track" and self.segments:
            return Result(segments=tuple(split(float(self.segments), 1.0)))
        return Result(frames=2, seconds=0.1) if task.step == "infer" else DONE

    def interrupt(self) -> None:
        self.interrupted = True

    def num_workers(self) -> int:
        return 1

    def frames_in_work(self) -> int:
        return 0


def videos(count: int) -> list[tuple[NamedSource, bool]]:
    return [(NamedSource(f"v{i}.mp4", f"v{i}"), False) for i in range(count)]


@pytest.mark.parametrize(
    ("outcomes", "failure", "tries"),
    [
        ([], None, 1),
        (["failed", "failed"], None, 3),
        (["failed", "failed", "failed"], "failed", 3),
        (["lost", "lost", "lost"], None, 4),
        (["lost"] * 4, "lost; this happened 4 times", 4),
        (["waiting"] * 10, None, 11),  # not begun: not to blame
        (["failed", "lost", "failed", "lost"], None, 5),
    ],
    ids=str,
)
def test_tries(outcomes, failure, tries) -> None:
    engine = Scripted({("v1", "track"): list(outcomes)})
    scheduler = Scheduler(videos(3), engine, QUICK)
    ended = scheduler.run(threading.Event())
    assert sorted(o.source.name for o in ended) == ["v0", "v1", "v2"]
    assert {o.source.name: o.failure for o in ended}["v1"] == failure
    own = [entry for entry in engine.log if entry[0] == "v1"]
    assert len(own) == tries
    assert [overwrite for _, _, overwrite in own] == [False] + [True] * (tries - 1)


def test_pauses_double() -> None:
    patience = Patience(pause_s=2, longest_pause_s=10)
    assert [patience.pause(n) for n in (1, 2, 3, 4)] == [2, 4, 8, 10]


def test_segments_come_before_new_videos_and_joining_first() -> None:
    engine = Scripted(segments=3, most=1)
    scheduler = Scheduler(videos(2), engine, QUICK)
    scheduler.run(threading.Event())
    steps = [(name, step) for name, step, _ in engine.log]
    each = ["track", "infer", "infer", "infer", "join"]
    assert steps == [("v0", step) for step in each] + [("v1", step) for step in each]
    assert scheduler.videos[0].frames == 7
    assert {n: (w.tasks, w.frames) for n, w in scheduler.workers.items()} == {"w": (10, 14)}
    assert scheduler.videos[0].outcome.report.seconds == pytest.approx(0.4)


def test_a_segment_that_fails_gives_up_its_video_once() -> None:
    engine = Scripted({("v0", "infer"): ["failed"] * 20}, most=3, segments=4)
    scheduler = Scheduler(videos(2), engine, QUICK)
    ended = scheduler.run(threading.Event())
    assert [(o.source.name, o.failure) for o in ended] == [("v0", "failed"), ("v1", None)]


def test_a_full_disk_ends_all() -> None:
    engine = Scripted({("v0", "track"): ["full"]})
    with pytest.raises(VepeError, match="No space on w"):
        Scheduler(videos(3), engine, QUICK).run(threading.Event())


def test_stop_begins_nothing_more() -> None:
    engine, stop = Scripted(), threading.Event()
    scheduler = Scheduler(videos(9), engine, QUICK, on_done=lambda outcome: stop.set())
    ended = scheduler.run(stop)
    assert engine.interrupted
    assert len(engine.log) <= 3
    assert len(ended) == 1


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_of_losses_ends_every_video(seed: int) -> None:
    rng = random.Random(seed)
    kinds = ["done", "failed", "lost", "waiting"]
    script = {
        (f"v{i}", step): rng.choices(kinds, weights=(4, 1, 2, 2), k=rng.randrange(6))
        for i in range(12)
        for step in ("track", "infer", "join")
    }
    engine = Scripted(script, most=rng.randrange(1, 6), segments=rng.choice([0, 2, 5]))
    scheduler = Scheduler(videos(12), engine, QUICK)
    monitor = Monitor(scheduler, engine, {f"v{i}": float(i) for i in range(12)})
    ended = scheduler.run(threading.Event())
    assert sorted(o.source.name for o in ended) == sorted(f"v{i}" for i in range(12))
    assert all((o.report is None) != (o.failure is None) for o in ended)
    assert sum(monitor.counts()) == 12
    assert monitor.share == 1


def test_the_line_of_a_run() -> None:
    engine = Scripted({("v1", "track"): ["failed"] * 3})
    scheduler = Scheduler(videos(3), engine, QUICK)
    monitor = Monitor(scheduler, engine, {"v0": 1.0, "v1": 1.0, "v2": 0.0})
    assert monitor.line().startswith("0 of 3 videos, 0 videos/h, 0.0 frames/s, 1 workers")
    scheduler.run(threading.Event())
    monitor.end()
    assert monitor.line().startswith("3 of 3 videos, ")
    assert monitor.line().endswith("1 workers, 1 failed")
    assert monitor.frames == 2


def test_in_process_runs_real_tasks(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    for i, length in enumerate((4, 60, 5)):
        write_clip(clips / f"v{i}.mp4", length, seed=i)
    (clips / "broken.mp4").write_bytes(b"no video")
    for folder, segment_s in (("whole", None), ("parts", 1.0)):
        shared = shared_settings(tmp_path / folder)
        plan = plan_batch(list_sources([str(clips)]).sources, shared, resume=True)
        worker = Worker(WorkSettings(shared, stand_in_predictor, segment_s))
        ended = Scheduler(plan.todo, InProcess(worker.do)).run(threading.Event())
        assert [o.failure is None for o in ended] == [False, True, True, True]
        again = plan_batch(list_sources([str(clips)]).sources, shared, resume=True)
        assert [source.name for source, _ in again.todo] == ["broken"]
    assert results_of(tmp_path / "whole") == results_of(tmp_path / "parts")


def test_disk_is_full_looks_at_causes() -> None:
    wrapped = VepeError("cannot be written")
    wrapped.__cause__ = OSError(28, "No space left on device")
    assert disk_is_full(wrapped)
    assert not disk_is_full(VepeError("other"))
