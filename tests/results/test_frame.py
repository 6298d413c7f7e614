"""`FrameResult`: poses with an image, drawings, plain values and notebooks."""

from __future__ import annotations

import base64
import io
import json
import pickle
import re
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from vepe.errors import VepeError
from vepe.results.frame import FrameResult
from vepe.results.images import held
from vepe.results.table import COLUMNS
from vepe.skeleton import POSETRACK15
from vepe.types import FramePoses
from vepe.viz.drawing import draw_poses
from vepe.viz.options import DrawingOptions


@pytest.fixture
def frame(tracks, images) -> FrameResult:
    """Two people, with their image."""
    return FrameResult.of(tracks[5], POSETRACK15, partial(held, images[5]), "a/5.jpg")


def test_it_is_frame_poses(frame, tracks) -> None:
    assert isinstance(frame, FramePoses)
    assert frame.keypoints_px is tracks[5].keypoints_px
    one = frame.select(frame.track_ids == 2)
    assert isinstance(one, FrameResult)
    assert (one.track_ids.tolist(), one.skeleton, one.name) == ([2], POSETRACK15, "a/5.jpg")
    assert type(frame.poses) is FramePoses
    assert len(repr(frame)) < 80
    assert repr(frame) == "FrameResult(frame 5 at 0.20 s: 2 people, ids 1, 2)"
    assert hash(frame) != hash(one)  # and usable as keys


def test_draw_takes_options_and_leaves_the_image(frame, images) -> None:
    before = images[5].copy()
    drawn = frame.draw(boxes=True, min_keypoint_score=0.0)
    expected = draw_poses(
        images[5], frame, POSETRACK15, DrawingOptions(boxes=True, min_keypoint_score=0.0)
    )
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(frame.image, before)
    black = frame.draw(DrawingOptions(skeleton=False, ids=False), image=np.zeros_like(before))
    assert not black.any()
    with pytest.raises(VepeError, match="background is 'green'"):
        frame.draw(background="green")
    with pytest.raises(TypeError, match="colour"):
        frame.draw(colour="red")


def test_poses_without_an_image(tracks, images) -> None:
    frame = FrameResult.of(tracks[0], POSETRACK15)
    with pytest.raises(VepeError, match=r"draw\(image=...\)"):
        _ = frame.image
    assert frame.draw(image=images[0]).shape == images[0].shape
    assert frame._repr_png_() is None
    assert frame._repr_html_() == "<code>FrameResult(frame 0 at 0.00 s: 1 person, id 1)</code>"


def test_notebook_views_show_a_small_drawing(frame) -> None:
    large = np.zeros((900, 1600, 3), np.uint8)
    frame = replace(frame, load_image=partial(held, large))
    assert Image.open(io.BytesIO(frame._repr_png_())).size == (640, 360)
    html = frame._repr_html_()
    assert "FrameResult(frame 5" in html
    data = re.search(r'src="data:image/jpeg;base64,([^"]+)"', html)[1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert shown.shape == (360, 640, 3)
    assert shown.any()
    assert len(html) < 100_000


def test_to_dict_is_json(frame) -> None:
    points = frame.keypoints_px.copy()
    points[1, 3] = np.nan
    record = json.loads(json.dumps(replace(frame, keypoints_px=points).to_dict(), allow_nan=False))
    assert (record["frame"], record["time_s"], record["name"]) == (5, 0.2, "a/5.jpg")
    first, second = record["people"]
    assert (first["track_id"], second["track_id"]) == (1, 2)
    assert list(first["keypoints"]) == list(POSETRACK15.keypoints)
    nose = first["keypoints"]["nose"]
    np.testing.assert_allclose([nose["x"], nose["y"]], points[0, 0], atol=1e-3)
    assert second["keypoints"][POSETRACK15.keypoints[3]]["x"] is None
    np.testing.assert_allclose(
        second["box_xyxy_px"],
        [*np.nanmin(points[1], axis=0), *np.nanmax(points[1], axis=0)],
        atol=1e-3,
    )
    untracked = replace(frame, track_ids=np.full(2, -1)).to_dict()
    assert untracked["people"][0]["track_id"] is None


def test_to_pandas_is_a_long_table(frame) -> None:
    pytest.importorskip("pandas")
    table = frame.to_pandas()
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * len(POSETRACK15)
    row = table[(table.track_id == 2) & (table.keypoint == "left_knee")].iloc[0]
    k = POSETRACK15.index("left_knee")
    assert (row.frame, row.person, row.time_s) == (5, 1, 0.2)
    assert (row.x, row.y) == tuple(frame.keypoints_px[1, k])
    assert row.score == frame.keypoint_scores[1, k]
    empty = frame.select(np.array([], int)).to_pandas()
    assert tuple(empty.columns) == COLUMNS
    assert len(empty) == 0


def test_pandas_is_optional(frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(VepeError, match=r"needs the package pandas; install it with pip install"):
        frame.to_pandas()


def test_results_can_be_pickled(frame, images) -> None:
    copy = pickle.loads(pickle.dumps(frame))
    np.testing.assert_array_equal(copy.keypoints_px, frame.keypoints_px)
    np.testing.assert_array_equal(copy.image, images[5])
