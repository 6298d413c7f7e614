"""Which of a model's people become labels, which are ignored, and that `vepe train` reads them.

Bad input ends in one sentence and exit code 2.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vepe.data.images import ImageRecord
from vepe.data.shards import add_file, index_shard
from vepe.skeleton import COCO17, POSETRACK15, Skeleton
from vepe.types import FramePoses

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import pseudo_labels
from pseudo_labels import SourceImage, labelled

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


def png() -> bytes:
    return cv2.imencode(".png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes()


def source_image(people: list[dict[str, Any]]) -> SourceImage:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return SourceImage("a.png", pixels, png(), {"width": WIDTH, "height": HEIGHT}, people)


@pytest.mark.parametrize(
    ("before", "found", "after"),
    [
        ([], (10, 0.9, 0.9), [(10, 0, False)]),
        ([], (10, 0.3, 0.9), [(10, 1, False)]),  # no high score: ignored
        ([], (10, 0.9, 0.2), [(10, 1, False)]),  # no joint is confident: ignored
        ([], (180, 0.9, 0.9), [(180, 0, False)]),  # cut off: only the joints in view
        ([known(10, 0)], (12, 0.9, 0.9), [(10, 0, True)]),  # a label stays
        ([known(10, 0)], (100, 0.9, 0.9), [(10, 0, True), (100, 0, False)]),
        ([known(10, 1)], (12, 0.9, 0.9), [(12, 0, False)]),  # no longer ignored
        ([known(10, 1)], (12, 0.3, 0.9), [(10, 1, True), (12, 1, False)]),
        # A region of the shard on one of its own people stays; on a new person it does not.
        (
            [known(10, 0), known(14, 1)],
            (100, 0.9, 0.9),
            [(10, 0, True), (100, 0, False), (14, 1, True)],
        ),
        ([known(10, 0), known(100, 1)], (100, 0.9, 0.9), [(10, 0, True), (100, 0, False)]),
    ],
)
def test_people(before: list, found: tuple, after: list) -> None:
    result = labelled(Stub(found), source_image(before))  # type: ignore[arg-type]
    said = [(a["bbox"][0] + 4, a["iscrowd"], "known" in a) for a in result]
    assert [s[1:] for s in said] == [a[1:] for a in after]
    assert [s[0] for s in said] == pytest.approx([a[0] for a in after], abs=3)
    for annotation in result:
        seen = np.array(annotation["keypoints"]).reshape(-1, 3)
        assert (seen[:, 2] > 0).any() == (not annotation["iscrowd"])
        assert (seen[:, :2] < (WIDTH, HEIGHT)).all()


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudo_labels, "load", lambda *_, **__: Stub((10, 0.9, 0.9), (90, 0.3, 1)))


def label(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["x", *map(str, arguments)])
    pseudo_labels.main()


def write_video(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    code = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), code, 25, (WIDTH, HEIGHT))
    for _ in range(5):
        writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    writer.release()


def write_tar(
    path: Path,
    names: tuple[str, ...] = ("a.png",),
    image: bytes | None = None,
    skeleton: Skeleton = POSETRACK15,
    **extra: object,
) -> Path:
    """A shard with one person per image; its labels come last and have another name."""
    person = known(90, 0) | extra
    person["keypoints"] = person["keypoints"][:3] * len(skeleton)
    category = {"id": 7, "name": "person", "keypoints": list(skeleton.keypoints)}
    entries = [
        {"id": i, "file_name": n, "width": WIDTH, "height": HEIGHT, "video_id": 1, "frame_index": i}
        for i, n in enumerate(names)
    ]
    people = [person | {"id": i, "image_id": i, "category_id": 7} for i in range(len(names))]
    document = {"images": entries, "annotations": people, "categories": [category]}
    files = {f"images/{n}": png() if image is None else image for n in names}
    files["labels.json"] = json.dumps(document).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            add_file(tar, name, content)
    return path


def test_videos_become_a_shard_for_training(tmp_path: Path, monkeypatch, capsys) -> None:
    write_video(tmp_path / "videos" / "clip.mp4")
    out = tmp_path / "own.tar"
    label(monkeypatch, out, "--videos", tmp_path / "videos", "--step", 2)
    assert "3 images, 3 people, 3 regions ignored" in capsys.readouterr().out
    index = index_shard(out, cache=tmp_path / "cache")
    assert [index.name(row) for row in range(3)] == [f"clip_0000{n}.webp" for n in (0, 2, 4)]
    assert (index.people_counts() == 1).all()


def test_images_of_one_name_and_videos_of_one_number_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = [write_tar(tmp_path / f"{n}.tar", ("a.png", "b.png")) for n in range(3)]
    out = tmp_path / "own.tar"
    label(monkeypatch, out, "--skip", "b", "--shards", *shards)
    index = index_shard(out)
    names = [index.name(row) for row in range(len(index))]
    assert names == ["a.png", "001/a.png", "002/a.png"]
    assert len(set(index.video.tolist())) == 3
    assert index.people_counts().tolist() == [2] * 3  # the shard's person, and a new one
    label(monkeypatch, tmp_path / "first.tar", "--first", 2, "--shards", *shards)
    assert len(index_shard(tmp_path / "first.tar")) == 2


def test_each_image_is_labelled_before_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = [write_tar(tmp_path / f"{n}.tar", ("a.png", "b.png")) for n in range(2)]
    calls: list[str] = []
    read, predict = ImageRecord.image, Stub.predict
    monkeypatch.setattr(ImageRecord, "image", lambda r: calls.append("read") or read(r))
    monkeypatch.setattr(Stub, "predict", lambda m, i: calls.append("label") or predict(m, i))
    label(monkeypatch, tmp_path / "own.tar", "--first", 3, "--shards", *shards)
    assert calls == ["read", "label"] * 3


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("missing shard", "There is no shard"),
        ("no tar", "cannot be read"),
        ("other skeleton", "other keypoints than the model (without head_bottom, head_top and"),
        ("damaged image", "is not a readable image; replace it"),
        ("no bbox", "without a bbox"),
        ("all skipped", "There are no images to label"),
        ("nothing", "There are no images to label"),
        ("missing folder", "There is no folder"),
        ("no video", "has no .mp4 file"),
        ("damaged video", "broken.mp4"),
        ("output", "is already there; remove it"),
        ("shard as output", "would replace"),
        ("pattern", "--skip is no regular expression"),
        ("first", "--first is 0"),
        ("step", "The stride is 0"),
    ],
)
def test_bad_input_is_one_sentence(
    case: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out, folder, text = tmp_path / "own.tar", tmp_path / "videos", tmp_path / "text.tar"
    good = write_tar(tmp_path / "good.tar")
    text.write_text("text")
    (tmp_path / "old.tar").write_bytes(b"old")
    (tmp_path / "empty").mkdir()
    if case == "step":
        write_video(folder / "clip.mp4")
    if case == "damaged video":
        folder.mkdir()
        (folder / "broken.mp4").write_bytes(b"no video")
    arguments: dict[str, list[object]] = {
        "missing shard": [out, "--shards", good, tmp_path / "absent.tar"],
        "no tar": [out, "--shards", text],
        "other skeleton": [out, "--shards", write_tar(tmp_path / "coco.tar", skeleton=COCO17)],
        "damaged image": [out, "--shards", write_tar(tmp_path / "bad.tar", image=b"no image")],
        "no bbox": [out, "--shards", write_tar(tmp_path / "bare.tar", bbox=None)],
        "all skipped": [out, "--shards", good, "--skip", "a"],
        "nothing": [out],
        "missing folder": [out, "--videos", folder],
        "no video": [out, "--videos", tmp_path / "empty"],
        "damaged video": [out, "--videos", folder],
        "output": [tmp_path / "old.tar", "--shards", good],
        "shard as output": [good, "--shards", good],
        "pattern": [out, "--shards", good, "--skip", "("],
        "first": [out, "--shards", good, "--first", 0],
        "step": [out, "--videos", folder, "--step", 0],
    }
    with pytest.raises(SystemExit) as ended:
        label(monkeypatch, *arguments[case])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert says in error
    assert error.count("\n") == 1
    assert "--overwrite" not in error
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))
