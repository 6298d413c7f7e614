"""Tar shards: labels in any skeleton, damaged files, and shards written from a data set."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from figures.sets import write_posetrack18
from figures.shards import make_shard, read_shard
from vepe.data.images import ImageIndex, LabelPolicy
from vepe.data.read_labels import posetrack_files, read_label_files
from vepe.data.shards import ShardPlan, index_shard, write_shards
from vepe.errors import VepeError
from vepe.skeleton import COCO17, POSETRACK15


def test_labels_are_in_the_requested_skeleton(tmp_path: Path) -> None:
    path = make_shard(tmp_path / "a.tar")
    own = read_shard(path, POSETRACK15, LabelPolicy(incomplete=0.25))
    other = read_shard(path, COCO17)
    assert [s.background_weight for s in own] == [1.0, 0.25, 1.0, 0.25]
    assert own[0].image().shape == (120, 100, 3)
    people = own[0].people
    assert people.visibility[0, 0] == 0
    assert len(people.ignore_boxes_xyxy_px) == 1
    wrist = "left_wrist"
    a = people.keypoints_px[0, POSETRACK15.index(wrist)]
    b = other[0].people.keypoints_px[0, COCO17.index(wrist)]
    assert np.array_equal(a, b)
    assert other[0].people.visibility[0, COCO17.index("left_ear")] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no shard"), (b"", "cannot be read"), (b"not a tar at all" * 100, "cannot be read")],
)
def test_broken_shards_are_errors(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VepeError, match=message):
        read_shard(path, POSETRACK15)


def header(size: int, kind: bytes, name: str = "a.json") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse_header(size: int) -> bytes:
    """A file of one byte that states to have `size` bytes, most of them in a hole."""
    raw = bytearray(header(1, tarfile.GNUTYPE_SPARSE))
    raw[386:398], raw[398:410] = b"%011o\0" % (size - 1), b"%011o\0" % 1
    raw[483:495] = b"%011o\0" % size
    raw[148:156] = b"        "
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


@pytest.mark.parametrize(
    "start",
    [
        sparse_header(2**32),
        header(2**50, tarfile.REGTYPE),
        header(2**50, tarfile.XHDTYPE),
        header(2**50, tarfile.GNUTYPE_LONGNAME),
    ],
    ids=["sparse", "file", "extended header", "long name"],
)
def test_sizes_in_headers_are_checked(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(start + bytes(4096))
    with pytest.raises(VepeError, match=r"cannot be read|not possible"):
        read_shard(path, POSETRACK15)


def test_shards_have_the_labels_of_the_data_set(tmp_path: Path) -> None:
    for n in range(3):
        write_posetrack18(tmp_path, f"00000{n}_bonn_train", frames=5, labelled={0, 1, 4}, seed=n,
                          region=[(100, 0), (150, 0), (150, 60), (100, 60)])  # fmt: skip
    files = posetrack_files(tmp_path, "train")
    index = read_label_files(files, tmp_path, single=False)
    images = ImageIndex([index], POSETRACK15, LabelPolicy(fps=10))
    size = images[0].num_bytes() * 7 / 1e6
    shards = write_shards(tmp_path / "packed", images, megabytes=size)
    assert [s.name for s in shards] == ["packed-000.tar", "packed-001.tar"]
    with pytest.raises(VepeError, match="already exists; add --overwrite"):
        write_shards(tmp_path / "packed", images, megabytes=size)
    packed = ImageIndex([index_shard(s) for s in shards], POSETRACK15)
    assert len(packed) == len(images) == 15
    assert np.array_equal(packed.videos(), images.videos())  # no video is split
    assert np.allclose(packed.times_s(), images.times_s())
    assert np.array_equal(packed.column("labelled"), images.column("labelled"))
    for one, other in zip(packed, images, strict=True):
        assert one.raw() == other.raw()
        assert one.size_wh_px == other.size_wh_px
        a, b = one.people, other.people
        assert np.array_equal(a.visibility, b.visibility)
        assert np.array_equal(a.track_ids, b.track_ids)
        for name in ("keypoints_px", "boxes_xyxy_px", "areas_px", "head_boxes_xyxy_px"):
            assert np.allclose(getattr(a, name), getattr(b, name), atol=1e-3), name
        assert np.allclose(a.ignore_boxes_xyxy_px, b.ignore_boxes_xyxy_px, atol=1e-3)
        assert not one.labelled or one.background_weight == 1


def test_written_shards_are_recognised(tmp_path: Path) -> None:
    """By labels and images: another division, other labels or a changed image is no done shard."""
    for n in range(3):
        write_posetrack18(tmp_path, f"00000{n}_bonn_train", frames=5, labelled={0, 1, 4}, seed=n)
    index = read_label_files(posetrack_files(tmp_path, "train"), tmp_path, single=False)
    images = ImageIndex([index], POSETRACK15)
    size = images[0].num_bytes() * 4 / 1e6
    plan = ShardPlan.of(tmp_path / "packed", images, megabytes=size)
    assert plan.todo() == plan.todo(resume=True) == [0, 1, 2]
    plan.write(1)
    assert plan.todo(resume=True) == [0, 2]
    with pytest.raises(VepeError, match="already exists; add --overwrite"):
        plan.todo()
    write_shards(tmp_path / "packed", images, megabytes=size, overwrite=True)
    assert plan.todo(resume=True) == []

    others = "is of other labels, images or options; add --overwrite to replace it"
    for other in (
        ShardPlan.of(tmp_path / "packed", images, megabytes=2 * size),
        ShardPlan.of(tmp_path / "packed", images, megabytes=size, complete=False),
    ):
        with pytest.raises(VepeError, match=others):
            other.todo(resume=True)
    assert other.todo(resume=True, overwrite=True) == [0, 1, 2]

    record = images[12]
    changed = record.place / record.name
    later = plan.path(2).stat().st_mtime + 5
    os.utime(changed, (later, later))
    with pytest.raises(VepeError, match=r"packed-002\.tar' is of other labels"):
        plan.todo(resume=True)
    plan.path(0).write_bytes(b"damaged")
    assert plan.todo(resume=True, overwrite=True) == [0, 2]


def test_cached_shard_works_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_posetrack18(tmp_path, frames=2)
    index = read_label_files(posetrack_files(tmp_path, "train"), tmp_path, single=False)
    labels = ImageIndex([index], POSETRACK15)
    (shard,) = write_shards(tmp_path / "shards", labels)
    for folder, name in ((tmp_path, shard.relative_to(tmp_path)), (shard.parent, shard.name)):
        monkeypatch.chdir(folder)  # the second time it comes from the cache
        assert ImageIndex([index_shard(Path(name))], POSETRACK15)[0].raw()
