"""Tracks the videos of a plan, or makes the parts of a data set, on Ray."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vepe import __version__
from vepe.cluster.monitor import Monitor
from vepe.cluster.parts import PartWork
from vepe.cluster.ray_engine import RayEngine, WorkerSize
from vepe.cluster.ray_session import ray_session
from vepe.cluster.ray_worker import WorkerCheck
from vepe.cluster.run_report import write_page, write_table
from vepe.cluster.scheduler import Patience, Scheduler
from vepe.cluster.segment_files import RUN_FOLDER
from vepe.cluster.tasks import Work, WorkSettings
from vepe.errors import VepeError
from vepe.inference.batch import BatchPlan, Outcome, SharedSettings
from vepe.inference.result_store import ResultStore
from vepe.temporary_folders import temporary_folder
from vepe.video.remote_files import COPY_PREFIX
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
) -> tuple[list[Outcome], str]:
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
        What became of the videos, and the path or address of the report page.

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
    sha256 = shared.info.weights_sha256
    job = _Job("vepe track", "videos", folder, shared.store, model, sha256, plan.done)
    about = {
        "model": shared.info.model,
        "longest segment": "none" if options.segment_s is None else f"{options.segment_s:g} s",
        "options": {k: v for k, v in shared.info.options.items() if v is not None},
    }
    return _run(job, todo, work, options, weights, about, stop, on_done, watch)


def make_on_ray(
    work: PartWork,
    options: RayOptions,
    *,
    command: str,
    what: str,
    folder: Path,
    done: int,
    about: Mapping[str, object],
    stop: threading.Event,
    watch: Watch = lambda monitor: None,
) -> tuple[list[Outcome], str]:
    """Makes the parts of a data set on a cluster.

    Args:
        work: the parts that are missing. Paths in it are absolute.
        options: where, and how.
        command: that asked for it.
        what: the parts are, in the plural.
        folder: of the data set, which all machines must share.
        done: number of parts that were there before.
        about: what the report page says of the run.
        stop: ends the work; parts in work are given up.
        watch: called while the work is done.

    Returns:
        What became of the parts, and the path or address of the report page.

    Raises:
        VepeError: as `track_on_ray`.
    """
    job = _Job(command, what, folder.absolute(), num_done=done)
    weights = dict.fromkeys(work.names, 1.0)
    return _run(job, work.todo(), work, options, weights, about, stop, lambda outcome: None, watch)


@dataclass(frozen=True)
class _Job:
    """What a run is about: its command, what it makes in which folder or store, what workers must
    have, and what was done before."""

    command: str
    what: str
    folder: Path
    store: ResultStore | None = None
    model: str | None = None
    sha256: str | None = None
    done: Sequence[NamedSource] = ()
    num_done: int = 0


def _run(
    job: _Job,
    todo: Sequence[tuple[NamedSource, bool]],
    work: Work,
    options: RayOptions,
    weights: Mapping[str, float],
    about: Mapping[str, object],
    stop: threading.Event,
    on_done: Callable[[Outcome], None],
    watch: Watch,
) -> tuple[list[Outcome], str]:
    with ExitStack() as stack:
        folder, store = job.folder, job.store
        if store is not None:
            folder = stack.enter_context(temporary_folder(COPY_PREFIX))
        token = stack.enter_context(result_token(folder, store))
        ray = stack.enter_context(ray_session(options.address))
        check = WorkerCheck(__version__, job.model, job.sha256, token, store)
        engine = RayEngine(ray, work, check, options.size)
        written_s = 0.0

        def write_videos() -> None:
            _publish(write_table(folder, scheduler.videos, job.done), store)

        def on_poll() -> None:
            nonlocal written_s
            if monitor.sample() and monitor.seconds - written_s > _TABLE_S:
                written_s = monitor.seconds
                write_videos()
            watch(monitor)

        scheduler = Scheduler(todo, engine, options.patience, on_done=on_done, on_poll=on_poll)
        skipped = len(job.done) + job.num_done
        monitor = Monitor(scheduler, engine, weights, skipped, job.what)
        try:
            outcomes = scheduler.run(stop)
        finally:
            monitor.end()
            engine.close()
            with suppress(VepeError):  # a full disk is reported by what filled it
                write_videos()
        about = {
            **about,
            "VEPE": __version__,
            "Ray": ray.__version__,
            "cluster": options.address or "this machine",
            "CPU cores and GPUs of a worker": f"{engine.cpus}, {engine.gpus}",
        }
        page = write_page(
            folder,
            monitor,
            about=about,
            notes=engine.notes,
            lost=engine.lost,
            command=job.command,
        )
        return outcomes, _publish(page, store)


def _publish(path: Path, store: ResultStore | None) -> str:
    """Uploads a file about the run, where results go to a store; returns where it is then."""
    if store is None:
        return str(path)
    name = f"{RUN_FOLDER}/{path.name}"
    store.put(path, name)
    return store.where(name)


def absolute_paths(shared: SharedSettings) -> SharedSettings:
    """The settings with a folder that is the same for all processes."""
    return replace(shared, job=replace(shared.job, folder=shared.job.folder.absolute()))


def _absolute(source: NamedSource) -> NamedSource:
    path = source.path
    return source if path is None else replace(source, source=str(path.absolute()))


@contextmanager
def result_token(folder: Path, store: ResultStore | None = None) -> Iterator[Path]:
    """A file by which workers see that the folder, or the store, is theirs, too."""
    name = f".token-{uuid.uuid4().hex}"
    if store is not None:
        inside = f"{RUN_FOLDER}/{name}"
        store.write(inside, b"token")
        try:
            yield Path(inside)
        finally:
            with suppress(VepeError):
                store.remove(inside)
        return
    path = folder / RUN_FOLDER / name
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
