"""Weights files: round trips, upgrades of old ones, and a message for every kind of wrong file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import vepe
from tiny_models import TINY, tiny_model
from vepe.config.tracking import ShotSettings, SmoothingSettings, TrackerSettings
from vepe.errors import VepeError
from vepe.inference import model_files as weights_module
from vepe.inference.model_files import find_weights, read_card
from vepe.inference.result_info import RunInfo
from vepe.inference.weights import load_weights, save_weights
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


@pytest.mark.parametrize("value", [1e6, -976.2, 2047.3])
def test_half_precision_halves_the_size_and_keeps_large_values(value, tmp_path: Path) -> None:
    """Beyond the range of fp16, and where its steps are a half or 1: biases of scores."""
    model = tiny_model()
    with torch.no_grad():
        name, large = next(iter(model.named_parameters()))
        large.view(-1)[0] = value
    full = save_weights(tmp_path / "full.safetensors", model, TINY, {}, "fp32")
    half = save_weights(tmp_path / "half.safetensors", model, TINY, {}, "fp16")
    assert half.stat().st_size < 0.6 * full.stat().st_size
    assert load_weights(half)[0].state_dict()[name].view(-1)[0] == pytest.approx(value, abs=1e-3)


def test_loading_does_not_change_the_random_state(tiny_weights: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_weights(tiny_weights)
    assert torch.rand(1) == expected


def test_renamed_keys_are_upgraded_silently(tiny_weights: Path, tmp_path: Path, recwarn) -> None:
    tensors = load_file(tiny_weights)
    with safe_open(tiny_weights, framework="pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    config["fine"] = config.pop("high_resolution_dim")
    config["temporal"]["spacing_s"] = 0.25
    del config["temporal"]["memory_interval_s"]
    config["tracker"] = {"birth_score": 0.5, "revive_margin": 0.1, "size_ratio": 3.0}
    metadata["config"] = json.dumps(config)
    save_file(tensors, tmp_path / "old.safetensors", metadata)
    upgraded = load_weights(tmp_path / "old.safetensors")[1]
    assert not recwarn.list
    assert upgraded.high_resolution_dim == 0
    assert upgraded.temporal.memory_interval_s == 0.25
    assert upgraded.tracker == TrackerSettings(new_track_threshold=0.5, reid_margin=0.1)


def test_files_without_a_calibration_get_scores_as_they_are(
    tiny_weights: Path, tmp_path: Path
) -> None:
    tensors = load_file(tiny_weights)
    del tensors["pose_decoder.score_calibration"]
    with safe_open(tiny_weights, framework="pt") as file:
        save_file(tensors, tmp_path / "old.safetensors", file.metadata())
    model = load_weights(tmp_path / "old.safetensors")[0]
    assert model.pose_decoder.score_calibration.tolist() == [1, 0]


def test_tracker_smoothing_and_shot_settings_are_stored(tmp_path: Path) -> None:
    config = TINY.model_copy(
        update={
            "tracker": TrackerSettings(confirm_hits=3),
            "smoothing": SmoothingSettings(min_cutoff_hz=1.0),
            "shots": ShotSettings(surprise=4.0),
        }
    )
    path = save_weights(tmp_path / "a.safetensors", tiny_model(), config, {})
    assert read_card(path).config == config


def test_files_without_tracker_settings_get_those_they_were_used_with(
    tiny_weights: Path, tmp_path: Path
) -> None:
    with safe_open(tiny_weights, framework="pt") as file:
        metadata = file.metadata()
    config = json.loads(metadata["config"])
    del config["tracker"]
    save_file(
        load_file(tiny_weights),
        tmp_path / "old.safetensors",
        metadata | {"config": json.dumps(config)},
    )
    tracker = read_card(tmp_path / "old.safetensors").config.tracker
    assert (tracker.max_gap_s, tracker.reid_similarity, tracker.reid_margin) == (10.0, 0.5, 0.3)


def broken(path: Path, tiny: Path, how: str) -> Path:
    data = tiny.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("these are no weights, but a letter\n" * 40)
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
        tensors["unknown.tensor"] = torch.zeros(1)
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
        ("text", "is not a weights file, or is damaged"),
        ("cut", "is cut off or damaged"),
        ("cut in the header", "is cut off or damaged"),
        ("four bytes", "is not a weights file, or is damaged"),
        ("folder", "There is no weights file"),
        ("no metadata", "has no VEPE configuration in its header"),
        ("missing", "it lacks "),
        ("unknown", "it has unknown unknown.tensor"),
        ("shape", "instead of"),
        ("nan", "has NaN or infinite values"),
        ("config", "there is no option 'quereis'; did you mean 'queries'"),
    ],
)
def test_wrong_files(how, says, tiny_weights: Path, tmp_path: Path) -> None:
    path = broken(tmp_path / "w.safetensors", tiny_weights, how)
    with pytest.raises(VepeError) as caught:
        load_weights(path)
    assert says in str(caught.value)
    assert "w.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        (".safetensors", b"\x02\0\0\0\0\0\0\0{}"),
        (".onnx", b""),  # zeros
        (".onnx", b"\x3a\xff\xff\xff\xff\x7f"),  # a graph of 32 GB
        (".xml", b"<net>"),
    ],
)
def test_a_file_without_end_is_not_read_to_its_end(suffix, start, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(2**40)  # takes no space, but hours to read
    for read in (read_card, lambda weights: RunInfo.of("w", weights, {})):
        with pytest.raises(VepeError, match=r"cut off or damaged|not a weights file"):
            read(path)


def test_a_required_skeleton(tiny_weights: Path) -> None:
    with pytest.raises(VepeError, match=r"'posetrack15' \(15 keypoints\), but 'coco17' \(17\)"):
        load_weights(tiny_weights, skeleton=COCO17)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nosuch.safetensors", "There is no weights file 'nosuch.safetensors'"),
        ("runs/nosuch", "There is no weights file 'runs/nosuch'"),
        ("vepe-swin-l", "There are no bundled weights for 'vepe-swin-l'; pass a weights file"),
        ("vepe-nn", "There is no preset 'vepe-nn'; did you mean 'vepe-"),
    ],
)
def test_unknown_names(name: str, says: str) -> None:
    with pytest.raises(VepeError) as caught:
        find_weights(name)
    assert says in str(caught.value)


def test_bundled_weights_are_found_by_name(tiny_weights: Path, tmp_path, monkeypatch) -> None:
    (tmp_path / "vepe-n.safetensors").write_bytes(tiny_weights.read_bytes())
    monkeypatch.setattr(weights_module.resources, "files", lambda _: tmp_path)
    assert find_weights("vepe-n") == tmp_path / "vepe-n.safetensors"


def test_unwritable_paths(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match=r"does not end in \.safetensors"):
        save_weights(tmp_path / "a.pt", tiny_model(), TINY, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(VepeError, match="cannot be written"):
        save_weights(tmp_path / "file" / "a.safetensors", tiny_model(), TINY, {})
