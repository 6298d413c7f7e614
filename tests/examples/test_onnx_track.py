"""The example without VEPE gives the ids and poses of `vepe track`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import vepe
from vepe.inference.model_files import bundled_weights

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "assets" / "store_aisle.mp4"


@pytest.mark.slow
def test_the_example_reproduces_the_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.delitem(sys.modules, "onnx_track", raising=False)
    from onnx_track import track

    path = bundled_weights("vepe-n", ".onnx")
    people: dict[int, dict[int, np.ndarray]] = {}
    for number, identity, _, points in track(str(path), str(CLIP)):
        people.setdefault(number, {})[identity] = points
    for poses in vepe.load("vepe-n", backend="onnxruntime").track(CLIP):
        own = people.get(poses.frame_index, {})
        assert sorted(own) == sorted(poses.track_ids.tolist()), poses.frame_index
        for identity, points in zip(poses.track_ids.tolist(), poses.keypoints_px, strict=True):
            np.testing.assert_allclose(own[identity], points, atol=0.05)
