"""Exported models give what PyTorch gives, for any input size, batch and window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tiny_models import TINY, moving_frames, tiny_model
from vepe.errors import VepeError
from vepe.inference.backends import open_network
from vepe.inference.comparison import compare
from vepe.inference.export import export_onnx, interface_for
from vepe.inference.model_files import read_card, read_metadata
from vepe.inference.onnx_network import OnnxNetwork
from vepe.inference.torch_network import TorchNetwork
from vepe.inference.window import KeyWindow, WindowFrame, run

pytest.importorskip("onnx")
CONFIG = TINY.model_copy(
    update={"temporal": TINY.temporal.model_copy(update={"window": 6, "lookahead": 2})}
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    export_onnx(tiny_model(CONFIG), CONFIG, {"data": "none"}, path, licence="Apache-2.0")
    return path


@pytest.mark.parametrize(("width", "height"), [(48, 32), (40, 90)])
def test_an_exported_model_equals_pytorch(exported: Path, width: int, height: int) -> None:
    network, config = open_network(exported, "onnxruntime", "cpu")
    images = moving_frames(10, width, height)
    # No input is smaller than a cell for each person.
    config = config.model_copy(update={"input_px": 96})
    apart = compare(TorchNetwork(tiny_model(CONFIG)), network, config, images)
    assert apart.people > 20
    assert apart.keypoints_px < 0.01
    assert apart.scores < 1e-4


def test_several_frames_in_a_step(exported: Path) -> None:
    network, _ = open_network(exported, "onnxruntime", "cpu")
    images = [image.repeat(2, 0).repeat(2, 1) for image in moving_frames(3)]

    def poses(batch: int) -> list[np.ndarray]:
        frames = [WindowFrame(image, (96, 64), None, float(i)) for i, image in enumerate(images)]
        chunks = [frames[i : i + batch] for i in range(0, len(frames), batch)]
        outputs = [run(network, chunk, [KeyWindow(f) for f in chunk]) for chunk in chunks]
        return [output.keypoints_px for chunk in outputs for output in chunk]

    for alone, together in zip(poses(1), poses(3), strict=True):
        np.testing.assert_allclose(alone, together, atol=0.01)


def test_a_fixed_input_size(tmp_path: Path) -> None:
    model = tiny_model(CONFIG)
    interface = export_onnx(model, CONFIG, {}, tmp_path / "fixed.onnx", fixed_wh=(96, 64))
    network = OnnxNetwork(tmp_path / "fixed.onnx", interface, "cpu")
    fitting = TorchNetwork(model)
    fitting.fixed_wh = (96, 64)
    apart = compare(fitting, network, CONFIG, moving_frames(5, 40, 90))
    assert apart.keypoints_px < 0.01
    with pytest.raises(VepeError, match="not a multiple of the model's stride 32"):
        interface_for(model, CONFIG, (100, 64))


def test_the_file_describes_itself(exported: Path) -> None:
    metadata = read_metadata(exported)
    assert read_card(exported).config == CONFIG
    assert metadata["license"] == "Apache-2.0"
    assert len(metadata["weights_sha256"]) == 64
    with pytest.raises(VepeError, match="is an exported model, which PyTorch does not run"):
        open_network(exported, "torch")


def test_weights_on_onnx_runtime_are_exported_first(tiny_weights: Path) -> None:
    with pytest.raises(VepeError, match="holds weights; export it with vepe export"):
        open_network(tiny_weights, "onnxruntime")


def test_a_full_temporary_folder_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Protobuf serialization failed.\nmore")

    monkeypatch.setattr("onnxruntime.InferenceSession", fail)
    with pytest.raises(VepeError, match=r"serialization failed.\); check the free space"):
        export_onnx(tiny_model(CONFIG), CONFIG, {}, tmp_path / "a.onnx", fixed_wh=(64, 64))
    assert not list(tmp_path.iterdir())
