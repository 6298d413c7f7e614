"""Charts for pages: SVG without URLs, in the page's colours."""

from __future__ import annotations

import os
from xml.etree import ElementTree

import pytest

from vepe.viz.plots import line_chart


@pytest.mark.parametrize("logarithmic", [False, True])
def test_chart_is_self_contained_svg(logarithmic: bool) -> None:
    lines = {"loss": ([1.0, 2.0, 3.0], [3.0, 20.0, 1.0]), "part": ([1.0, 2.0], [1.0, 2.0])}
    text = line_chart("Loss", lines, x_label="step", marks=[(0, "first")], logarithmic=logarithmic)
    assert text.startswith("<svg")
    assert "http" not in text
    for word in (">Loss<", ">loss<", ">part<", ">step<", ">first<", "var(--main)", "var(--ink)"):
        assert word in text, word
    assert text.count(">Loss<") == 1
    root = ElementTree.fromstring(text.replace("xlink:", ""))
    # Text, lines and grid take their colours from the page, so that they are visible in dark mode.
    assert not [e for e in root.iter() if "#000000" in e.get("style", "")]


def test_a_date_that_is_none_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert "<svg" in line_chart("Loss", {"a": ([0, 1], [1.0, 2.0])}, x_label="step")
    assert os.environ["SOURCE_DATE_EPOCH"] == "yesterday"


def test_the_same_lines_give_the_same_chart() -> None:
    first, second = (line_chart("Loss", {"a": ([0, 1], [1.0, 2.0])}, x_label="step") for _ in "ab")
    assert first == second
