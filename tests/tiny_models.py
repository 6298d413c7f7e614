"""A tiny model with seeded weights, and small generated videos, for tests of any room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vepe.config.model import ModelConfig
from vepe.inference.predictor import Predictor
from vepe.inference.torch_network import TorchNetwork
from vepe.inference.weights import save_weights
from vepe.models.build import build_model
from vepe.models.vepe import Vepe
from vepe.video.writer import VideoWriter

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
        "temporal": {"window": 3, "lookahead": 0, "memory_interval_s": 0.0},
        "consistency": {"dim": 8},
    }
)


def tiny_model(config: ModelConfig = TINY) -> Vepe:
    """Seeded random weights; scores are around 0.5, so that there are people."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = build_model(config).eval()
        for name, tensor in model.named_parameters():
            if "score" in name and name.endswith("bias"):
                torch.nn.init.zeros_(tensor)
    return model


def tiny_predictor(config: ModelConfig = TINY, **options: object) -> Predictor:
    """The tiny model, ready to use, with options of `vepe.load`."""
    return Predictor(TorchNetwork(tiny_model(config)), config, **options)  # type: ignore[arg-type]


def tiny_weights_file(folder: Path) -> Path:
    """The tiny model as a file."""
    return save_weights(folder / "tiny.safetensors", tiny_model(), TINY, {"data": "none"})


def moving_frames(count: int, width: int = 48, height: int = 32, seed: int = 0) -> list[np.ndarray]:
    """Similar but different frames: a view that moves over a random texture."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 255, (height // 4 + 1, (width + count) // 4 + 1, 3)).astype(np.uint8)
    large = texture.repeat(4, axis=0).repeat(4, axis=1)
    return [np.ascontiguousarray(large[:height, t : t + width]) for t in range(count)]


def write_video(path: Path, frames: Sequence[np.ndarray], times_s: Sequence[float] = ()) -> Path:
    """The frames as H.264, at 25 fps, or at the given times."""
    height, width = frames[0].shape[:2]
    with VideoWriter(path, width=width, height=height, fps=25.0) as writer:
        for i, image in enumerate(frames):
            writer.write(image, times_s[i] if len(times_s) else i / 25)
    return path
