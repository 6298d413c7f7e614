"""Parts of a data set as tasks: what becomes of those that are made, fail, or are stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vepe.cluster.engine import InProcess
from vepe.cluster.monitor import Monitor
from vepe.cluster.parts import PartWork
from vepe.cluster.scheduler import Scheduler
from vepe.cluster.tasks import Hooks, Task
from vepe.errors import VepeError

NAMES = {"a": 3, "b": 5, "c": 8}


def test_parts_are_made_by_number() -> None:
    made = []

    def make(number: int, stopped: Callable[[], bool]) -> int:
        if number == 5:
            raise VepeError("Part 5 is damaged; copy it again.")
        made.append(number)
        return 10 * number

    work = PartWork(NAMES, lambda: make)
    engine = InProcess(work.open().do)
    scheduler = Scheduler(work.todo(), engine)
    monitor = Monitor(scheduler, engine, dict.fromkeys(NAMES, 1.0), skipped=1, what="shards")
    outcomes = scheduler.run(threading.Event())
    assert made == [3, 8]
    assert {o.source.name: o.problem for o in outcomes} == {
        "a": None, "b": "Part 5 is damaged; copy it again.", "c": None,
    }  # fmt: skip
    assert monitor.frames == 110
    assert monitor.line().startswith("3 of 3 shards, ")
    assert not work.uses_gpu


def test_stopped_parts_are_not_done() -> None:
    stop = threading.Event()

    def make(number: int, stopped: Callable[[], bool]) -> int | None:
        stop.set()
        return None if stopped() else 1

    worker = PartWork(NAMES, lambda: make).open()
    (task, *_) = [Task(source, overwrite) for source, overwrite in PartWork(NAMES, list).todo()]
    for _ in range(2):  # while it is made, and before
        result = worker.do(task, Hooks(stop=stop))
        assert (result.stopped, result.report) == (True, None)
