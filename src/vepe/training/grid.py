"""Trains the runs of a grid in turn and writes their results into one table.

Every run has its own folder, with `result.json` when it is finished. A grid can be stopped and
started again at any time: finished runs are skipped, others are resumed. The table is written as
markdown, CSV and JSON.
"""

from __future__ import annotations

import csv
import gc
import io
import os
import statistics
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from vepe.config.grid import PlannedRun
from vepe.errors import VepeError
from vepe.formats.files import dump_json, load_json, replacing, write_bytes
from vepe.formats.folder_lock import locked_folder
from vepe.training.checkpoint import LAST, changed_keys
from vepe.training.run_log import LOG_NAME, metric_label, metric_names, read_log
from vepe.training.trainer import Trainer

RESULT_NAME, ERROR_NAME = "result.json", "error.txt"
Status = Literal["finished", "failed", "waiting"]


@dataclass(frozen=True)
class GridResult:
    """The result of a run.

    Attributes:
        name, seed, folder: those of the planned run.
        status: `waiting` if it has not started yet.
        metrics: of the last evaluation, in percent; None if undefined.
        loss: of the last line of the log.
        parameters: of the whole network.
        seconds: of training, over all sessions.
        steps: of the whole run.
        error: why it failed.
    """

    name: str
    seed: int
    folder: str
    status: Status
    metrics: dict[str, float | None] = field(default_factory=dict)
    loss: float | None = None
    parameters: int | None = None
    seconds: float | None = None
    steps: int | None = None
    error: str = ""


def run_grid(
    runs: Sequence[PlannedRun],
    output: Path,
    report: Callable[[str], None] = print,
    *,
    quiet: bool = False,
) -> list[GridResult]:
    """Trains all runs that are not finished, and writes the tables after each of them.

    A run that fails is named in the table, and the others continue.

    Args:
        runs: in the order of the table.
        output: folder of all runs.
        report: gets a line about each run.
        quiet: of the runs, show warnings alone.

    Raises:
        VepeError: if a finished run in `output` had another recipe, or another process runs a grid
            there.
    """
    with locked_folder(output) if _first_process() else nullcontext():
        return _run_grid(runs, output, report, quiet=quiet)


def _run_grid(
    runs: Sequence[PlannedRun], output: Path, report: Callable[[str], None], *, quiet: bool
) -> list[GridResult]:
    finished = {run.folder: finished_result(run, output / run.folder) for run in runs}
    results = [
        finished[run.folder] or GridResult(run.name, run.seed, run.folder, "waiting")
        for run in runs
    ]
    for i, run in enumerate(runs):
        title = f"{i + 1}/{len(runs)} {run.folder}"
        if results[i].status == "finished":
            report(f"{title}: already finished")
        else:
            report(f"{title}: starts")
            results[i] = _train(run, output / run.folder, quiet)
            reason = results[i].error
            report(f"{title}: {results[i].status}{f' ({reason})' if reason else ''}")
        if _first_process():
            write_tables(output, results)
    return results


def finished_result(run: PlannedRun, folder: Path) -> GridResult | None:
    """The result of a finished run; None if it is not finished.

    Raises:
        VepeError: if it had another recipe than the planned one.
    """
    path = folder / RESULT_NAME
    if not path.is_file():
        return None
    try:
        content = load_json(path)
        result = _checked(GridResult(**content["result"]))
        changed = changed_keys(content["recipe"], run.config.model_dump(mode="json"), 1, 1)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VepeError(f"'{path}' is not the result of a grid's run; remove it.") from error
    if changed:
        raise VepeError(
            f"The run in '{folder}' had another recipe ('{changed[0]}' differs); choose another "
            "output folder or remove that one."
        )
    return result


def _checked(result: GridResult) -> GridResult:
    """The result itself. Raises TypeError where a value has a type that no table can take."""
    numbers = [result.loss, result.parameters, result.seconds, result.steps]
    numbers += result.metrics.values()
    texts = (result.name, result.folder, result.status, result.error)
    if not all(n is None or type(n) in (int, float) for n in numbers):
        raise TypeError("no number")
    if type(result.seed) is not int or not all(isinstance(text, str) for text in texts):
        raise TypeError("no text")
    return result


def _train(run: PlannedRun, folder: Path, quiet: bool) -> GridResult:
    """Trains one run, resumed if it has a checkpoint."""
    try:
        trainer = Trainer(run.config, folder, resume=(folder / LAST).is_file(), quiet=quiet)
        parameters = sum(p.numel() for p in trainer.model.parameters())
        trainer.train()
        result = _result(run, folder, parameters)
    except Exception as error:  # of any type: the other runs must continue
        return _failed(run, folder, error)
    finally:
        trainer = None  # type: ignore[assignment]  # frees its memory for the next run
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    if _first_process():
        recipe = run.config.model_dump(mode="json")
        dump_json(folder / RESULT_NAME, {"result": asdict(result), "recipe": recipe})
        (folder / ERROR_NAME).unlink(missing_ok=True)
    return result


def _result(run: PlannedRun, folder: Path, parameters: int) -> GridResult:
    lines = read_log(folder / LOG_NAME) if _first_process() else []
    losses = [line["loss"] for line in lines if "loss" in line]
    metrics: list[dict[str, Any]] = [line["evaluation"] for line in lines if "evaluation" in line]
    return GridResult(
        run.name,
        run.seed,
        run.folder,
        "finished",
        metrics[-1] if metrics else {},
        losses[-1] if losses else None,
        parameters,
        lines[-1]["elapsed_s"] if lines else None,
        lines[-1]["run_step"] + 1 if lines else None,
    )


def _failed(run: PlannedRun, folder: Path, error: Exception) -> GridResult:
    """The result of a failed run; its traceback is saved as `error.txt`."""
    if isinstance(error, VepeError):
        reason = " ".join(str(error).split())
    else:
        text = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {text[0] if text else 'no message'}; see {ERROR_NAME}"
    if folder.is_dir():
        trace = "".join(traceback.format_exception(error))
        write_bytes(folder / ERROR_NAME, trace.encode("utf-8", "backslashreplace"))
    return GridResult(run.name, run.seed, run.folder, "failed", error=reason)


def _first_process() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


Cell = str | float | int | None


def write_tables(output: Path, results: Sequence[GridResult]) -> Path:
    """Writes `table.md`, `table.csv` and `table.json`; returns the first.

    Raises:
        VepeError: if the folder cannot be written.
    """
    dump_json(output / "table.json", [asdict(result) for result in results])
    _write(output / "table.csv", as_csv(results))
    return _write(output / "table.md", as_markdown(results))


def as_csv(results: Sequence[GridResult]) -> str:
    """One row per run with plain numbers; times in seconds."""
    names = _metrics(results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["run", "seed", "status", *names, "loss", "parameters", "seconds", "steps", "error"]
    writer.writerow(head)
    for r in results:
        cells: list[Cell] = [r.name, r.seed, r.status, *(r.metrics.get(n) for n in names)]
        cells += [r.loss, r.parameters, r.seconds, r.steps, r.error]
        writer.writerow("" if cell is None else cell for cell in cells)
    return text.getvalue()


def as_markdown(results: Sequence[GridResult]) -> str:
    """One row per run; means and deviations over several seeds; failures."""
    names = _metrics(results)
    head = ["run", "seed", *map(metric_label, names), "loss", "parameters", "minutes", "steps"]
    rows = [
        [
            r.name,
            str(r.seed),
            *(_score(r.metrics.get(n)) if r.metrics else r.status for n in names),
            _score(r.loss) if r.status == "finished" else r.status,
            "" if r.parameters is None else f"{r.parameters / 1e6:.2f} M",
            "" if r.seconds is None else f"{r.seconds / 60:.1f}",
            "" if r.steps is None else str(r.steps),
        ]
        for r in results
    ]
    text = _table(head, rows)
    if len({r.seed for r in results}) > 1:
        text += "\nMean and standard deviation over seeds:\n\n" + _over_seeds(results, names)
    failures = [f"- {r.folder}: {r.error}" for r in results if r.status == "failed"]
    if failures:
        text += "\nFailed:\n\n" + "\n".join(failures) + "\n"
    return text


def _over_seeds(results: Sequence[GridResult], metrics: Sequence[str]) -> str:
    rows = []
    for name in dict.fromkeys(r.name for r in results):
        group = [r for r in results if r.name == name and r.status == "finished"]
        cells = [name, str(len(group))]
        for metric in metrics:
            values = [v for r in group if (v := r.metrics.get(metric)) is not None]
            cells.append(_spread(values))
        rows.append([*cells, _spread([r.loss for r in group if r.loss is not None])])
    return _table(["run", "seeds", *map(metric_label, metrics), "loss"], rows)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "n/a"
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def _metrics(results: Sequence[GridResult]) -> list[str]:
    return metric_names({"evaluation": r.metrics} for r in results)


def _score(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table with padded columns, readable as plain text."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]

    def line(cells: Sequence[str]) -> str:
        text = [
            cell.ljust(w) if k == 0 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(text)} |\n"

    rule = [("-" * w) if k == 0 else "-" * (w - 1) + ":" for k, w in enumerate(widths)]
    return line(head) + line(rule) + "".join(line(row) for row in rows)


def _write(path: Path, text: str) -> Path:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path
