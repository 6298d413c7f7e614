"""What a run starts from: the model of its configuration, and the weights there already."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from vepe.config.load import merge, parse, read_yaml
from vepe.config.model import ModelConfig
from vepe.config.training import TrainConfig
from vepe.errors import VepeError
from vepe.inference.checkpoint import load_weights
from vepe.models.build import build_model
from vepe.models.vepe import Vepe


def build_start(config: TrainConfig) -> tuple[ModelConfig, Vepe]:
    """The model of a run, with the weights it starts from."""
    if isinstance(config.model, str):
        data = read_yaml(config.model)
    else:
        data = dict(config.model)
        if "extends" in data:
            data = merge(read_yaml(str(data.pop("extends"))), data)
    model_config = parse(ModelConfig, data, "model")
    model = build_model(model_config, pretrained_backbone=config.pretrained_backbone)
    if config.init is not None:
        _start_from(config.init, model, model_config)
    if config.backbone_weights is not None:
        _load_backbone(Path(config.data_root) / config.backbone_weights, model, model_config)
    return model_config, model


def _start_from(init: str, model: Vepe, config: ModelConfig) -> None:
    """Puts the weights of a checkpoint into the model, which must be of the same make."""
    found, _, _ = load_weights(init, skeleton=config.skeleton)
    try:
        model.load_state_dict(found.state_dict())
    except RuntimeError as error:
        raise VepeError(
            f"'{init}' does not fit the model '{config.name}': "
            f"{str(error).splitlines()[1].strip()} Start from a checkpoint of the same make."
        ) from error


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
