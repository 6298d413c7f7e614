"""`vepe train average`: the weighted mean of weights, and what cannot be averaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tiny_networks import lively_model, tiny_config
from vepe.cli.app import run
from vepe.errors import VepeError
from vepe.inference.weights import load_weights, save_weights
from vepe.models.vepe import Vepe
from vepe.training.averaging import average_weights


def _model(seed: int) -> Vepe:
    """Networks that differ in all tensors, their calibration as well."""
    model = lively_model(seed)
    model.pose_decoder.calibrate(1 + seed, -seed)
    return model


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        save_weights(tmp_path / f"{seed}.safetensors", _model(seed), tiny_config(), {}, "fp32")
        for seed in range(2)
    ]


@pytest.mark.parametrize(
    ("shares", "second"),
    [(None, 0.5), ([1, 3], 0.75), ([2, 0], 0.0), ([1e39, 1e39], 0.5), ([1e-46, 1e-46], 0.5)],
)
def test_every_tensor_is_the_weighted_mean(
    files: list[Path], tmp_path: Path, shares: list[float] | None, second: float
) -> None:
    model, config, training = load_weights(
        average_weights(files, tmp_path / "mean.safetensors", shares)
    )
    a, b = (load_weights(file)[0].state_dict() for file in files)
    assert config == tiny_config()
    assert [part["file"] for part in training["average_of"]] == ["0.safetensors", "1.safetensors"]
    for name, tensor in model.state_dict().items():
        # Weights files are in half precision; counters are those of the first file.
        expected = torch.lerp(a[name], b[name], second) if a[name].is_floating_point() else a[name]
        torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("count", "shares", "message"),
    [
        (1, None, "two weights files or more"),
        (2, [1.0], "1 share for 2 files"),
        (2, [0.0, 0.0], "not all of them 0"),
        (2, [2.0, -1.0], "numbers from 0 on"),
        (2, [float("nan"), 1.0], "numbers from 0 on"),
        (2, [float("inf"), 1.0], "numbers from 0 on"),
    ],
)
def test_shares_that_do_not_fit(
    files: list[Path], tmp_path: Path, count: int, shares: list[float] | None, message: str
) -> None:
    with pytest.raises(VepeError, match=message):
        average_weights(files[:count], tmp_path / "mean.safetensors", shares)


def test_other_networks_are_refused(files: list[Path], tmp_path: Path) -> None:
    config = tiny_config(hidden=48)
    other = save_weights(
        tmp_path / "other.safetensors", lively_model(hidden=48), config, {}, "fp32"
    )
    with pytest.raises(VepeError, match="is another network than"):
        average_weights([files[0], other], tmp_path / "mean.safetensors")


def test_the_command(files: list[Path], tmp_path: Path, capsys) -> None:
    target = tmp_path / "mean.safetensors"
    command = ["train", "average", *map(str, files), "-o", str(target), "--share", "1"]
    assert run([*command, "--share", "3"]) == 0
    assert f"Weights: {target}" in capsys.readouterr().out
    assert run(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(["train", "average", *map(str, files), "-o", str(files[0]), "--overwrite"]) == 2
    assert "would replace" in capsys.readouterr().err
