"""The profile by part names the modules of the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_models import TINY, moving_frames, tiny_model
from vepe.inference.network_parts import REST, part_of, time_parts

pytest.importorskip("onnx")


@pytest.mark.parametrize(
    ("node", "part"),
    [
        ("/backbone/net/conv_stem/Conv_kernel_time", "backbone"),
        ("/Where_kernel_time", REST),
        ("/Slice_1/Fusion_kernel_time", REST),
        ("Conv_token_1_kernel_time", REST),
    ],
)
def test_parts_are_the_modules_of_nodes(node: str, part: str) -> None:
    assert part_of(node) == part


def test_all_parts_of_a_model_are_timed(tmp_path: Path) -> None:
    from vepe.inference.export import export_onnx

    path = tmp_path / "tiny.onnx"
    interface = export_onnx(tiny_model(TINY), TINY, {}, path)
    parts = time_parts(path, interface, TINY, moving_frames(4), input_px=96)
    assert {"backbone", "pyramid", "spatial_decoder", REST} <= set(parts)
    assert list(parts.values()) == sorted(parts.values(), reverse=True)
    assert min(parts.values()) >= 0
