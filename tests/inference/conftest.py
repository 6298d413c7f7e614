"""A tiny model with seeded weights, and small pictures and videos made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vepe.config.model import ModelConfig
from vepe.inference.checkpoint import save_weights
from vepe.inference.predictor import Predictor
from vepe.models.build import build_model
from vepe.models.vepe import Vepe

torch.set_num_threads(1)

TINY = ModelConfig.model_validate(
    {
        "name": "tiny",
        "backbone": "mobilenetv2_035",
        "dim": 32,
        "heads": 2,
        "points": 2,
        "hidden": 32,
        "queries": 5,
        "input_px": 64,
        "spatial_decoder": {"layers": 1},
        "consistency": {"dim": 8},
    }
)


def tiny_model(config: ModelConfig = TINY) -> Vepe:
    """Random weights, always the same, with scores spread over 0..1 as trained ones are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = build_model(config).eval()
        for name, tensor in model.named_parameters():
            if "score" in name and name.endswith("bias"):
                torch.nn.init.zeros_(tensor)
    return model


def tiny_predictor(config: ModelConfig = TINY, **options: object) -> Predictor:
    return Predictor(tiny_model(config), config, **options)  # type: ignore[arg-type]


@pytest.fixture
def tiny_config() -> ModelConfig:
    return TINY


@pytest.fixture
def predictor() -> Predictor:
    return tiny_predictor(conf=0.05)


@pytest.fixture
def make_predictor():
    """Tiny predictors with options of choice."""
    return tiny_predictor


@pytest.fixture
def make_model():
    return tiny_model


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights of the tiny model."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return save_weights(path, tiny_model(), TINY, {"data": "none"})


def moving_frames(count: int, width: int = 48, height: int = 32, seed: int = 0) -> list[np.ndarray]:
    """Frames that drift over a random texture: alike, but no two the same."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 255, (height // 4 + 1, width // 4 + count, 3)).astype(np.uint8)
    large = texture.repeat(4, axis=0).repeat(4, axis=1)
    return [np.ascontiguousarray(large[:height, t : t + width]) for t in range(count)]


@pytest.fixture
def frames() -> list[np.ndarray]:
    return moving_frames(12)
