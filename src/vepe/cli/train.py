"""`vepe train`: train a model by a recipe; resumable, with progress and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[str, typer.Argument(help="Recipe: a preset's name or a YAML file.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for checkpoints, logs and weights.")
    ] = Path("runs/train"),
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="Folder that the recipe's data lie in.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change an option: key.sub=value.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
) -> None:
    """Train a model. Ctrl-C stops after a checkpoint; --resume goes on from there."""
    from vepe.config.load import override, parse, read_yaml
    from vepe.config.training import TrainConfig
    from vepe.errors import VepeError

    data = override(read_yaml(config, "recipes"), settings or [])
    if data_root is not None:
        data["data_root"] = str(data_root)
    parsed = parse(TrainConfig, data, config)
    try:
        from vepe.training.trainer import Trainer
    except ImportError as error:
        raise VepeError(
            f"Training needs the package '{error.name}'; run: pip install 'vepe[train]'."
        ) from error
    weights = Trainer(parsed, output, resume=resume).train()
    typer.echo(f"Weights: {weights}")
