"""Tables of videos: what they may hold, and what is said of those that hold something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from vepe.cluster.manifest import is_manifest, read_manifest
from vepe.errors import VepeError


def table(folder: Path, text: str) -> Path:
    path = folder / "videos.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_and_addresses(tmp_path: Path) -> None:
    path = table(tmp_path, "ward,Path\n1,a/run.mp4\n\n2,b/run.mp4\n3,s3://bucket/c d.mp4\n")
    assert is_manifest(str(path))
    listed = read_manifest(path)
    assert listed.several
    assert [s.source for s in listed.sources] == [
        str(tmp_path / "a/run.mp4"), str(tmp_path / "b/run.mp4"), "s3://bucket/c d.mp4",
    ]  # fmt: skip
    assert [s.name for s in listed.sources] == ["a_run", "b_run", "c d"]


def test_names_of_its_own(tmp_path: Path) -> None:
    listed = read_manifest(table(tmp_path, 'name,source\nx,a.mp4\n"y, z",a.mov\n'))
    assert [s.name for s in listed.sources] == ["x", "y, z"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no column source, path, url or video"),
        ("file\na.mp4\n", "has no column source"),
        ("source\n", "holds no video"),
        ("source,name\na.mp4,a\n,b\n", "Row 3 of .* names no video"),
        ("source,name\na.mp4,a\nb.mp4\n", "Row 3 of .* has the name ''"),
        ("source\na.mp4\nb.mp4\n./a.mp4\n", "Rows 2 and 4 of .* hold the same video, './a.mp4'"),
        ("source\ns3://b/a.mp4\ns3://b/a.mp4\n", "Rows 2 and 3 of .* hold the same video"),
        ("source,name\na.mp4,x\nb.mp4,X\n", "Rows 2 and 3 of .* have the same name, 'X'"),
        ("source,name\na.mp4,../x\n", r"Row 2 of .* has the name '../x'; give every"),
        ("source\na\x1b.mp4\n", "Row 2 of .* names no video"),
        ('source\n"a.mp4\n', "is not a CSV table"),
    ],
)
def test_wrong_tables_are_one_sentence(text: str, error: str, tmp_path: Path) -> None:
    with pytest.raises(VepeError, match=error) as raised:
        read_manifest(table(tmp_path, text))
    assert len(str(raised.value).splitlines()) == 1


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "videos.parquet"
    rows = {"name": ["a", "b"], "note": [1, 2], "video": ["x/a.mp4", "gs://bucket/b.mp4"]}
    pyarrow.parquet.write_table(pyarrow.table(rows), path)
    listed = read_manifest(path)
    assert [s.source for s in listed.sources] == [str(tmp_path / "x/a.mp4"), "gs://bucket/b.mp4"]
    assert [s.name for s in listed.sources] == ["a", "b"]
    pyarrow.parquet.write_table(pyarrow.table({"video": ["a.mp4", None]}), path)
    with pytest.raises(VepeError, match=r"Row 3 of .* names no video"):
        read_manifest(path)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(VepeError, match="is not a Parquet table"):
        read_manifest(path)


def test_links_that_lead_in_a_circle_are_two_videos(tmp_path: Path) -> None:
    """They fail when they are opened, not while the table is read."""
    (tmp_path / "a.mp4").symlink_to("b.mp4")
    (tmp_path / "b.mp4").symlink_to("a.mp4")
    (tmp_path / "videos.csv").write_text("video\na.mp4\nc.mp4\n")
    listed = read_manifest(tmp_path / "videos.csv")
    assert [source.name for source in listed.sources] == ["a", "c"]
