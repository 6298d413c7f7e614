"""Trials in processes of their own: one fault each, judged right or wrong.

A kind is a function that takes a `Trial`, draws a fault from its random generator, commits it, and
raises `WrongError` where VEPE's answer is not right. The parent process has loaded everything and
only forks, so a trial costs little, and a crash, a hang or memory that grows is the trial's alone.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from samples import Samples

CPU_LIMIT_S = 40
WALL_LIMIT_S = 300
"""Longer than a trial takes on a machine with eight times as much work as cores."""
MEMORY_LIMIT = 1_500_000_000
"""Bytes that a trial may take beyond what its parent has."""


class WrongError(Exception):
    """What is wrong with the answer to a fault."""


@dataclass
class Trial:
    """One fault.

    Attributes:
        rng, numpy_rng: everything random comes from these.
        folder: an empty folder of its own, the working directory.
        samples: valid inputs, which must not be changed.
        title: what was tried, for the report.
    """

    rng: random.Random
    numpy_rng: np.random.Generator
    folder: Path
    samples: Samples
    title: str = ""

    def say(self, title: str) -> None:
        """Sets the title; also known to the parent if this process dies."""
        self.title = title
        (self.folder.parent / "title").write_text(title, "utf-8", "backslashreplace")


Kind = Callable[[Trial], None]


@dataclass(frozen=True)
class Verdict:
    """The outcome of a trial; `wrong` is empty if it was right."""

    kind: str
    number: int
    title: str
    wrong: str
    cpu_s: float


@dataclass
class _Running:
    kind: str
    number: int
    folder: Path
    begun: float = field(default_factory=time.monotonic)


def run_trials(
    kinds: dict[str, Kind], plan: Iterable[tuple[str, int]], seed: int, samples: Samples, jobs: int
) -> Iterator[Verdict]:
    """The verdicts on all planned trials (kind and number), as they come."""
    running: dict[int, _Running] = {}
    todo = iter(plan)
    finished = False
    while running or not finished:
        while not finished and len(running) < jobs:
            entry = next(todo, None)
            if entry is None:
                finished = True
                break
            kind, number = entry
            folder = Path(tempfile.mkdtemp(prefix="vepe-fault-"))
            job = _Running(kind, number, folder)
            running[_start(kinds[kind], job, seed, samples)] = job
        for pid in list(running):
            verdict = _poll(pid, running[pid])
            if verdict is not None:
                shutil.rmtree(running.pop(pid).folder, ignore_errors=True)
                yield verdict
        time.sleep(0.005)


def _start(kind: Kind, job: _Running, seed: int, samples: Samples) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    try:
        _in_child(kind, job, seed, samples)
    finally:
        os._exit(0)


def _in_child(kind: Kind, job: _Running, seed: int, samples: Samples) -> None:
    folder = job.folder / "trial"
    folder.mkdir()
    os.chdir(folder)
    os.environ["VEPE_CACHE"] = str(job.folder / "cache")
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 5))
    rng = random.Random(f"{seed}/{job.kind}/{job.number}")
    numpy_rng = np.random.default_rng(rng.getrandbits(64))
    wrong = ""
    try:
        kind(Trial(rng, numpy_rng, folder, samples))
    except WrongError as error:
        wrong = str(error) or "wrong"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        wrong = f"{type(error).__name__} at {place}: {error}"
    (job.folder / "verdict").write_text(wrong[:3000], encoding="utf-8", errors="replace")


def _poll(pid: int, job: _Running) -> Verdict | None:
    seconds = time.monotonic() - job.begun
    done, status, usage = os.wait4(pid, os.WNOHANG)
    late = not done and seconds > WALL_LIMIT_S
    if not done and not late:
        return None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # also what it started and left
    if late:
        os.waitpid(pid, 0)
    title, verdict = job.folder / "title", job.folder / "verdict"
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if late:
        wrong = f"hangs: not done after {WALL_LIMIT_S} s"
    elif os.WIFSIGNALED(status):
        wrong = f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
        wrong += f" (limit of {CPU_LIMIT_S} s)" if os.WTERMSIG(status) == signal.SIGXCPU else ""
    elif not verdict.exists():
        wrong = "died without a verdict"
    else:
        wrong = verdict.read_text(encoding="utf-8", errors="replace")
        grown = (usage.ru_maxrss - own) * 1024
        if not wrong and grown > MEMORY_LIMIT:
            wrong = f"took {grown / 1e6:.0f} MB"
    name = title.read_text(encoding="utf-8") if title.exists() else ""
    cpu_s = 0.0 if late else usage.ru_utime + usage.ru_stime
    return Verdict(job.kind, job.number, name, wrong, cpu_s)
