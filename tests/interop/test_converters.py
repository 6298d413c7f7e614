"""Poses in other libraries: with the libraries where they are installed, else with stand-ins."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vepe import interop
from vepe.errors import VepeError
from vepe.skeleton import COCO17
from vepe.types import FramePoses, PoseTracks, VideoInfo


@pytest.fixture
def poses(rng: np.random.Generator) -> FramePoses:
    keypoints = rng.uniform(10, 90, (2, 17, 2)).astype(np.float32)
    keypoints[1, 4] = np.nan
    scores = rng.random((2, 17)).astype(np.float32)
    return FramePoses(3, 0.12, keypoints, scores, np.array([0.9, 0.5]), np.array([4, -1]))


@pytest.fixture
def tracks(poses: FramePoses) -> PoseTracks:
    video = VideoInfo("walk.mp4", 100, 100, 25.0)
    return PoseTracks(video, COCO17, (FramePoses.empty(0, 0.0, 17), poses))


class StandIn(types.ModuleType):
    """A library whose classes keep what they are given."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda **fields: types.SimpleNamespace(**fields)


@pytest.fixture(params=["library", "stand-in"])
def library(request, monkeypatch) -> Callable[[str], Any]:
    def load(name: str) -> Any:
        if request.param == "library":
            return pytest.importorskip(name, reason=f"extra {name}")
        monkeypatch.setitem(sys.modules, name, StandIn(name))
        return None

    return load


def test_supervision_has_the_track_ids(library, poses) -> None:
    real = library("supervision")
    points = interop.to_supervision(poses)
    assert points.xy.shape == (2, 17, 2)
    assert points.xy[1, 4].tolist() == [0, 0]
    np.testing.assert_array_equal(points.xy[0], poses.keypoints_px[0])
    assert points.data["tracker_id"].tolist() == [4, -1]
    assert points.detection_confidence.tolist() == pytest.approx([0.9, 0.5])
    boxes = interop.to_supervision_boxes(poses)
    assert boxes.tracker_id.tolist() == [4, -1]
    assert np.isfinite(boxes.xyxy).all()
    if real is not None:
        image = np.zeros((100, 100, 3), np.uint8)
        drawn = real.VertexAnnotator(radius=2).annotate(image.copy(), points)
        assert drawn.any()
        assert len(interop.to_supervision(FramePoses.empty(0, 0.0, 17))) == 0
        assert len(interop.to_supervision_boxes(FramePoses.empty(0, 0.0, 17))) == 0


def test_fiftyone_has_relative_points_and_ids(library, poses) -> None:
    library("fiftyone")  # it starts a database, so that it is not installed for the tests
    first, second = interop.to_fiftyone(poses, 100, 50).keypoints
    np.testing.assert_allclose(first.points, poses.keypoints_px[0] / [100, 50], rtol=1e-6)
    assert (first.index, second.index) == (4, None)
    assert np.isnan(second.points[4]).all()
    with pytest.raises(VepeError, match="real size"):
        interop.to_fiftyone(poses, 0, 50)


def test_xarray_has_movements_layout(tracks) -> None:
    pytest.importorskip("xarray")
    data = interop.to_xarray(tracks)
    assert data.sizes == {"time": 2, "space": 2, "keypoints": 17, "individuals": 1}
    nose = data.position.sel(individuals="id_4", keypoints="nose", time=0.12)
    np.testing.assert_array_equal(nose, tracks.frames[1].keypoints_px[0, 0])
    assert np.isnan(data.position.isel(time=0)).all()
    assert data.attrs["fps"] == 25.0


def test_movement_takes_it(tracks) -> None:
    pytest.importorskip("movement", reason="its dependencies are many")
    from movement.kinematics import compute_velocity
    from movement.validators.datasets import ValidPosesInputs

    data = interop.to_xarray(tracks)
    ValidPosesInputs.validate(data)
    assert compute_velocity(data.position).sizes == data.position.sizes


def test_sleap_has_a_track_for_each_id(tracks) -> None:
    pytest.importorskip("sleap_io", reason="extra sleap")
    labels = interop.to_sleap(tracks)
    assert [track.name for track in labels.tracks] == ["track_4"]
    assert [len(f.instances) for f in labels.labeled_frames] == [2]


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("supervision", lambda p, t: interop.to_supervision(p)),
        ("fiftyone", lambda p, t: interop.to_fiftyone(p, 9, 9)),
        ("xarray", lambda p, t: interop.to_xarray(t)),
        ("sleap_io", lambda p, t: interop.to_sleap(t)),
        ("rerun", lambda p, t: interop.log_poses(p)),
    ],
)
def test_missing_libraries_are_one_sentence(module, call, poses, tracks, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(VepeError, match=r"install it with pip install '\.\["):
        call(poses, tracks)


def test_names_load_on_first_use() -> None:
    assert set(interop.__all__) >= {"to_supervision", "to_xarray", "log_poses"}
    assert all(callable(getattr(interop, name)) for name in interop.__all__)
    with pytest.raises(AttributeError, match="no attribute 'to_nothing'"):
        _ = interop.to_nothing
