"""What a run starts from: the model of its configuration, and the weights there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import PartialState
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file

from vepe.config.load import merge, parse, read_yaml
from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.inference.checkpoint import load_weights, read_card
from vepe.models.build import build_model
from vepe.models.vepe import Vepe
from vepe.training.transfer import carry_over, print_transfer

SAME_MODEL = "init"
"""`model: {extends: init}` is the model that the weights in `init` belong to."""

LEAST_SHARE = 0.5
"""Weights of which less than this fits are of another make, and most likely a mistake."""


def build_start(config: TrainConfig, *, load: bool = True) -> tuple[ModelConfig, Vepe]:
    """The model of a run, with the weights it starts from.

    Args:
        config: the run. With `init`, every weight that fits is kept; what depends on the
            skeleton is kept for joints of the same name; a table on stderr tells what was kept.
        load: False leaves all weights random, for runs that are resumed.

    Raises:
        VepeError: where files are missing or damaged, options contradict each other, or less than
            half of the model fits the weights.
    """
    model_config = parse(ModelConfig, _model_options(config), "model")
    _check_options(config, model_config)
    model = build_model(model_config, pretrained_backbone=load and config.pretrained_backbone)
    if not load:
        return model_config, model
    if config.init is not None:
        _start_from(config, model, model_config)
    if config.backbone_weights is not None:
        _load_backbone(Path(config.data_root) / config.backbone_weights, model, model_config)
    return model_config, model


def _check_options(config: TrainConfig, model: ModelConfig) -> None:
    """Two origins for one backbone are refused; another backbone than that of `init` needs one."""
    if config.init is None or read_card(config.init).config.backbone != model.backbone:
        return
    for name in ("backbone_weights", "pretrained_backbone"):
        if getattr(config, name):
            raise VepeError(
                f"`init` already brings this backbone; leave out `{name}`, or set it to "
                f"{'false' if name == 'pretrained_backbone' else 'null'}."
            )


def _model_options(config: TrainConfig) -> dict[str, Any]:
    """The options of the model with what they extend."""
    if isinstance(config.model, str):
        return read_yaml(config.model)
    options = dict(config.model)
    base = options.pop("extends", None)
    if base is None:
        return options
    if base == SAME_MODEL:
        if config.init is None:
            raise VepeError("`model` extends `init`, but there is none; set init=WEIGHTS.")
        below = read_card(config.init).config.model_dump(mode="json")
    else:
        below = read_yaml(str(base))
    if "skeleton" in options:
        below.pop("skeleton", None)  # a skeleton is replaced whole, never part by part
    return merge(below, options)


def _start_from(run: TrainConfig, model: Vepe, config: ModelConfig) -> None:
    """Puts what fits of the run's `init` into the model."""
    init = str(run.init)
    found, its_config, _ = load_weights(init)
    transfer = carry_over(found, its_config.skeleton, model, config.skeleton)
    # A backbone with an origin of its own is not asked for.
    apart = ("backbone",) if run.backbone_weights or run.pretrained_backbone else ()
    share = transfer.share(without=apart)
    if share < LEAST_SHARE:
        raise VepeError(
            f"Only {100 * share:.0f} % of the model '{config.name}' fits the weights "
            f"'{init}' (model '{its_config.name}'); set model.extends=init, or start from weights "
            "of the same make."
        )
    if PartialState().is_main_process:
        print_transfer(transfer, init, Console(stderr=True))


def _load_backbone(path: Path, model: Vepe, config: ModelConfig) -> None:
    """Puts the weights of a bare backbone into the model."""
    if not path.is_file():
        raise VepeError(f"There is no backbone file '{path}'; check `backbone_weights`.")
    try:
        model.backbone.net.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise VepeError(
            f"'{path}' does not fit the backbone '{config.backbone}': "
            f"{str(error).splitlines()[-1].strip()}."
        ) from error
