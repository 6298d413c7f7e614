"""Shards made from any set, and fetched from a server once, whole and resumed."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from figures.sets import write_coco, write_posetrack18
from vepe.config.data import FramesConfig, StillsConfig
from vepe.config.training import StageConfig
from vepe.data.images import ImageIndex, LabelPolicy
from vepe.data.read_labels import posetrack_files, read_label_files
from vepe.data.remote import expand, fetch, is_remote
from vepe.data.shards import index_shard, write_shards
from vepe.errors import VepeError
from vepe.skeleton import COCO17, POSETRACK15
from vepe.training.sources import build_source, check_shards, read_images


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files with ranges; may break off early, or refuse ranges."""

    breaks_at: ClassVar[list[int]] = []
    ranges: ClassVar[bool] = True
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        asked = self.headers.get("Range")
        self.asked.append((path.name, asked))
        if not path.is_file():
            self.send_error(404)
            return
        data, start = path.read_bytes(), 0
        if asked and self.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        stop = self.breaks_at.pop(0) if self.breaks_at else len(data)
        self.wfile.write(data[start:stop])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    Handler.breaks_at, Handler.ranges, Handler.asked = [], True, []
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(folder))
    ) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{008..010}.tar", ["a-008.tar", "a-009.tar", "a-010.tar"]),
        ("{0..1}/{7..7}", ["0/7", "1/7"]),
    ],
)
def test_ranges_in_names(pattern: str, expected: list[str]) -> None:
    assert expand(pattern) == expected


def test_addresses_and_paths() -> None:
    assert is_remote("https://host/a.tar")
    assert not any(map(is_remote, ("train/*.tar", "/data/a.tar", r"C:\data\a.tar")))
    with pytest.raises(VepeError, match="is descending"):
        expand("a-{3..1}.tar")


DATA = np.random.default_rng(0).bytes(100_000)


@pytest.mark.parametrize(
    ("breaks_at", "ranges", "requests"),
    [([], True, [None]), ([40_000, 70_000], True, [None, "bytes=40000-", "bytes=70000-"]),
     ([40_000], False, [None, "bytes=40000-"])],
)  # fmt: skip
def test_a_file_is_fetched_once_and_goes_on(
    server: str, tmp_path: Path, breaks_at: list[int], ranges: bool, requests: list[str | None]
) -> None:
    (tmp_path / "served/x.tar").write_bytes(DATA)
    Handler.breaks_at, Handler.ranges = list(breaks_at), ranges
    told: list[tuple[int, int | None]] = []
    path = fetch(
        f"{server}/x.tar",
        folder=tmp_path / "cache",
        progress=lambda _, done, whole: told.append((done, whole)),
    )
    assert path.read_bytes() == DATA
    assert [asked for _, asked in Handler.asked] == requests
    assert told[-1] == (len(DATA), len(DATA))
    assert fetch(f"{server}/x.tar", folder=tmp_path / "cache") == path
    assert len(Handler.asked) == len(requests)
    assert not list(path.parent.glob("*.part"))


def test_what_an_earlier_run_left_is_used(server: str, tmp_path: Path) -> None:
    (tmp_path / "served/x.tar").write_bytes(DATA)
    Handler.breaks_at = [30_000] * 4
    Handler.ranges = False
    with pytest.raises(VepeError, match="download will be resumed"):
        fetch(f"{server}/x.tar", folder=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("x.tar"))
    (part,) = (tmp_path / "cache").rglob("x.tar.part")
    part.write_bytes(DATA)  # all bytes came, but the process died before the renaming
    Handler.breaks_at, Handler.ranges = [], True
    assert fetch(f"{server}/x.tar", folder=tmp_path / "cache").read_bytes() == DATA


def test_checksums_and_wrong_addresses(server: str, tmp_path: Path) -> None:
    (tmp_path / "served/x.tar").write_bytes(DATA)
    right = hashlib.sha256(DATA).hexdigest()
    with pytest.raises(VepeError, match="has the SHA-256"):
        fetch(f"{server}/x.tar#sha256={'0' * 64}", folder=tmp_path / "cache")
    assert fetch(f"{server}/x.tar#sha256={right}", folder=tmp_path / "cache").is_file()
    with pytest.raises(VepeError, match="the server says 404"):
        fetch(f"{server}/y.tar", folder=tmp_path / "cache")


def test_a_set_in_shards_says_what_the_set_says(tmp_path: Path) -> None:
    for n in range(3):
        write_posetrack18(tmp_path, f"00000{n}_bonn_train", frames=5, labelled={0, 1, 4}, seed=n,
                          region=[(100, 0), (150, 0), (150, 60), (100, 60)])  # fmt: skip
    files = posetrack_files(tmp_path, "train")
    index = read_label_files(files, tmp_path, single=False)
    pictures = ImageIndex([index], POSETRACK15, LabelPolicy(fps=10))
    size = pictures[0].num_bytes() * 7 / 1e6
    shards = write_shards(tmp_path / "packed", pictures, megabytes=size)
    assert [s.name for s in shards] == ["packed-000.tar", "packed-001.tar"]
    with pytest.raises(VepeError, match="already exists; add --overwrite"):
        write_shards(tmp_path / "packed", pictures, megabytes=size)
    found = ImageIndex([index_shard(s) for s in shards], POSETRACK15)
    assert len(found) == len(pictures) == 15
    assert np.array_equal(found.videos(), pictures.videos())  # no video is torn
    assert np.allclose(found.times_s(), pictures.times_s())
    assert np.array_equal(found.column("labelled"), pictures.column("labelled"))
    for one, other in zip(found, pictures, strict=True):
        assert one.raw() == other.raw()
        assert one.size_wh_px == other.size_wh_px
        a, b = one.people, other.people
        assert np.array_equal(a.visibility, b.visibility)
        assert np.array_equal(a.track_ids, b.track_ids)
        for name in ("keypoints_px", "boxes_xyxy_px", "areas_px", "head_boxes_xyxy_px"):
            assert np.allclose(getattr(a, name), getattr(b, name), atol=1e-3), name
        assert np.allclose(a.ignore_boxes_xyxy_px, b.ignore_boxes_xyxy_px, atol=1e-3)
        assert not one.labelled or one.background_weight == 1


def test_training_reads_shards_by_address(server: str, tmp_path: Path) -> None:
    write_posetrack18(tmp_path, frames=5)
    index = read_label_files(posetrack_files(tmp_path, "train"), tmp_path, single=False)
    write_shards(tmp_path / "served/pt", ImageIndex([index], POSETRACK15))
    write_coco(tmp_path / "coco")
    labels = read_label_files([tmp_path / "coco/labels.json"], tmp_path / "coco", single=True)
    write_shards(tmp_path / "served/st", ImageIndex([labels], COCO17))
    video = FramesConfig(shards=(f"{server}/pt/pt-{{000..000}}.tar",))
    stills = StillsConfig(shards=(f"{server}/st/st-000.tar",))
    stage = StageConfig(name="s", steps=1, frames=2, size_px=96, data=(video, stills))
    check_shards(stage, tmp_path)
    assert Handler.asked == []
    for config in stage.data:
        clip = build_source(config, stage, tmp_path, POSETRACK15, 0)[0]
        assert clip.images.shape == (2, 96, 96, 3)
        assert clip.background_weight == 1
    assert len(Handler.asked) == 2
    assert len(read_images(stills, tmp_path, POSETRACK15)) == 4
    assert len(Handler.asked) == 2


def test_a_shard_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_posetrack18(tmp_path, frames=2)
    index = read_label_files(posetrack_files(tmp_path, "train"), tmp_path, single=False)
    labels = ImageIndex([index], POSETRACK15)
    (shard,) = write_shards(tmp_path / "shards", labels)
    for folder, name in ((tmp_path, shard.relative_to(tmp_path)), (shard.parent, shard.name)):
        monkeypatch.chdir(folder)  # the second time it comes from the cache
        assert ImageIndex([index_shard(Path(name))], POSETRACK15)[0].raw()
