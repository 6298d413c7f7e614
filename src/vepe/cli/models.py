"""`vepe models`: the presets, what they cost, and which weights are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vepe.inference.weights import WeightsCard


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Only these models, .safetensors files, or hf:// addresses.",
            show_default="all presets",
        ),
    ] = None,
) -> None:
    """List the models: parameters, operations a frame, and what the bundled weights are.

    Operations are those of convolutions and matrix products for one frame of a 16:9 video, a
    multiplication and an addition counting as two.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from vepe.config.load import preset_names
    from vepe.inference.cost import model_cost

    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("backbone", overflow="fold")
    for heading in ("input", "parameters", "GFLOPs/frame", "window"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    cards = []
    with Console(stderr=True).status("counting"):
        for name in names or preset_names():
            config, card = _described(name)
            cost = model_cost(config)
            table.add_row(
                escape(name),
                config.backbone,
                "x".join(str(side) for side in cost.input_wh),
                f"{cost.parameters / 1e6:.1f} M",
                f"{cost.flops / 1e9:.1f}",
                str(config.temporal.window),
                f"{card.bytes / 1e6:.1f} MB" if card else "none",
            )
            cards += [(name, card)] if card else []
    console.print(table)
    for name, card in cards:
        console.print(f"\n[bold]{escape(name)}[/]  {escape(str(card.path))}, VEPE {card.version}")
        for line in _lines(card.training):
            console.print(f"  {escape(line)}", highlight=False)


def _described(name: str) -> tuple[Any, WeightsCard | None]:
    """The configuration of a preset or of a file of weights, and what the weights say."""
    from vepe.config.load import parse, preset_names, read_yaml
    from vepe.config.model import ModelConfig
    from vepe.inference.weights import PREFIX, SUFFIX, bundled_weights, read_card

    if (
        name.endswith(SUFFIX)
        or name.startswith(PREFIX)
        or (name in preset_names() and bundled_weights(name))
    ):
        card = read_card(name)
        return card.config, card
    return parse(ModelConfig, read_yaml(name), name), None


def _lines(training: dict[str, Any]) -> list[str]:
    """What the weights were trained on and how, one line a fact."""
    return [
        f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in training.items()
    ]
