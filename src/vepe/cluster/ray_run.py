"""Tracks the videos of a plan on Ray."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vepe import __version__
from vepe.cluster.monitor import Monitor
from vepe.cluster.ray_engine import RayEngine, WorkerSize
from vepe.cluster.ray_session import ray_session
from vepe.cluster.ray_worker import WorkerCheck
from vepe.cluster.run_report import write_page, write_table
from vepe.cluster.scheduler import Patience, Scheduler
from vepe.cluster.segment_files import RUN_FOLDER
from vepe.cluster.tasks import WorkSettings
from vepe.errors import VepeError
from vepe.inference.batch import BatchPlan, Outcome, SharedSettings
from vepe.video.sources import NamedSource, size_of

_TABLE_S = 60.0


@dataclass(frozen=True)
class RayOptions:
    """Where the work is done.

    Attributes:
        address: of the cluster, as `ray_session` takes it; None starts a Ray on this machine.
        size: of the workers.
        segment_s: longest segment of a video in seconds; None divides none.
        patience: how often a video is tried.
    """

    address: str | None = None
    size: WorkerSize = WorkerSize()  # noqa: RUF009 - it is frozen
    segment_s: float | None = None
    patience: Patience = Patience()  # noqa: RUF009


Watch = Callable[[Monitor], None]
"""Called at least twice per second while the work is done."""


def track_on_ray(
    plan: BatchPlan,
    work: WorkSettings,
    options: RayOptions,
    *,
    model: str | None,
    stop: threading.Event,
    on_done: Callable[[Outcome], None] = lambda outcome: None,
    watch: Watch = lambda monitor: None,
) -> tuple[list[Outcome], Path]:
    """Tracks the videos of a plan on a cluster.

    Results are those of one machine, and lie in the same folder, which all machines must share. So
    whatever is lost on the way, the plan of the same call holds only what is not done.

    Args:
        plan: what to do.
        work: what all videos share. Paths are made absolute here.
        options: where, and how.
        model: name of the weights, which every machine must have; None: not checked.
        stop: ends the work; running videos are written as far as they are.
        on_done: called after each video.
        watch: called while the work is done.

    Returns:
        What became of the videos, and the path of the report page.

    Raises:
        VepeError: where there is no such cluster, no worker can start, or the disk is full. What
            was done until then is kept.
    """
    shared = absolute_paths(work.shared)
    work = replace(work, shared=shared, segment_s=options.segment_s)
    todo = [(_absolute(source), overwrite) for source, overwrite in plan.todo]
    weights = {source.name: float(size_of(source)) for source, _ in todo}
    todo.sort(key=lambda entry: -weights[entry[0].name])
    folder = shared.job.folder
    with ExitStack() as stack:
        token = stack.enter_context(result_token(folder))
        ray = stack.enter_context(ray_session(options.address))
        check = WorkerCheck(__version__, model, shared.info.weights_sha256, token)
        engine = RayEngine(ray, work, check, options.size)
        written_s = 0.0

        def on_poll() -> None:
            nonlocal written_s
            if monitor.sample() and monitor.seconds - written_s > _TABLE_S:
                written_s = monitor.seconds
                write_table(folder, scheduler.videos, plan.done)
            watch(monitor)

        scheduler = Scheduler(todo, engine, options.patience, on_done=on_done, on_poll=on_poll)
        monitor = Monitor(scheduler, engine, weights, len(plan.done))
        try:
            outcomes = scheduler.run(stop)
        finally:
            monitor.end()
            with suppress(VepeError):  # a full disk is reported by what filled it
                write_table(folder, scheduler.videos, plan.done)
    about = {
        "model": shared.info.model,
        "VEPE": __version__,
        "Ray": ray.__version__,
        "cluster": options.address or "this machine",
        "CPU cores and GPUs of a worker": f"{engine.cpus}, {engine.gpus}",
        "longest segment": "none" if options.segment_s is None else f"{options.segment_s:g} s",
        "options": {k: v for k, v in shared.info.options.items() if v is not None},
    }
    page = write_page(folder, monitor, about=about, notes=engine.notes, lost=engine.lost)
    return outcomes, page


def absolute_paths(shared: SharedSettings) -> SharedSettings:
    """The settings with a folder that is the same for all processes."""
    return replace(shared, job=replace(shared.job, folder=shared.job.folder.absolute()))


def _absolute(source: NamedSource) -> NamedSource:
    path = source.path
    return source if path is None else replace(source, source=str(path.absolute()))


@contextmanager
def result_token(folder: Path) -> Iterator[Path]:
    """A file by which workers see that the folder is theirs, too."""
    path = folder / RUN_FOLDER / f".token-{uuid.uuid4().hex}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise VepeError(
            f"The folder '{folder}' cannot be written to ({error.strerror}); check its rights and "
            "the free space, or give another: -o DIR."
        ) from error
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink()
