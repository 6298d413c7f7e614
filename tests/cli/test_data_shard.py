"""`vepe data shard` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from vepe.cli.data import app
from vepe.data.images import ImageIndex
from vepe.data.shards import index_shard
from vepe.errors import VepeError, VepeWarning
from vepe.formats.folder_lock import locked_folder
from vepe.skeleton import COCO17


def write_set(root: Path) -> Path:
    """Three images of one person each; the image of the last is missing."""
    root.mkdir()
    for i in range(2):
        cv2.imwrite(str(root / f"{i}.png"), np.full((40, 30, 3), 90 * i, np.uint8))
    triples = np.tile([10.0, 12.0, 2.0], 17).tolist()
    person = {"category_id": 1, "keypoints": triples, "bbox": [5, 5, 20, 30], "area": 300}
    labels = {
        "images": [{"id": i + 1, "file_name": f"{i}.png"} for i in range(3)],
        "annotations": [{"id": i + 1, "image_id": i + 1} | person for i in range(3)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.keypoints)}],
    }
    path = root / "labels.json"
    path.write_text(json.dumps(labels))
    return path


def test_data_set_is_packed_once(tmp_path: Path) -> None:
    labels, out = write_set(tmp_path / "set"), tmp_path / "packed"
    arguments = ["shard", str(labels), "-o", str(out), "--stills"]
    with pytest.warns(VepeWarning, match="1 of 3 images are missing"):
        done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert [path.name for path in out.iterdir()] == ["packed-000.tar"]
    assert "2 images, 2 people." in done.output
    stills = ImageIndex([index_shard(out / "packed-000.tar")], COCO17)
    assert [int(s.image().mean()) for s in stills] == [0, 90]
    with pytest.warns(VepeWarning, match="missing"):
        again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, VepeError)
    assert "add --overwrite" in str(again.exception)
    with locked_folder(out), pytest.warns(VepeWarning, match="missing"):
        second = CliRunner().invoke(app, [*arguments, "--overwrite"])
    assert "Another run writes into" in str(second.exception)
    strict = CliRunner().invoke(app, [*arguments, "--overwrite", "--strict"])
    assert "1 of 3 images are missing" in str(strict.exception)
    assert len(ImageIndex([index_shard(out / "packed-000.tar")], COCO17)) == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--on", "slurm"], "--on is 'slurm'; the only kind of cluster is ray."),
        (["--address", "auto"], "--address is for clusters; add --on ray."),
        (["--on", "ray", "--address", "127.0.0.1:1"], "No Ray cluster answers at '127.0.0.1:1'"),
    ],
)
def test_wrong_clusters(words: list[str], error: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    labels = write_set(tmp_path / "set")
    (tmp_path / "set" / "2.png").write_bytes((tmp_path / "set" / "1.png").read_bytes())
    result = CliRunner().invoke(
        app, ["shard", str(labels), "-o", str(tmp_path / "out"), "--stills", *words]
    )
    assert isinstance(result.exception, VepeError)
    assert error in str(result.exception)
    assert not list(tmp_path.glob("out/*.tar"))


def test_resume_writes_what_is_missing(tmp_path: Path) -> None:
    labels, out = write_set(tmp_path / "set"), tmp_path / "packed"
    (tmp_path / "set" / "2.png").write_bytes((tmp_path / "set" / "1.png").read_bytes())
    arguments = ["shard", str(labels), "-o", str(out), "--stills", "--resume"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    before = (out / "packed-000.tar").stat().st_mtime_ns
    again = CliRunner().invoke(app, arguments)
    assert "3 images, 3 people." in again.output
    assert (out / "packed-000.tar").stat().st_mtime_ns == before
