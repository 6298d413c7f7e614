"""What a run leaves next to its results: a table of all videos, and a page that sums it up."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from vepe.cluster.monitor import Monitor
from vepe.cluster.scheduler import VideoRun, WorkerTotals
from vepe.cluster.segment_files import RUN_FOLDER
from vepe.errors import printable
from vepe.formats.files import replacing
from vepe.video.sources import NamedSource

COLUMNS = (
    "source", "name", "state", "frames", "worker_s", "segments", "seams", "seams_that_agree",
    "attempts", "lost_workers", "worker", "reason",
)  # fmt: skip
_MOST_ROWS = 200

_TEMPLATE = """
<h1>{{ title }}</h1>
{{ cards(numbers) }}
{% if chart %}<h2>Frames</h2>{{ chart }}{% endif %}
{% if notes %}<h2>Notes</h2>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}
{% if failed %}<h2>Failed</h2>{{ text_table([item, "Tries", "Reason"], failed) }}{% endif %}
{% if workers %}<h2>Workers</h2>
{{ table(["Worker", "Tasks", "Frames", "Busy, s", "Share of the time"], workers) }}{% endif %}
{% if divided %}<h2>Divided videos</h2>
<p>A seam is the end of a segment; the poses on both sides should agree.</p>
{{ table(["Video", "Segments", "Seams", "That agree", "Frames"], divided) }}{% endif %}
{% if slowest %}<h2>Slowest {{ what }}</h2>
{{ table([item, "Frames", "Worker, s", "Worker frames/s"], slowest) }}{% endif %}
<h2>Run</h2>
{{ text_table([], about) }}
"""


def write_table(folder: Path, videos: Sequence[VideoRun], done: Sequence[NamedSource]) -> Path:
    """Writes `vepe_run/videos.csv` with a row for each video, and returns its path.

    Args:
        folder: of the results.
        videos: of this run.
        done: those that were done before.

    Raises:
        VepeError: where it cannot be written.
    """
    path = folder / RUN_FOLDER / "videos.csv"
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for source in done:
            row = [printable(source.source), source.name, "done before"]
            writer.writerow([*row, *[""] * (len(COLUMNS) - 3)])
        for video in videos:
            writer.writerow(_row(video))
    return path


def _row(video: VideoRun) -> list[object]:
    outcome = video.outcome
    report = outcome.report if outcome else None
    state = "not done" if outcome is None else "failed"
    if report is not None:
        state = "stopped" if report.stopped else "incomplete" if report.incomplete else "done"
    return [
        printable(video.source.source),
        video.source.name,
        state,
        report.frames if report else "",
        f"{video.seconds:.3f}",
        video.segments,
        *video.seams,
        video.attempts,
        video.losses,
        video.worker,
        (outcome.problem or "") if outcome else "",
    ]


def write_page(
    folder: Path,
    monitor: Monitor,
    *,
    about: Mapping[str, object],
    notes: Sequence[str],
    lost: int,
    command: str = "vepe track",
) -> Path:
    """Writes `vepe_run/report.html` and returns its path.

    Args:
        folder: of the results.
        monitor: of the run, ended.
        about: names and values for the end of the page, such as model and cluster.
        notes: sentences.
        lost: number of workers that died.
        command: what was run.

    Raises:
        VepeError: where it cannot be written.
    """
    from vepe.viz.html_page import render_page

    videos, seconds = monitor.scheduler.videos, monitor.seconds
    done, failed = monitor.counts()
    frames = sum(v.outcome.report.frames for v in videos if v.outcome and v.outcome.report)
    numbers = [
        (f"{monitor.what} done", done),
        ("failed", failed),
        ("done before", monitor.skipped),
        ("frames", frames),
        ("time", _duration(seconds)),
        (f"{monitor.what}/h", f"{3600 * done / max(seconds, 1e-3):.0f}"),
        ("frames/s", f"{frames / max(seconds, 1e-3):.1f}"),
        ("workers", monitor.most_workers),
        ("workers lost", lost),
    ]
    failures = [
        (v.source.source, v.attempts + v.losses, v.outcome.problem)
        for v in videos
        if v.outcome and v.outcome.problem
    ]
    divided = [(v.source.name, v.segments, *v.seams, v.frames) for v in videos if v.segments]
    slowest = sorted((v for v in videos if v.frames), key=lambda v: -v.seconds)[:10]
    path = folder / RUN_FOLDER / "report.html"
    text = render_page(
        _TEMPLATE,
        title=f"{command}: {len(videos) + monitor.skipped} {monitor.what}",
        what=monitor.what,
        item=monitor.what.removesuffix("s").capitalize(),
        numbers=numbers,
        chart=_chart(monitor),
        notes=list(notes),
        failed=failures[:_MOST_ROWS],
        workers=_workers(monitor.scheduler.workers, seconds)[:_MOST_ROWS],
        divided=divided[:_MOST_ROWS],
        slowest=[
            (v.source.name, v.frames, f"{v.seconds:.1f}", f"{v.frames / max(v.seconds, 1e-3):.1f}")
            for v in slowest
        ],
        about=[(name, str(value)) for name, value in about.items()],
    )
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _chart(monitor: Monitor) -> str:
    """Frames over time, where matplotlib is installed."""
    if find_spec("matplotlib") is None or not monitor.samples[-1][1]:
        return ""
    from vepe.viz.plots import line_chart

    times = [seconds for seconds, _, _ in monitor.samples]
    frames = [float(count) for _, count, _ in monitor.samples]
    return line_chart("Frames that are done", {"frames": (times, frames)}, x_label="seconds")


def _workers(workers: Mapping[str, WorkerTotals], seconds: float) -> list[tuple[object, ...]]:
    return [
        (
            name,
            worker.tasks,
            worker.frames,
            f"{worker.seconds:.1f}",
            f"{100 * worker.seconds / max(seconds, 1e-3):.0f} %",
        )
        for name, worker in sorted(workers.items())
    ]


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
