"""Many videos of `vepe track`: one after the other here, or side by side on a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vepe.cli.options import nobody, prepare_device
from vepe.cli.output import echo, loading, note
from vepe.cli.progress import batch_progress
from vepe.cli.spread import INTERRUPTED, Spread, live_line
from vepe.cli.stop import stop_on_interrupt
from vepe.errors import BatchError, VepeError, counted

if TYPE_CHECKING:
    from vepe.cluster.tasks import Result, Task
    from vepe.inference.batch import BatchPlan, Outcome, SharedSettings
    from vepe.inference.predictor import Predictor
    from vepe.inference.track_job import TrackReport
    from vepe.video.sources import SourceList


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

    with stop_on_interrupt() as stop, live_line() as watch:
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
        f"{report.fps:.1f} frames/s: "
        + ", ".join(settings.where(path.name) for path in report.paths)
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
