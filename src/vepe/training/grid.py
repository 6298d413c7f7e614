"""Trains the runs of a grid one after the other and sets their results beside each other.

Every run has a folder of its own, as `vepe train` makes it, and `result.json` when it is over. A
grid can be stopped and started again at any time: finished runs are skipped, others go on.
"""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from vepe.config.grid import PlannedRun
from vepe.errors import VepeError
from vepe.formats.files import dump_json, load_json
from vepe.training.grid_table import write_tables
from vepe.training.log_lines import LOG_NAME, read_log
from vepe.training.settings_match import changed_keys
from vepe.training.trainer import Trainer

RESULT_NAME, ERROR_NAME = "result.json", "error.txt"
Status = Literal["finished", "failed", "waiting"]


@dataclass(frozen=True)
class GridResult:
    """What became of a run.

    Attributes:
        name, seed, folder: which one.
        status: `finished`, `failed`, or `waiting` for its turn.
        metrics: of the last evaluation, in percent; None where undefined.
        loss: the last line of the log.
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
    runs: Sequence[PlannedRun], output: Path, tell: Callable[[str], None] = print
) -> list[GridResult]:
    """Trains what is not finished, and writes `table.md`, `.csv` and `.json` after every run.

    A run that fails is named in the table, and the others go on.

    Args:
        runs: in the order of the table.
        output: folder of all runs.
        tell: takes lines about what is done.

    Raises:
        VepeError: where a finished run in `output` was made by another recipe.
    """
    done = {run.folder: finished(run, output / run.folder) for run in runs}
    results = [
        done[run.folder] or GridResult(run.name, run.seed, run.folder, "waiting") for run in runs
    ]
    for place, run in enumerate(runs):
        count = f"{place + 1}/{len(runs)} {run.folder}"
        if results[place].status == "finished":
            tell(f"{count}: finished before")
        else:
            tell(f"{count}: begins")
            results[place] = _train(run, output / run.folder)
            reason = results[place].error
            tell(f"{count}: {results[place].status}{f' ({reason})' if reason else ''}")
        if _first_process():
            write_tables(output, results)
    return results


def finished(run: PlannedRun, folder: Path) -> GridResult | None:
    """The result of a run that is over; None where it is not.

    Raises:
        VepeError: where it was made by another recipe than the one that is planned.
    """
    path = folder / RESULT_NAME
    if not path.is_file():
        return None
    try:
        held = load_json(path)
        result, old = GridResult(**held["result"]), held["recipe"]
    except (KeyError, TypeError) as error:
        raise VepeError(f"'{path}' is no result of a grid's run; remove it.") from error
    changed = changed_keys(old, run.config.model_dump(mode="json"), 1, 1)
    if changed:
        raise VepeError(
            f"The run in '{folder}' was made by another recipe ('{changed[0]}' differs); choose "
            "another output folder or remove that one."
        )
    return result


def _train(run: PlannedRun, folder: Path) -> GridResult:
    """One run, from its last checkpoint where there is one."""
    from vepe.training.run import LAST

    try:
        trainer = Trainer(run.config, folder, resume=(folder / LAST).is_file())
        parameters = sum(p.numel() for p in trainer.model.parameters())
        trainer.train()
        result = _result(run, folder, parameters)
    except Exception as error:  # whatever it is, the other runs shall not suffer
        return _failed(run, folder, error)
    finally:
        trainer = None  # type: ignore[assignment]  # its memory is the next run's
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
    """A bug leaves its traceback in `error.txt`; what the user can mend is one sentence."""
    if isinstance(error, VepeError):
        reason = " ".join(str(error).split())
    else:
        text = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {text[0] if text else 'no message'}; see {ERROR_NAME}"
    if folder.is_dir():
        trace = "".join(traceback.format_exception(error))
        (folder / ERROR_NAME).write_text(trace, encoding="utf-8")
    return GridResult(run.name, run.seed, run.folder, "failed", error=reason)


def _first_process() -> bool:
    return int(os.environ.get("RANK", "0")) == 0
