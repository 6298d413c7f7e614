"""Drawing options are checked when they are made, without NumPy or OpenCV."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest

from vepe.errors import VepeError
from vepe.viz.options import DrawingOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trail_s": -1}, "length of trails is -1"),
        ({"trail_s": math.nan}, "length of trails is nan"),
        ({"min_keypoint_score": 1.5}, "0 to 1"),
        ({"line_width_px": 0}, "line width is 0"),
        ({"line_width_px": math.inf}, "line width is inf"),
        ({"background": "white"}, "background is 'white'.*image, blur, black"),
        ({"hide": "heads"}, "hide is 'heads'.*faces"),
        ({"hide_by": "mosaic"}, "pixelate"),
    ],
)
def test_wrong_values(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(VepeError, match=message):
        DrawingOptions(**wrong)


def test_any_collection_of_ids() -> None:
    assert DrawingOptions(only_ids=[3, 1, 3]).only_ids == {1, 3}  # type: ignore[arg-type]


def test_changed_is_json_without_the_defaults() -> None:
    assert DrawingOptions().changed() == {}
    options = DrawingOptions(ids=False, only_ids=frozenset({3, 1}), names={3: "Ada"}, trail_s=2.0)
    expected = {"ids": False, "only_ids": [1, 3], "names": {"3": "Ada"}, "trail_s": 2.0}
    assert json.loads(json.dumps(options.changed())) == expected


def test_loads_without_numpy() -> None:
    code = "import sys, vepe.viz.options; print([m for m in ('numpy', 'cv2') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
