"""int8: the file runs, stays near float32, and leaves out layers that move the poses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tiny_models import TINY, moving_frames, tiny_model
from vepe.errors import VepeError
from vepe.inference import quantise
from vepe.inference.backends import open_network
from vepe.inference.channel_padding import pad_depthwise
from vepe.inference.comparison import LOST_PX, SURE, drift, stream_poses
from vepe.inference.export import export_onnx
from vepe.inference.model_files import read_metadata
from vepe.inference.network import NetworkPoses

onnx = pytest.importorskip("onnx")
CONFIG = TINY.model_copy(update={"input_px": 96})


def network_poses(x: float, score: float = 0.9) -> NetworkPoses:
    """A person at x, and one that no network is sure of."""
    points = np.stack([np.full((4, 2), x), np.full((4, 2), 500.0)])[None]
    scores = np.array([[score, 0.9 * SURE]])
    return NetworkPoses(scores, points, np.ones((1, 2, 4)), np.zeros((1, 2, 8)))


def test_drift_compares_sure_people_with_the_nearest() -> None:
    reference = [network_poses(0.0), network_poses(0.0), network_poses(0.0)]
    other = [network_poses(3.0), network_poses(3.0, 0.8), network_poses(4 * LOST_PX)]
    apart = drift(reference, other)
    assert apart.people == 3
    assert apart.keypoints_px == pytest.approx(3 * 2**0.5)
    assert apart.scores == pytest.approx(0.0)  # the median of 0, 0.1 and 0
    assert apart.lost == pytest.approx(1 / 3)
    assert drift([network_poses(0.0, 0.1)], [network_poses(0.0)]).people == 0


def test_int8_stays_near_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    interface = export_onnx(tiny_model(CONFIG), CONFIG, {}, source, split=False)
    every = quantise._layers
    chosen: list[str] = []

    def some(model: object) -> dict[str, list[str]]:
        layers = every(model)
        chosen.extend(list(layers)[-2:])
        return {name: layers[name] for name in chosen}

    monkeypatch.setattr(quantise, "_layers", some)
    monkeypatch.setattr("vepe.inference.comparison.SURE", 0.0)
    images = moving_frames(6, 96, 64)
    layers, whole = quantise.quantise(source, target, interface, CONFIG, images)
    assert {layer.name for layer in layers} == set(chosen)
    assert whole.people > 0
    quantised = onnx.load(str(target))
    assert any(node.op_type == "QuantizeLinear" for node in quantised.graph.node)
    metadata = read_metadata(target)
    assert metadata["precision"] == "int8"
    suffering = [layer.name for layer in layers if layer.suffers]
    assert json.loads(metadata["float_layers"]) == sorted(suffering, key=chosen.index)
    network, _ = open_network(target, "onnxruntime", "cpu")
    poses = list(stream_poses(network, CONFIG, images))
    assert all(np.isfinite(p.keypoints_px).all() for p in poses)

    monkeypatch.setattr("vepe.inference.comparison.SURE", 2.0)
    with pytest.raises(VepeError, match="finds no people in these frames"):
        quantise.quantise(source, target, interface, CONFIG, images)


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("/backbone/net/blocks.1/blocks.1.0/bn1/act/Clip_output_0", "backbone blocks.1.0"),
        ("/pyramid/down.0/expand/Conv_output_0", "pyramid down.0"),
        ("/fine_map/coarse/Conv_output_0", "fine_map coarse"),
        ("/head/Conv_output_0", "head"),
    ],
)
def test_names_of_layers(path: str, layer: str) -> None:
    assert quantise._layer(path) == layer


def convolutions(channels: int, *, second_reader: bool = False) -> dict[str, list[int]]:
    """Pads 1 x 1, depthwise and 1 x 1 convolutions; returns the shapes of their weights."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    shapes = {"first": (channels, 3, 1, 1), "depthwise": (channels, 1, 3, 3)}
    shapes |= {"last": (5, channels, 1, 1)}
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    arrays |= {f"{name}_bias": rng.normal(size=shape[0]) for name, shape in shapes.items()}
    arrays |= {"low": np.array(0.0), "high": np.array(6.0)}
    nodes = [
        helper.make_node("Conv", ["image", "first", "first_bias"], ["a"]),
        helper.make_node("Clip", ["a", "low", "high"], ["b"]),
        helper.make_node("Conv", ["b", "depthwise", "depthwise_bias"], ["c"], group=channels),
        helper.make_node("Clip", ["c", "low", "high"], ["d"]),
        helper.make_node("Conv", ["d", "last", "last_bias"], ["e"]),
    ]
    outputs = ["e"]
    if second_reader:
        nodes.append(helper.make_node("Neg", ["b"], ["f"]))
        outputs.append("f")
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model = onnx.shape_inference.infer_shapes(model)
    image = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)

    def run() -> np.ndarray:
        onnx.checker.check_model(model, full_check=True)
        return onnxruntime.InferenceSession(model.SerializeToString()).run(["e"], {"image": image})

    before = run()
    pad_depthwise(model, 16)
    np.testing.assert_allclose(run(), before, rtol=1e-5, atol=1e-5)
    return {w.name: list(w.dims) for w in model.graph.initializer if w.name in shapes}


def test_depthwise_convolutions_get_whole_blocks_of_channels() -> None:
    assert convolutions(24) == {
        "first": [32, 3, 1, 1],
        "depthwise": [32, 1, 3, 3],
        "last": [5, 32, 1, 1],
    }
    assert convolutions(16)["last"] == [5, 16, 1, 1]
    assert convolutions(24, second_reader=True)["last"] == [5, 24, 1, 1]
