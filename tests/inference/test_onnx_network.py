"""ONNX Runtime on an exported model: sessions for one size, and the same poses as from PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import vepe
from tiny_models import TINY, moving_frames, tiny_model, tiny_predictor
from vepe.errors import VepeError
from vepe.inference.exported import interface_of
from vepe.inference.flipped_network import FlippedNetwork
from vepe.inference.onnx_network import MAX_FITTED, OFTEN, OnnxNetwork
from vepe.inference.predictor import Predictor
from vepe.inference.torch_network import TorchNetwork

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vepe.inference.export import export_onnx

    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    export_onnx(tiny_model(), TINY, {"data": "none"}, path)
    return path


def test_steps_of_one_size_get_a_session_of_their_own(exported: Path) -> None:
    model = vepe.load(exported, backend="onnxruntime", conf=0.0)
    stream = model.stream(fps=25, tracking=False)
    expected = tiny_predictor(conf=0.0).stream(fps=25, tracking=False)
    network = stream.runner.network
    assert isinstance(network, OnnxNetwork)
    for index, frame in enumerate(moving_frames(OFTEN + 3)):
        (poses,), (torch_poses,) = stream.push(frame), expected.push(frame)
        assert len(network._fitted) == (index >= OFTEN - 1)
        np.testing.assert_allclose(poses.scores, torch_poses.scores, atol=1e-4)
        np.testing.assert_allclose(poses.keypoints_px, torch_poses.keypoints_px, atol=1e-2)
    for size in range(MAX_FITTED + 1):
        for _ in range(OFTEN):
            model.predict(moving_frames(1, width=96 + 64 * size)[0])
    assert len(network._fitted) == MAX_FITTED


def test_the_flip_test_of_an_exported_model(exported: Path) -> None:
    model = vepe.load(exported, backend="onnxruntime", conf=0.0, flip=True)
    torch_network = FlippedNetwork(TorchNetwork(tiny_model()), TINY.skeleton)
    torch_model = Predictor(torch_network, TINY, conf=0.0)
    streams = [m.stream(fps=25, tracking=False) for m in (model, torch_model)]
    for frame in moving_frames(3, width=41):
        (poses,), (expected,) = (stream.push(frame) for stream in streams)
        assert len(poses) > TINY.queries  # of both views
        np.testing.assert_allclose(poses.scores, expected.scores, atol=1e-4)
        np.testing.assert_allclose(poses.keypoints_px, expected.keypoints_px, atol=1e-2)


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 0}, {"strides": []}, {"strides": [0]}, {"strides": [10**9]}, {"people": 10**9},
        {"people": True}, {"keypoints": 1.5}, {"identity": -1}, {"future": -5}, {"aligned": None},
        {"fixed_wh": [0, 0]}, {"fixed_wh": [64, 10**6]}, {"fixed_wh": [33, 64]}, {"fixed_wh": [64]},
        {"other": 1}, {"people": "5"},
    ],
)  # fmt: skip
def test_impossible_sizes_of_an_exported_model_are_one_sentence(change: dict[str, object]) -> None:
    sizes = {"stride": 32, "strides": [8, 32], "people": 5, "keypoints": 17, "identity": 8,
             "future": 2, "aligned": True, "fixed_wh": [64, 96]}  # fmt: skip
    assert interface_of({"interface": json.dumps(sizes)}, "a.onnx").fixed_wh == (64, 96)
    with pytest.raises(VepeError, match="export the model again"):
        interface_of({"interface": json.dumps(sizes | change)}, "a.onnx")
