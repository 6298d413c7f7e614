"""Weights on disk: what goes in comes out, and every kind of wrong file has its sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import vepe
from tiny_models import TINY, tiny_model
from vepe.errors import VepeError
from vepe.inference import weights as checkpoint
from vepe.inference.weights import find_weights, load_weights, read_card, save_weights
from vepe.skeleton import COCO17, POSETRACK15


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 0.0), ("fp16", 1e-3)])
def test_round_trip(dtype, tolerance, tmp_path: Path) -> None:
    model = tiny_model()
    path = save_weights(tmp_path / "a.safetensors", model, TINY, {"data": ["x"], "hours": 2}, dtype)
    back, config, training = load_weights(path, skeleton=POSETRACK15)
    assert config == TINY
    assert training == {"data": ["x"], "hours": 2}
    assert not back.training
    for name, tensor in model.state_dict().items():
        other = back.state_dict()[name]
        assert other.dtype == tensor.dtype
        torch.testing.assert_close(other, tensor, rtol=tolerance, atol=tolerance)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_metadata(tiny_weights: Path) -> None:
    with safe_open(tiny_weights, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["vepe_version"] == vepe.__version__
    assert json.loads(metadata["config"])["skeleton"]["keypoints"] == list(POSETRACK15.keypoints)
    card = read_card(tiny_weights)
    assert (card.config, card.training) == (TINY, {"data": "none"})
    assert card.bytes == tiny_weights.stat().st_size


def test_half_precision_is_half_the_size_and_keeps_what_does_not_fit(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        name, large = next(iter(model.named_parameters()))
        large.view(-1)[0] = 1e6
    full = save_weights(tmp_path / "full.safetensors", model, TINY, {}, "fp32")
    half = save_weights(tmp_path / "half.safetensors", model, TINY, {}, "fp16")
    assert half.stat().st_size < 0.6 * full.stat().st_size
    assert load_weights(half)[0].state_dict()[name].view(-1)[0] == 1e6


def test_loading_leaves_the_seed_alone(tiny_weights: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_weights(tiny_weights)
    assert torch.rand(1) == expected


def broken(path: Path, tiny: Path, how: str) -> Path:
    data = tiny.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("these are no weights at all, but a letter\n" * 40)
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "cut in the header":
        path.write_bytes(data[:100])
    elif how == "four bytes":
        path.write_bytes(data[:4])
    elif how == "folder":
        path.mkdir()
    elif how == "no metadata":
        save_file(load_file(tiny), path)
    else:
        change(path, tiny, how)
    return path


def change(path: Path, tiny: Path, how: str) -> None:
    tensors = load_file(tiny)
    with safe_open(tiny, framework="pt") as file:
        metadata = file.metadata()
    name = "identity.mlp.0.weight" if "identity.mlp.0.weight" in tensors else sorted(tensors)[0]
    if how == "missing":
        del tensors[name]
    elif how == "unknown":
        tensors["a.stranger"] = torch.zeros(1)
    elif how == "shape":
        tensors[name] = torch.zeros(2, 3)
    elif how == "nan":
        tensors[name] = torch.full_like(tensors[name], float("nan"))
    elif how == "config":
        config = json.loads(metadata["config"]) | {"quereis": 3}
        metadata["config"] = json.dumps(config)
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("empty", "is empty (0 bytes)"),
        ("text", "is not a file of weights, or is damaged"),
        ("cut", "is cut off or damaged"),
        ("cut in the header", "is cut off or damaged"),
        ("four bytes", "is not a file of weights, or is damaged"),
        ("folder", "There is no file of weights"),
        ("no metadata", "does not say what model it belongs to"),
        ("missing", "it lacks "),
        ("unknown", "it has unknown a.stranger"),
        ("shape", "instead of"),
        ("nan", "NaN or infinite"),
        ("config", "there is no option 'quereis'; did you mean 'queries'"),
    ],
)
def test_wrong_files(how, says, tiny_weights: Path, tmp_path: Path) -> None:
    path = broken(tmp_path / "w.safetensors", tiny_weights, how)
    with pytest.raises(VepeError) as caught:
        load_weights(path)
    assert says in str(caught.value)
    assert "w.safetensors" in str(caught.value)


def test_another_skeleton(tiny_weights: Path) -> None:
    with pytest.raises(VepeError, match=r"'posetrack15' \(15 keypoints\), but 'coco17' \(17\)"):
        load_weights(tiny_weights, skeleton=COCO17)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nosuch.safetensors", "There is no file of weights 'nosuch.safetensors'"),
        ("runs/nosuch", "There is no file of weights 'runs/nosuch'"),
        ("vepe-swin-l", "No weights of 'vepe-swin-l' come with VEPE; pass a checkpoint"),
        ("vepe-nn", "There is no preset 'vepe-nn'; did you mean 'vepe-"),
    ],
)
def test_unknown_names(name: str, says: str) -> None:
    with pytest.raises(VepeError) as caught:
        find_weights(name)
    assert says in str(caught.value)


def test_bundled_weights_are_found_by_name(tiny_weights: Path, tmp_path, monkeypatch) -> None:
    (tmp_path / "vepe-n.safetensors").write_bytes(tiny_weights.read_bytes())
    monkeypatch.setattr(checkpoint.resources, "files", lambda _: tmp_path)
    assert find_weights("vepe-n") == tmp_path / "vepe-n.safetensors"


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match=r"does not end in \.safetensors"):
        save_weights(tmp_path / "a.pt", tiny_model(), TINY, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(VepeError, match="cannot be written"):
        save_weights(tmp_path / "file" / "a.safetensors", tiny_model(), TINY, {})
