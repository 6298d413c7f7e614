"""Many videos of `vepe track`: one after the other here, or side by side on a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vepe.cli.options import nobody, prepare_device
from vepe.cli.output import echo, loading, note, shows_progress
from vepe.cli.progress import batch_progress
from vepe.cli.stop import stop_on_interrupt
from vepe.errors import BatchError, VepeError, counted

if TYPE_CHECKING:
    from vepe.cluster.monitor import Monitor
    from vepe.cluster.tasks import Result, Task
    from vepe.inference.batch import BatchPlan, Outcome, SharedSettings
    from vepe.inference.predictor import Predictor
    from vepe.inference.track_job import TrackReport
    from vepe.video.sources import SourceList

INTERRUPTED = 130
_LINE_S = 30.0
"""How often a run on a cluster says how far it is, where there is no terminal."""


@dataclass(frozen=True)
class Spread:
    """How the work is spread: the options `--on`, `--address` and so on, checked."""

    on: str | None = None
    address: str | None = None
    cpus_per_worker: int | None = None
    workers: int | None = None
    segment_s: float | None = None

    @staticmethod
    def of(on: str | None, *, show: bool, **options: Any) -> Spread:
        """Checks the options before anything is loaded. Raises VepeError."""
        spread = Spread(on, **options)
        if on not in (None, "ray"):
            raise VepeError(f"--on is '{on}'; the only kind of cluster is ray.")
        for name in ("address", "cpus_per_worker", "workers"):
            if on is None and options[name] is not None:
                raise VepeError(f"--{name.replace('_', '-')} is for clusters; add --on ray.")
        if spread.segment_s is not None and not 1 <= spread.segment_s <= 1e6:
            raise VepeError(f"--segment-s is {spread.segment_s:g}; give 1 or more seconds.")
        if spread.needed and show:
            raise VepeError("--show is for one video here; leave out --on and --segment-s.")
        if on is not None:
            from vepe.cluster.ray_session import check_ray

            check_ray()
        return spread

    @property
    def needed(self) -> bool:
        """Whether even a single video goes through the scheduler."""
        return self.on is not None or self.segment_s is not None


def load_model(name: str, *, device: str, **options: Any) -> Predictor:
    """Loads a model, here or in a worker; options as `vepe.load`."""
    from vepe.inference.predictor import load

    prepare_device(device)
    return load(name, device=device, **options)


def list_videos(arguments: Sequence[str]) -> SourceList:
    """The videos that arguments name, see `list_sources`; or those of a table, see `read_manifest`.

    Raises:
        VepeError: as these; or where a table is not given alone.
    """
    from vepe.cluster.manifest import is_manifest, read_manifest
    from vepe.video.sources import list_sources

    tables = [argument for argument in arguments if is_manifest(argument)]
    if not tables:
        return list_sources(arguments)
    if len(arguments) > 1:
        raise VepeError(f"The table '{tables[0]}' names all videos; give it alone.")
    return read_manifest(Path(tables[0]))


def track_many(
    plan: BatchPlan,
    settings: SharedSettings,
    model: str,
    load: Callable[[str], Predictor],
    spread: Spread,
) -> None:
    """Tracks all videos of a call, and lists those that failed at the end.

    Args:
        plan, settings: what to do.
        model: name of the weights.
        load: loads them; it can be pickled.
        spread: where.

    Raises:
        BatchError: if some failed, or lack a part.
    """
    begun_s = time.monotonic()
    outcomes: list[Outcome] = []
    if plan.todo:
        run = _here if spread.on is None else _on_ray
        outcomes = run(plan, settings, model, load, spread)
    _print_summary(plan, outcomes, time.monotonic() - begun_s)
    problems = [outcome for outcome in outcomes if outcome.problem]
    for outcome in problems:
        what = "Failed" if outcome.report is None else "Incomplete"
        echo(f"vepe: {what}: {outcome.problem}", err=True)
    if len(outcomes) < len(plan.todo) or any(o.report and o.report.stopped for o in outcomes):
        raise typer.Exit(INTERRUPTED)
    if problems:
        raise BatchError(
            f"{len(problems)} of {counted(len(plan.todo) + len(plan.done), 'video')} failed or "
            "lack a part; repeat the command with --resume to try what is not done."
        )


def _here(
    plan: BatchPlan,
    settings: SharedSettings,
    model: str,
    load: Callable[[str], Predictor],
    spread: Spread,
) -> list[Outcome]:
    """One video after the other, in this process."""
    from vepe.cluster.engine import InProcess
    from vepe.cluster.scheduler import Scheduler
    from vepe.cluster.tasks import WorkSettings
    from vepe.cluster.worker import Hooks, Worker

    with loading(settings.info.model):
        worker = Worker(WorkSettings(settings, partial(load, model), spread.segment_s))
    sources = [source for source, _ in plan.todo]
    try:
        with stop_on_interrupt() as stop, batch_progress(sources) as bar:
            hooks = Hooks(bar.opened, bar.frames, stop)

            def do(task: Task) -> Result:
                if task.step == "track":
                    bar.begin(task.source)
                return worker.do(task, hooks)

            def on_done(outcome: Outcome) -> None:
                bar.end()
                if outcome.report is not None:
                    print_report(outcome.report, settings)

            return Scheduler(plan.todo, InProcess(do), on_done=on_done).run(stop)
    finally:
        worker.close()


def _on_ray(
    plan: BatchPlan,
    settings: SharedSettings,
    model: str,
    load: Callable[[str], Predictor],
    spread: Spread,
) -> list[Outcome]:
    """Side by side, on a cluster."""
    from vepe.cluster.ray_engine import WorkerSize
    from vepe.cluster.ray_run import RayOptions, track_on_ray
    from vepe.cluster.tasks import WorkSettings

    path = Path(model)
    everywhere = str(path.absolute()) if path.is_file() else model
    options = RayOptions(
        spread.address, WorkerSize(spread.cpus_per_worker, spread.workers), spread.segment_s
    )

    def on_done(outcome: Outcome) -> None:
        for warning in outcome.report.warnings if outcome.report else ():
            echo(f"vepe: {warning}", err=True)

    with stop_on_interrupt() as stop, _live_line() as watch:
        outcomes, page = track_on_ray(
            plan,
            WorkSettings(settings, partial(load, everywhere)),
            options,
            model=everywhere,
            stop=stop,
            on_done=on_done,
            watch=watch,
        )
    note(f"Report: {page}")
    return outcomes


@contextmanager
def _live_line() -> Iterator[Callable[[Monitor], None]]:
    """Shows how far a run is: a line that changes on terminals, else one every half minute."""
    if shows_progress():
        from rich.console import Console

        with Console(stderr=True).status("Starting the workers ...") as status:
            yield lambda monitor: status.update(monitor.line())
        return
    last_s = time.monotonic()

    def say(monitor: Monitor) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= _LINE_S:
            last_s = time.monotonic()
            note(monitor.line(), err=True)

    yield say


def print_report(report: TrackReport, settings: SharedSettings) -> None:
    """What was detected, how fast, and where the results are."""
    for warning in report.warnings:
        echo(f"vepe: {warning}", err=True)
    if not report.frames:
        note("Stopped before the first frame was finished; nothing was written.")
        return
    mean = report.people / report.frames
    note(
        f"{counted(report.frames, 'frame')}{' (stopped early)' if report.stopped else ''}, "
        f"{mean:.1f} people per frame, {counted(report.track_ids, 'id')}, "
        f"{report.fps:.1f} frames/s: " + ", ".join(str(path) for path in report.paths)
    )
    if not report.people:
        note(f"vepe: {nobody(settings.info.options['conf'], settings.info.model)}", err=True)


def _print_summary(plan: BatchPlan, outcomes: list[Outcome], seconds: float) -> None:
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    frames = sum(report.frames for report in reports)
    parts = [f"{len(reports)} of {counted(len(plan.todo) + len(plan.done), 'video')} tracked"]
    if plan.done:
        parts.append(f"{len(plan.done)} skipped, since they were done")
    if failed := len(outcomes) - len(reports):
        parts.append(f"{failed} failed")
    if left := len(plan.todo) - len(outcomes):
        parts.append(f"{left} not begun; add --resume to continue")
    note(f"{', '.join(parts)}: {counted(frames, 'frame')} in {seconds:.0f} s")
