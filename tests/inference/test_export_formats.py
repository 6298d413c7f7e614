"""TorchScript and OpenVINO files give what PyTorch gives, and describe themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_models import TINY, moving_frames, tiny_model
from vepe.errors import VepeError
from vepe.inference.backends import open_network
from vepe.inference.export_formats import Exporter
from vepe.inference.model_files import read_card, read_metadata
from vepe.inference.weights import save_weights

CONFIG = TINY.model_copy(update={"input_px": 96})


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Exporter:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, tiny_model(CONFIG), CONFIG, {"data": "none"})
    return Exporter(path, None, half=False, licence="Apache-2.0")


def test_torchscript(exporter: Exporter, tmp_path: Path) -> None:
    apart = exporter.save("torchscript", tmp_path / "tiny.torchscript", moving_frames(4, 90, 60))
    assert exporter.runtime == "TorchScript"
    assert apart.people > 5
    assert apart.keypoints_px < 0.01


def test_openvino(exporter: Exporter, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = tmp_path / "tiny.xml"
    apart = exporter.save("openvino", path, moving_frames(4, 90, 60))
    assert apart.keypoints_px < 0.01
    assert read_card(path).config == CONFIG
    assert open_network(path)[0].backend == "openvino"


def test_metadata_of_openvino_files(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_text('<net><rt_info><vepe><license value="MIT &amp; more"/></vepe></rt_info></net>')
    assert read_metadata(path) == {"license": "MIT & more"}
    for damaged in ("<net>", '<!DOCTYPE net [<!ENTITY a "b">]><net/>', "<net><rt_info><vepe><x/>"):
        path.write_text(damaged)
        with pytest.raises(VepeError, match="cut off or damaged"):
            read_metadata(path)
    path.write_text("<net/>")
    with pytest.raises(VepeError, match="use --backend openvino"):
        open_network(path, "onnxruntime")
    with pytest.raises(VepeError, match="is an exported model, which PyTorch does not run"):
        open_network(path, "torch")
