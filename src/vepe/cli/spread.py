"""`--on ray`: the options of commands that spread work over a cluster, and their displays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vepe.cli.output import echo, note, shows_progress
from vepe.cli.stop import stop_on_interrupt
from vepe.errors import BatchError, VepeError, counted

if TYPE_CHECKING:
    from vepe.cluster.monitor import Monitor
    from vepe.cluster.parts import PartWork

INTERRUPTED = 130
_LINE_S = 30.0
"""How often a run on a cluster says how far it is, where there is no terminal."""

On = Annotated[
    str | None,
    typer.Option(
        metavar="ray",
        help="Spread the work over a Ray cluster; without --address, over a Ray that is started on "
        "this machine.",
        show_default=False,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="The cluster: auto, HOST:6379, or ray://HOST:10001 from outside.",
        show_default=False,
    ),
]
CpusPerWorker = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="CPU cores of a worker on the cluster.",
        show_default="1, with GPUs an even share",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of workers; more than the cluster has room for lets it grow.",
        show_default="as many as there is room for",
    ),
]


@dataclass(frozen=True)
class Spread:
    """How the work is spread: the options `--on`, `--address` and so on, checked."""

    on: str | None = None
    address: str | None = None
    cpus_per_worker: int | None = None
    workers: int | None = None
    segment_s: float | None = None

    @staticmethod
    def of(on: str | None, *, show: bool = False, **options: Any) -> Spread:
        """Checks the options before anything is loaded. Raises VepeError."""
        spread = Spread(on, **options)
        if on not in (None, "ray"):
            raise VepeError(f"--on is '{on}'; the only kind of cluster is ray.")
        for name in ("address", "cpus_per_worker", "workers"):
            if on is None and options.get(name) is not None:
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


def make_parts(
    work: PartWork,
    spread: Spread,
    *,
    command: str,
    what: str,
    folder: Path,
    done: int,
    about: Mapping[str, object],
) -> None:
    """Makes the missing parts of a data set on a cluster; nothing if none is missing.

    Args:
        work, command, what, folder, done, about: as `vepe.cluster.ray_run.make_on_ray`.
        spread: where.

    Raises:
        VepeError: where no more work is possible.
        BatchError: if some parts failed.
    """
    if not work.names:
        return
    from vepe.cluster.ray_engine import WorkerSize
    from vepe.cluster.ray_run import RayOptions, make_on_ray

    size = WorkerSize(spread.cpus_per_worker, spread.workers)
    with stop_on_interrupt() as stop, live_line() as watch:
        outcomes, page = make_on_ray(
            work,
            RayOptions(spread.address, size),
            command=command,
            what=what,
            folder=folder,
            done=done,
            about=about,
            stop=stop,
            watch=watch,
        )
    note(f"Report: {page}")
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    for outcome in failed:
        echo(f"vepe: Failed: {outcome.source.name}: {outcome.failure}", err=True)
    if len(outcomes) < len(work.names):
        raise typer.Exit(INTERRUPTED)
    if failed:
        raise BatchError(
            f"{len(failed)} of {counted(len(work.names) + done, what.removesuffix('s'))} failed; "
            "repeat the command to try what is not done."
        )


@contextmanager
def live_line() -> Iterator[Callable[[Monitor], None]]:
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
