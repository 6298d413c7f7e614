"""The report: its table of differences, its timelines, its worst frames and the page itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from evaluation_scenes import Document, as_sequences, document, image, person
from PIL import Image

from vepe.cli.app import run
from vepe.errors import VepeError
from vepe.evaluation import PoseTrackMatch
from vepe.evaluation.differences import differences
from vepe.evaluation.report import worst_frames
from vepe.evaluation.timelines import timelines

GOLDEN = Path(__file__).parent / "golden"
BODY = np.column_stack([np.arange(15) * 6 + 40, np.arange(15) * 4 + 60]).astype(float)


def _followed(partners: list[list[int | None]]) -> PoseTrackMatch:
    """One sequence: the predicted id that follows every person (None: nobody) in every frame."""
    images = [image(t, is_labeled=True) for t in range(len(partners))]
    truth: list[Document] = []
    found: list[Document] = []
    for t, row in enumerate(partners):
        for k, partner in enumerate(row):
            xy = BODY + 300 * k
            truth.append(person(t, k, xy, np.ones(15), bbox_head=[0, 0, 20, 20]))
            if partner is not None:
                scores = [0.9 - 0.01 * t] * 17
                found.append(person(t, partner, xy, np.ones(15), scores=scores))
    pair = (document(images, truth), document(images, found))
    return PoseTrackMatch.load(*as_sequences([pair]))


def test_timeline_marks_switches_and_fragmentations() -> None:
    match = _followed([[1, 5], [1, 6], [None, 6], [1, 6], [2, 5], [2, 5]])
    (line,) = timelines(match)
    assert line.present.shape == (2, 5)  # the last labelled frame is not tracked
    assert np.argwhere(line.switch).tolist() == [[0, 4], [1, 1], [1, 4]]
    assert np.argwhere(line.fragment).tolist() == [[0, 3]]
    assert line.partner[0, 2] == -1


def test_person_that_never_was_found_is_no_fragment() -> None:
    (line,) = timelines(_followed([[None], [None], [3], [3], [3]]))
    assert not line.fragment.any()
    assert not line.switch.any()


def test_worst_frame_comes_first() -> None:
    match = _followed([[1, 5], [1, None], [None, None], [1, 5]])
    frames = worst_frames(match, 5)
    assert [(f.position, f.missed, f.wrong) for f in frames] == [(2, 30, 0), (1, 15, 0)]


def _difference(match: PoseTrackMatch, words: str) -> tuple[float, float, bool]:
    (row,) = [d for d in differences(match, match.result()) if words in d.rule]
    here, other = (float(re.findall(r"-?\d+\.\d+", text)[0]) for text in (row.here, row.other))
    return here, other, row.matters


def test_differences_speak_of_these_files() -> None:
    def load(case: str, gt: str = "gt18") -> PoseTrackMatch:
        return PoseTrackMatch.load(GOLDEN / gt, GOLDEN / "cases" / case / "pred18")

    assert _difference(load("c14_lastframe"), "last labelled frame")[0] == 100
    assert _difference(load("c14_lastframe"), "last labelled frame")[1] < 100
    here, other, matters = _difference(load("c07_emptyframes"), "HOTA:")
    assert (here, other, matters) == (35.764, 56.189, True)
    here, other, matters = _difference(load("c13_bboxonly", "gt18_bboxonly"), "hold records")
    assert (here, other, matters) == (67.728, 74.396, True)
    here, other, matters = _difference(load("c05_falsepos"), "joints exist")
    assert (here, other, matters) == (80.399, 80.937, True)
    ties = _difference(load("c09_ties"), "equal scores")
    assert ties[2]
    assert not _difference(load("c02_jitter"), "equal scores")[2]


def test_original_values_lie_in_the_range_of_any_order() -> None:
    """What the originals print with ties (66.100 and 80.140) is one of the possible orders."""
    for case, printed in (("c09_ties", 66.100), ("c11_noscores", 80.140)):
        match = PoseTrackMatch.load(GOLDEN / "gt18", GOLDEN / "cases" / case / "pred18")
        (row,) = [d for d in differences(match, match.result()) if "equal scores" in d.rule]
        low, high = (float(x) for x in re.findall(r"\d+\.\d+", row.other))
        assert low <= printed <= high


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
    for words in (
        "49.1",
        "-11.6",
        "19.9",
        "000902_mpii_test",
        "Where evaluators count differently",
    ):
        assert words in text
    # Once more into the same folder: a former report may be replaced, other folders may not.
    assert run(["evaluate", "posetrack", *arguments]) == 0


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    from vepe.evaluation.report import write_report

    (tmp_path / "thesis.txt").write_text("dear")
    match = _followed([[1], [1], [1]])
    with pytest.raises(VepeError, match="holds other files"):
        write_report(match, match.result(), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "dear"
