"""Workers as actors of Ray: one model for each GPU, or for some CPU cores.

Only tasks, reports and numbers travel through Ray. Where tasks are short, each worker has one that
waits, so that it does not idle while the driver is busy; a long task must not keep others waiting
while there are idle workers. A worker that dies is replaced.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from vepe.cluster.ray_worker import QUESTIONS, RayWorker, WorkerCheck, WorkerReport
from vepe.cluster.tasks import Event, Task, Work
from vepe.errors import VepeError

SHORT_S = 1.0
"""Tasks that take less on average are sent ahead."""
_LOOK_S = 2.0
"""How often the size of the cluster and the progress of the workers are looked at."""
_CLOSE_S = 10.0
_PROGRESS_PER_S = 500
"""At most so many workers are asked for their progress per second."""


@dataclass(frozen=True)
class WorkerSize:
    """What Ray reserves for a worker, and how many there are at most.

    Attributes:
        cpus: CPU cores, and threads of its network; None: 1, or with GPUs an even share.
        most: number of workers; None: as many as the cluster has room for.
    """

    cpus: int | None = None
    most: int | None = None


@dataclass(eq=False)
class _Member:
    """A worker: its tasks in order, the first of which is in work."""

    actor: Any
    ready: Any  # reference of its report; None once it has come
    name: str = "a worker that was starting"
    tasks: deque[tuple[Any, Task]] = field(default_factory=deque)
    progress: Any = None
    frames: int = 0


class RayEngine:
    """An `Engine` on a Ray cluster.

    Args:
        ray: the connected module, see `ray_session`.
        work: of all tasks; paths in it must be those of all machines.
        check: what every worker must find, or it is left out.
        size: of the workers.

    Attributes:
        notes: sentences about workers that were left out.
        lost: number of workers that died.

    Raises:
        VepeError: where the cluster has no room for a single worker.
    """

    def __init__(self, ray: Any, work: Work, check: WorkerCheck, size: WorkerSize) -> None:
        self._ray = ray
        self._settings = ray.put((work, check))
        self._uses_gpu = work.uses_gpu
        self._members: list[_Member] = []
        self._size = size
        self._refused = 0
        self._failed_starts = 0
        self._typical_s = 2 * SHORT_S
        self._looked_s = -_LOOK_S
        self.notes: list[str] = []
        self.lost = 0
        self.cpus, self.gpus = self._resources()
        if not self._target():
            total = ray.cluster_resources().get("CPU", 0)
            raise VepeError(
                f"The cluster has {total:g} CPU cores, too few for a worker of {self.cpus}; give "
                "a smaller --cpus-per-worker."
            )
        self._look()

    def room(self) -> int:
        depth = 2 if self._typical_s < SHORT_S else 1
        return sum(max(0, depth - len(m.tasks)) for m in self._members if m.ready is None)

    def submit(self, task: Task) -> None:
        free = [m for m in self._members if m.ready is None]
        member = min(free, key=lambda m: len(m.tasks))
        member.tasks.append((member.actor.do.remote(task), task))

    def wait(self, timeout_s: float) -> list[Event]:
        self._look()
        owners: dict[Any, _Member] = {}
        for member in self._members:
            references = [member.ready, member.progress, *(ref for ref, _ in member.tasks)]
            owners.update({ref: member for ref in references if ref is not None})
        if not owners:
            time.sleep(timeout_s)
            return []
        # One that is over wakes the driver; then all that are over are taken together.
        over, _ = self._guarded(self._ray.wait, list(owners), num_returns=1, timeout=timeout_s)
        if over:
            over, _ = self._guarded(
                self._ray.wait, list(owners), num_returns=len(owners), timeout=0
            )
        events: list[Event] = []
        for reference in over:
            if owners[reference] in self._members:
                events += self._take(owners[reference], reference)
        return events

    def interrupt(self) -> None:
        for member in self._members:
            member.actor.interrupt.options(concurrency_group=QUESTIONS).remote()

    def num_workers(self) -> int:
        return sum(m.ready is None for m in self._members)

    def frames_in_work(self) -> int:
        return sum(member.frames for member in self._members)

    def close(self) -> None:
        """Lets idle workers remove what they hold on their machines. Raises nothing."""
        with suppress(Exception):  # the cluster may be gone
            closed = [m.actor.close.remote() for m in self._members if not (m.ready or m.tasks)]
            if closed:
                self._ray.wait(closed, num_returns=len(closed), timeout=_CLOSE_S)

    def _take(self, member: _Member, reference: Any) -> list[Event]:
        try:
            value = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            return self._bury(member, error)
        except self._ray.exceptions.RayError as error:
            raise _lost_cluster(error) from None
        if reference == member.ready:
            self._welcome(member, value)
        elif reference == member.progress:
            member.frames, member.progress = value, None
        else:
            position = [ref for ref, _ in member.tasks].index(reference)
            del member.tasks[position]
            member.frames = 0
            if value.kind == "done":
                seconds = value.result.seconds
                self._typical_s += 0.2 * (min(seconds, 1e6) - self._typical_s)
            return [value]
        return []

    def _welcome(self, member: _Member, report: WorkerReport) -> None:
        member.ready, member.name = None, report.name
        self._failed_starts = 0
        if report.problem is None:
            return
        self._members.remove(member)
        self._ray.kill(member.actor)
        self._refused += 1
        self.notes.append(f"The worker {report.name} was left out: {report.problem}")
        if not self._target():
            raise VepeError(report.problem)

    def _bury(self, member: _Member, error: Exception) -> list[Event]:
        """The tasks of a worker that died; another one takes its place at the next look."""
        self._members.remove(member)
        self._ray.kill(member.actor)  # it may only be out of reach
        if member.ready is not None:
            self._failed_starts += 1
            if self._failed_starts > 3 + self._target():
                raise _cannot_start(error)
        self.lost += 1
        self._looked_s = -_LOOK_S
        reason = f"its worker ({member.name}) died, for lack of memory or with its machine"
        return [
            Event(task, "lost", reason=reason, begun=i == 0, worker=member.name)
            for i, (_, task) in enumerate(member.tasks)
        ]

    def _look(self) -> None:
        """Starts workers where there is room for more, and asks those at work how far they are."""
        now = time.monotonic()
        if now - self._looked_s < max(_LOOK_S, len(self._members) / _PROGRESS_PER_S):
            return
        self._looked_s = now
        for _ in range(self._target() - len(self._members)):
            actor = (
                self._ray.remote(concurrency_groups={QUESTIONS: 1})(RayWorker)
                .options(num_cpus=self.cpus, num_gpus=self.gpus)
                .remote(self._settings, self.cpus)
            )
            self._members.append(_Member(actor, actor.ready.remote()))
        for member in self._members:
            if member.tasks and member.ready is None and member.progress is None:
                member.progress = member.actor.frames.options(concurrency_group=QUESTIONS).remote()

    def _target(self) -> int:
        """How many workers there should be: as many as fit on the living machines."""
        if self._size.most is not None:
            return max(0, self._size.most - self._refused)
        nodes = self._guarded(self._ray.nodes)
        fit = 0
        for node in nodes:
            resources = node["Resources"] if node["Alive"] else {}
            slots = int(resources.get("CPU", 0) // self.cpus)
            if self.gpus:
                slots = min(slots, int(resources.get("GPU", 0) // self.gpus))
            fit += slots
        return max(0, fit - self._refused)

    def _resources(self) -> tuple[int, int]:
        """CPU cores and GPUs of a worker."""
        total = self._guarded(self._ray.cluster_resources)
        gpus = int(total.get("GPU", 0)) if self._uses_gpu else 0
        share = int(total.get("CPU", 1) // gpus) if gpus else 1
        return self._size.cpus or max(1, share), int(gpus > 0)

    def _guarded(self, call: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except (self._ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
            raise _lost_cluster(error) from None


def _lost_cluster(error: Exception) -> VepeError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return VepeError(
        f"The connection to the Ray cluster was lost ({reason[:200]}); what is done is kept: "
        "repeat the command with --resume."
    )


def _cannot_start(error: Exception) -> VepeError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return VepeError(
        f"No worker can start on the cluster ({reason[:300]}); install the same versions of VEPE, "
        "Python and Ray on all machines."
    )
