"""Pages: one file, every value escaped unless it is markup."""

from __future__ import annotations

import jinja2
import pytest
from markupsafe import Markup

from vepe.viz.html_page import PageFigure, data_address, render_page


def test_values_are_escaped_and_markup_is_not() -> None:
    page = render_page(
        "<h1>{{ title }}</h1> {{ value }} {{ chart }}",
        title="a < b",
        value="<script>",
        chart=Markup("<svg></svg>"),
    )
    assert "<title>a &lt; b</title>" in page
    assert "<h1>a &lt; b</h1>" in page
    assert "<script>" not in page
    assert "<svg></svg>" in page


def test_macros_escape_their_values() -> None:
    page = render_page(
        "{{ cards([('AP<', '<1')]) }} {{ table(['<i>', 'b'], [['<u>', 2]], total=true) }}"
        "{{ text_table(['<q>'], [['<s>']]) }} {{ figures(images) }}",
        title="t",
        images=[PageFigure(data_address(b"x"), "c <em>")],
    )
    for tag in ("<i>", "<u>", "<q>", "<s>", "<em>", "AP<<"):
        assert tag not in page, tag
    assert "<b>&lt;1</b><span>AP&lt;</span>" in page
    assert "<td class=total>2</td>" in page
    assert 'src="data:image/png;base64,eA=="' in page
    assert "http" not in page


def test_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="absent"):
        render_page("{{ absent }}", title="t")
