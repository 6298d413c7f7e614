"""The page of the PoseTrack report, which contains everything and escapes all names."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from evaluation_scenes import one_sequence
from PIL import Image

from vepe.cli.app import run
from vepe.errors import VepeError
from vepe.evaluation.report import write_report

GOLDEN = Path(__file__).parent / "golden"


class _Checker(HTMLParser):
    """Collects addresses, and tags that are left open."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows += tag == "tr"
        self.sources += [v or "" for k, v in attrs if k in ("src", "href")]


def test_page_is_one_file_with_everything_inside(tmp_path: Path) -> None:
    images = tmp_path / "images"
    folder = images / "images" / "val" / "000903_bonn_test"
    folder.mkdir(parents=True)
    for k in range(10):
        Image.new("RGB", (640, 480), (40, 60, 80)).save(folder / f"{k:06d}.jpg")
    report = tmp_path / "report"
    pred = GOLDEN / "cases" / "c06_mixed" / "pred18"
    arguments = ["--gt", str(GOLDEN / "gt18"), "--pred", str(pred), "--report", str(report)]
    assert run(["evaluate", "posetrack", *arguments, "--images", str(images)]) == 0
    names = {path.name for path in report.iterdir()}
    assert {"index.html", "ap.png", "precision_recall.png"} <= names
    assert {f"timeline_{s}.png" for s in ("000901_mpii_test", "000903_bonn_test")} <= names
    assert any(name.startswith("worst_") for name in names)
    text = (report / "index.html").read_text()
    checker = _Checker()
    checker.feed(text)
    assert len(checker.sources) >= 6
    assert all(source.startswith("data:image/png;base64,") for source in checker.sources)
    assert not re.search(r"<script|https?://", text)
    for words in ("49.1", "-11.6", "19.9", "000902_mpii_test", "Tracks over time", "Worst frames"):
        assert words in text
    # A previous report may be replaced, other folders may not.
    assert run(["evaluate", "posetrack", *arguments]) == 0


def test_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    match = one_sequence([[1], [1], [1]])
    (tmp_path / "index.html").write_text("the page of a training run")
    (tmp_path / "last.pt").write_bytes(b"weights")
    with pytest.raises(VepeError, match=r"holds other files \(index\.html, last\.pt\)"):
        write_report(match, match.result(), tmp_path)
    assert (tmp_path / "index.html").read_text() == "the page of a training run"
    write_report(match, match.result(), tmp_path, overwrite=True)
    assert "PoseTrack evaluation" in (tmp_path / "index.html").read_text()
    assert (tmp_path / "last.pt").read_bytes() == b"weights"
    with pytest.raises(VepeError, match=r"\(last\.pt\)"):
        write_report(match, match.result(), tmp_path)


def test_names_are_escaped(tmp_path: Path) -> None:
    match = one_sequence([[1], [None], [1], [1]], name="<script>alert(1)<b>.json")
    text = write_report(match, match.result(), tmp_path / "report").read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;b&gt;" in text
