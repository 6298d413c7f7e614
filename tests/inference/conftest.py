"""Fixtures with the tiny model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_models import moving_frames, tiny_predictor, tiny_weights_file
from vepe.inference.predictor import Predictor

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    return tiny_predictor(conf=0.3)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the tiny model."""
    return tiny_weights_file(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    return moving_frames(12)
