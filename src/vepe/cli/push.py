"""`vepe push`: weights to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vepe.cli.output import echo


def push(
    weights: Annotated[
        str,
        typer.Argument(
            help="Preset with bundled weights, or .safetensors file.", show_default=False
        ),
    ],
    repo: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/REPO", help="Repository; created if missing.", show_default=False
        ),
    ],
    card: Annotated[
        Path | None,
        typer.Option(
            help="Markdown file for the model card: data, scores, limits.",
            show_default="the .md file next to the weights",
        ),
    ] = None,
    licence: Annotated[
        str,
        typer.Option(
            "--license",
            "--licence",
            help="Licence of the weights, as the hub names it, such as apache-2.0.",
            show_default="none stated",
        ),
    ] = "",
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch to upload to.", show_default="the main one")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace weights and card that are there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the model card; upload nothing.")
    ] = False,
) -> None:
    """Upload weights with a model card to the Hugging Face hub.

    They can then be used anywhere by --model hf://OWNER/REPO. Log in first: hf auth login.
    """
    from vepe.inference.publish import checked_card, push_weights

    if dry_run:
        for line in checked_card(weights, repo, card, licence)[1].rstrip().splitlines():
            echo(line)
        return
    address = push_weights(
        weights,
        repo,
        text=card,
        licence=licence,
        private=private,
        overwrite=overwrite,
        revision=revision,
    )
    echo(f"Uploaded. Use it: vepe track VIDEO --model {address}")
