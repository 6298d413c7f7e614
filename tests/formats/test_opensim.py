"""OpenSim's files have the layout of its user guide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe.formats.columns import write_columns
from vepe.formats.opensim import coordinate_names, write_mot, write_trc


def test_trc(tmp_path: Path) -> None:
    places = np.arange(12.0).reshape(2, 2, 3)
    places[1, 0] = np.nan
    path = write_trc(tmp_path / "a.trc", ["nose", "left_hip"], np.array([0, 0.04]), places, 25.0)
    lines = path.read_text().split("\n")
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\ta.trc"
    keys, values = lines[1].split("\t"), lines[2].split("\t")
    assert dict(zip(keys, values, strict=True)) == {
        "DataRate": "25", "CameraRate": "25", "NumFrames": "2", "NumMarkers": "2", "Units": "m",
        "OrigDataRate": "25", "OrigDataStartFrame": "1", "OrigNumFrames": "2",
    }  # fmt: skip
    assert lines[3] == "Frame#\tTime\tnose\t\t\tleft_hip\t\t"
    assert lines[4] == "\t\tX1\tY1\tZ1\tX2\tY2\tZ2"
    assert lines[5] == ""
    assert lines[6].split("\t") == ["1", "0.000000", *(f"{v:.6f}" for v in range(6))]
    assert lines[7].split("\t") == [
        "2",
        "0.040000",
        "",
        "",
        "",
        "9.000000",
        "10.000000",
        "11.000000",
    ]
    assert lines[8:] == [""]


def test_mot(tmp_path: Path) -> None:
    columns = {"knee_angle_r": np.array([1.0, 2.0]), "hip_flexion_r": np.array([-3.0, 4.5])}
    path = write_mot(tmp_path / "a.mot", np.array([0.5, 0.6]), columns)
    head, data = path.read_text().split("endheader\n")
    assert head.startswith("Coordinates\nversion=1\nnRows=2\nnColumns=3\ninDegrees=yes\n")
    rows = [line.split("\t") for line in data.strip().split("\n")]
    assert rows[0] == ["time", "knee_angle_r", "hip_flexion_r"]
    np.testing.assert_allclose(np.array(rows[1:], float), [[0.5, 1, -3], [0.6, 2, 4.5]])


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(VepeError, match="no frame"):
        write_trc(tmp_path / "a.trc", ["nose"], np.zeros(0), np.zeros((0, 1, 3)), 25.0)
    with pytest.raises(VepeError, match="no angle"):
        write_mot(tmp_path / "a.mot", np.zeros(2), {})
    assert list(tmp_path.iterdir()) == []


def test_names_of_coordinates() -> None:
    columns = ["left_knee_flexion_deg", "right_elbow_flexion_deg", "trunk_segment_deg"]
    assert coordinate_names(columns) == {
        "right_elbow_flexion_deg": "elbow_flex_r",
        "left_knee_flexion_deg": "knee_angle_l",
    }


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_columns(tmp_path: Path, ending: str) -> None:
    import json

    columns = {"frame": np.array([3, 4]), "angle": np.array([1.23456789, np.nan])}
    path = write_columns(tmp_path / f"a.{ending}", columns, {"people": [{"id": 1}]})
    if ending == "csv":
        assert path.read_text().split() == ["frame,angle", "3,1.2346", "4,"]
    elif ending == "json":
        document = json.loads(path.read_text())
        assert document == {
            "people": [{"id": 1}],
            "columns": {"frame": [3, 4], "angle": [1.2346, None]},
        }
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        table = parquet.read_table(path)
        assert table.to_pydict() == {"frame": [3, 4], "angle": [1.2346, None]}
        assert json.loads(table.schema.metadata[b"vepe.people"]) == [{"id": 1}]
