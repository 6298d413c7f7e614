"""`vepe train`: train a model by a recipe, or all runs of a grid; its `report` and `average`."""

from __future__ import annotations

import os
import warnings
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vepe.cli.output import Quiet, echo, loading, note
from vepe.errors import BatchError, VepeError, VepeWarning, counted, missing_extra
from vepe.formats.files import check_targets

if TYPE_CHECKING:
    from vepe.config.training import TrainConfig


class Tracker(str, Enum):  # noqa: UP042 - typer shows the plain values
    wandb = "wandb"
    mlflow = "mlflow"


def train(
    config: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="Recipe: name of a preset, or a YAML file."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for checkpoints, logs and weights.")
    ] = Path("runs/train"),
    data_root: Annotated[
        Path | None,
        typer.Option("--data-root", help="Folder that the recipe's data paths are relative to."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change an option: key.sub=value.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Time for all stages together, divided as in the recipe."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint.")
    ] = False,
    log: Annotated[
        list[Tracker] | None, typer.Option("--log", help="Also log to this experiment tracker.")
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            "--grid",
            help="Run or resume all runs of a grid (preset 'ablation' or a YAML file) and write "
            "one table; RECIPE is then the recipe to vary.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a model. Ctrl-C stops after a checkpoint; --resume continues from there.

    `vepe train report RUN` writes the report of a run, `vepe train average` averages weights.
    """
    changes = list(settings or [])
    if data_root is not None:
        changes.append(f"data_root={_quoted(str(data_root))}")
    if log:
        changes.append(f"logging=[{', '.join(tracker.value for tracker in log)}]")
    if grid is not None:
        if minutes is not None:
            raise VepeError("--minutes is for a single run; set the stages' steps in the grid.")
        _train_grid(grid, config, output, changes, quiet)
        return
    if config is None:
        raise VepeError("Name a recipe, such as vepe-n or a YAML file, or a grid with --grid.")
    with loading(config):
        from vepe.config.load import override, parse, read_yaml
        from vepe.config.training import TrainConfig

        parsed = parse(TrainConfig, override(read_yaml(config, "recipes"), changes), config)
        if minutes is not None:
            parsed = parsed.within(minutes)
        _check(parsed, resume=resume)
        module = _training("vepe.training.trainer")
    weights = module.Trainer(parsed, output, resume=resume, quiet=quiet).train()
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes, one says it
        note(f"Weights: {weights}")


def _check(config: TrainConfig, *, resume: bool) -> None:
    """What can be wrong with a run before torch is loaded, which takes many seconds.

    Raises:
        VepeError: if options of the model do not exist, the clips of a step do not divide, or the
            weights that the run starts from are missing.
    """
    from vepe.config.load import parse
    from vepe.config.model import ModelConfig
    from vepe.inference.model_files import read_card

    processes = os.environ.get("WORLD_SIZE", "1")
    for stage in config.stages:
        config.accumulation(stage, int(processes) if processes.isdecimal() else 1)
    if not resume:
        config.check_start()
    options = config.model_options(lambda init: read_card(init).config.model_dump(mode="json"))
    parse(ModelConfig, options, "model")


def report(
    run: Annotated[Path, typer.Argument(help="Output folder of a training run.")],
) -> None:
    """Write the report of a run: curves, scores, worst clips. Works during training, too."""
    echo(f"Report: {_training('vepe.training.report').write_report(run)}")


def average(
    files: Annotated[
        list[str], typer.Argument(help="Weights of the same network: files or presets.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File of the averaged weights.")],
    share: Annotated[
        list[float] | None,
        typer.Option("--share", help="How much a file counts; once for each. Default: all alike."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Average the weights of several runs from the same start; often better than each of them."""
    from vepe.inference.model_files import read_card

    sources = [read_card(file).path for file in files]
    check_targets([output], sources, overwrite=overwrite)
    path = _training("vepe.training.averaging").average_weights(files, output, share)
    note(f"Weights: {path}")


def page(
    run: Annotated[Path, typer.Argument(help="Output folder of a training run.")],
) -> None:
    """The old name of `vepe train report`."""
    message = "`vepe page` is now `vepe train report`; the old name will go in version 0.3."
    warnings.warn(message, VepeWarning, stacklevel=2)
    report(run)


def _train_grid(grid: str, base: str | None, output: Path, changes: list[str], quiet: bool) -> None:
    """Raises BatchError if some runs failed; the others are done."""
    from vepe.config.grid import plan_grid

    with loading(grid):
        runs = plan_grid(grid, base=base, settings=changes)
        for run in runs:
            _check(run.config, resume=(output / run.folder).exists())
    results = _training("vepe.training.grid").run_grid(runs, output, note, quiet=quiet)
    note(f"Table: {output / 'table.md'}")
    if failed := sum(result.status == "failed" for result in results):
        raise BatchError(
            f"{failed} of {counted(len(results), 'run')} failed; the table says why, and the same "
            "command tries only what is not finished."
        )


def _training(module: str) -> Any:
    """A module of `vepe.training`, in a process set up for it.

    Raises:
        VepeError: if a package of the extra `train` is missing.
    """
    from vepe.inference.devices import keep_freed_memory, quiet_threads

    keep_freed_memory()  # for the network on a CPU, and for the loader with any device
    quiet_threads()
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "vepe").split(".")[0] == "vepe":
            raise
        raise missing_extra("Training", str(error.name), "train") from error


def _quoted(text: str) -> str:
    """As a YAML string."""
    return "'" + text.replace("'", "''") + "'"
