"""`vepe models`: the presets, what they cost, and which weights are bundled."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.cli.output import note

if TYPE_CHECKING:
    from vepe.config.model import ModelConfig
    from vepe.inference.model_files import WeightsCard


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Only these presets, .safetensors or .onnx files, or hf:// addresses.",
            show_default="all presets",
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Also print the file, data and recipe of existing weights."
        ),
    ] = False,
) -> None:
    """List the models with parameters, operations per frame, and their bundled weights.

    Operations are those of convolutions and matrix products for one frame of a 16:9 video; a
    multiplication and an addition count as two.
    """
    import yaml
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from vepe.config.load import preset_names
    from vepe.errors import printable

    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("backbone", overflow="ellipsis")  # alone is cut where the terminal is narrow
    for heading in ("input", "parameters", "GFLOPs/frame", "window"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    cards = []
    countable = find_spec("torch") is not None
    with Console(stderr=True).status("counting"):
        for name in names or preset_names():
            config, card = _config_and_card(name)
            if not countable:
                table.add_row(*_uncounted(name, config, card))
                cards += [(name, card)] if card else []
                continue
            cost = model_cost(config)
            table.add_row(
                escape(printable(name)),
                escape(printable(config.backbone)),
                "x".join(str(side) for side in cost.input_wh),
                f"{cost.parameters / 1e6:.1f} M",
                f"{cost.flops / 1e9:.1f}",
                str(config.temporal.window),
                f"{card.bytes / 1e6:.1f} MB" if card else "none",
            )
            cards += [(name, card)] if card else []
    console.print(table)
    if not countable:
        note(
            "Sizes and operations are counted by PyTorch: pip install '.[torch]' in a clone of VEPE"
        )
    if cards and not verbose and names is None:
        note("Data and recipe of the weights: vepe models --verbose")
    for name, card in cards if verbose else ():
        path, version = escape(printable(str(card.path))), escape(printable(card.version))
        console.print(f"\n[bold]{escape(printable(name))}[/]  {path}, VEPE {version}")
        history = yaml.safe_dump(card.training, sort_keys=False, allow_unicode=True)
        for line in history.splitlines():
            console.print(f"  {escape(printable(line))}", highlight=False, soft_wrap=True)


def _uncounted(name: str, config: ModelConfig, card: WeightsCard | None) -> list[str]:
    """The row of a model without PyTorch."""
    from rich.markup import escape

    from vepe.errors import printable

    weights = f"{card.bytes / 1e6:.1f} MB" if card else "none"
    texts = (name, config.backbone, f"{config.input_px} px", "-", "-")
    return [*(escape(printable(text)) for text in texts), str(config.temporal.window), weights]


@dataclass(frozen=True)
class ModelCost:
    """Size and compute of a model.

    Attributes:
        parameters: all of them, backbone included.
        backbone_parameters: those of the backbone.
        flops: per frame of a running video: encoding it, and reading its window.
        input_wh: width and height of the input that they are for.
    """

    parameters: int
    backbone_parameters: int
    flops: int
    input_wh: tuple[int, int]


def model_cost(config: ModelConfig, aspect: float = 16 / 9) -> ModelCost:
    """Counts a model's parameters and operations without allocating its weights.

    PyTorch's `FlopCounterMode` counts convolutions and matrix products, not sampling and
    activations.

    Args:
        config: the model.
        aspect: width over height of an image whose longer side is `config.input_px`.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vepe.inference.prepost import Letterbox
    from vepe.models.build import build_model

    with torch.device("meta"), torch.no_grad():
        model = build_model(config).eval()
        source = (config.input_px, max(1, round(config.input_px / aspect)))
        width, height = Letterbox.of(source, config.input_px, model.stride).input_wh
        with FlopCounterMode(display=False) as counter:
            model.encode_frame(torch.zeros(1, 3, height, width))
    parts = {name: sum(p.numel() for p in m.parameters()) for name, m in model.named_children()}
    return ModelCost(
        parameters=sum(parts.values()),
        backbone_parameters=parts["backbone"],
        flops=counter.get_total_flops(),
        input_wh=(width, height),
    )


def _config_and_card(name: str) -> tuple[ModelConfig, WeightsCard | None]:
    """The configuration of a preset or weights file, and the metadata of the weights if any."""
    from vepe.config.load import parse, preset_names, read_yaml
    from vepe.config.model import ModelConfig
    from vepe.inference.model_files import (
        ONNX_SUFFIX,
        PREFIX,
        SUFFIX,
        bundled_weights,
        read_card,
    )

    if (
        name.endswith((SUFFIX, ONNX_SUFFIX))
        or name.startswith(PREFIX)
        or (name in preset_names() and bundled_weights(name))
    ):
        card = read_card(name)
        return card.config, card
    return parse(ModelConfig, read_yaml(name), name), None
