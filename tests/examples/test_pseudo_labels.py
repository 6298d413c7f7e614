"""Which of a model's people become labels, which are ignored, and that `vepe train` reads them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vepe.data.shards import index_shard
from vepe.skeleton import POSETRACK15
from vepe.types import FramePoses

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import pseudo_labels
from pseudo_labels import Picture, labelled

WIDTH, HEIGHT = 200, 100


def pose(x: float, size: float = 40) -> np.ndarray:
    """Keypoints (K, 2) on the diagonal of a square box at (x, 20)."""
    return np.linspace([x, 20], [x + size, 20 + size], len(POSETRACK15))


class Stub:
    """A model that finds given people."""

    skeleton = POSETRACK15

    def __init__(self, *people: tuple[float, float, float]) -> None:
        """People by place, score and confidence of their keypoints."""
        self.people = people

    def predict(self, _: np.ndarray) -> FramePoses:
        where, scores, confidence = (np.array(column) for column in zip(*self.people, strict=True))
        points = np.stack([pose(x) for x in where])
        confidences = np.repeat(confidence[:, None], len(POSETRACK15), axis=1)
        return FramePoses(0, 0.0, points, confidences, scores, np.zeros(len(where), int))


def known(x: float, iscrowd: int) -> dict[str, Any]:
    """A person that the shard already has."""
    keypoints = np.zeros((len(POSETRACK15), 3))
    keypoints[:, :2], keypoints[:, 2] = pose(x), 2 * (1 - iscrowd)
    box = [x - 4.0, 16.0, 48.0, 48.0]
    return {"iscrowd": iscrowd, "bbox": box, "keypoints": keypoints.ravel().tolist(), "known": True}


def picture(people: list[dict[str, Any]]) -> Picture:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    encoded = cv2.imencode(".png", pixels)[1].tobytes()
    return Picture("a.png", pixels, encoded, {"width": WIDTH, "height": HEIGHT}, people)


@pytest.mark.parametrize(
    ("before", "found", "after"),
    [
        ([], (10, 0.9, 0.9), [(10, 0, False)]),
        ([], (10, 0.3, 0.9), [(10, 1, False)]),  # no high score: ignored
        ([], (10, 0.9, 0.2), [(10, 1, False)]),  # no joint is sure: ignored
        ([], (180, 0.9, 0.9), [(180, 0, False)]),  # cut off: only the joints in view
        ([known(10, 0)], (12, 0.9, 0.9), [(10, 0, True)]),  # a label stays
        ([known(10, 0)], (100, 0.9, 0.9), [(10, 0, True), (100, 0, False)]),
        ([known(10, 1)], (12, 0.9, 0.9), [(12, 0, False)]),  # no longer ignored
        ([known(10, 1)], (12, 0.3, 0.9), [(10, 1, True), (12, 1, False)]),
    ],
)
def test_people(before: list, found: tuple, after: list) -> None:
    result = labelled(Stub(found), picture(before))  # type: ignore[arg-type]
    said = [(a["bbox"][0] + 4, a["iscrowd"], "known" in a) for a in result]
    assert [s[1:] for s in said] == [a[1:] for a in after]
    assert [s[0] for s in said] == pytest.approx([a[0] for a in after], abs=3)
    for annotation in result:
        seen = np.array(annotation["keypoints"]).reshape(-1, 3)
        assert (seen[:, 2] > 0).any() == (not annotation["iscrowd"])
        assert (seen[:, :2] < (WIDTH, HEIGHT)).all()


def test_the_shard_is_read_by_training(tmp_path: Path, monkeypatch, capsys) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    writer = cv2.VideoWriter(
        str(folder / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (WIDTH, HEIGHT)
    )
    for _ in range(5):
        writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    writer.release()
    monkeypatch.setattr(pseudo_labels, "load", lambda *_, **__: Stub((10, 0.9, 0.9), (90, 0.3, 1)))
    out = tmp_path / "own.tar"
    monkeypatch.setattr(sys, "argv", ["x", str(out), "--videos", str(folder), "--step", "2"])
    pseudo_labels.main()
    assert "3 images, 3 people, 3 regions ignored" in capsys.readouterr().out
    index = index_shard(out, cache=tmp_path / "cache")
    assert len(index) == 3
