"""The common style of all matplotlib plots, and line charts as SVG for HTML pages.

Colours in a chart are CSS variables of the page (`page.html`), so that one drawing suits light
and dark mode. No display is needed.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, QUIET, GRID = "#1f2933", "#7b8794", "#e4e7eb"
MAIN, SECOND, BAD, GOOD = "#2f6f9f", "#d98c3f", "#c8372d", "#2e8b57"
LINES = (MAIN, SECOND, "#6b8e5a")
SERIES = (MAIN, "#c77722", "#5b7f4b", BAD, "#8a5a9e", "#3d8f8a", "#857c1a")
"""Colours of a chart's lines, in order; each is a CSS variable of the page."""

_VARIABLES = dict(
    zip(
        (INK, QUIET, GRID, *SERIES),
        ("ink", "pale", "line", "main", "second", "third", "bad", "fourth", "fifth", "sixth"),
        strict=True,
    )
)


def figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """A new figure of this size in inches and its array of axes, in the common style."""
    from matplotlib.figure import Figure

    fig: Figure = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    axes = fig.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(GRID)
        axis.tick_params(colors=QUIET, labelsize=8, length=0)
        axis.set_axisbelow(True)
    return fig, axes


Line = tuple[Sequence[float], Sequence[float]]
"""x and y of a line's points."""


def line_chart(
    title: str,
    lines: Mapping[str, Line],
    *,
    x_label: str,
    marks: Sequence[tuple[float, str]] = (),
    x_range: tuple[float, float] | None = None,
    logarithmic: bool = False,
    size: tuple[float, float] = (5.2, 2.9),
) -> Markup:
    """Lines over a common x axis as an `<svg>` element, to be put into a page.

    Args:
        title: the title above the chart.
        lines: points by name; a legend is added if there are several. Colours repeat after seven.
        x_label: what x counts.
        marks: named values of x, drawn as thin vertical lines (such as the start of a stage).
        x_range: first and last x, or None to fit the lines.
        logarithmic: whether the y axis is; y must then be above 0.
        size: width and height in inches of 72 points.
    """
    fig, axes = figure(*size)
    axis = axes[0, 0]
    fig.patch.set_alpha(0)
    axis.patch.set_alpha(0)
    fig.suptitle(title, x=0.005, ha="left", fontsize=10, color=INK)
    for k, (name, (x, y)) in enumerate(lines.items()):
        dot = "o" if len(x) < 15 else None
        axis.plot(x, y, color=SERIES[k % len(SERIES)], lw=1.4, label=name, marker=dot, ms=3)
    if logarithmic:
        from matplotlib.ticker import FuncFormatter, LogLocator

        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.minorticks_off()
    if x_range is not None:
        axis.set_xlim(*x_range)
    axis.grid(axis="y", color=GRID)
    axis.set_xlabel(x_label, fontsize=8, color=QUIET)
    for place, name in marks:
        axis.axvline(place, color=QUIET, lw=0.7, ls=(0, (3, 3)))
        axis.annotate(name, (place, 1), xycoords=("data", "axes fraction"), xytext=(3, -2),
                      textcoords="offset points", fontsize=7.5, color=QUIET, va="top")  # fmt: skip
    if len(lines) > 1:
        axis.legend(frameon=False, fontsize=8, ncols=min(len(lines), 5), handlelength=1.2,
                    loc="lower left", bbox_to_anchor=(0, 1.01), borderaxespad=0,
                    labelcolor=INK, columnspacing=1.2)  # fmt: skip
    return as_svg(fig)


# With a salt, the ids inside an SVG depend on its content alone.
_STYLE = {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "vepe"}


def as_svg(fig: Figure) -> Markup:
    """The figure as one `<svg>` element without URLs, its colours as CSS variables."""
    import matplotlib

    buffer = io.StringIO()
    # No date is written, but matplotlib fails where this variable holds none.
    stated = os.environ.pop("SOURCE_DATE_EPOCH", None)
    try:
        with matplotlib.rc_context(_STYLE):
            fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    finally:
        if stated is not None:
            os.environ["SOURCE_DATE_EPOCH"] = stated
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text, count=2)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return Markup(re.sub(r"font: ([\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", text))
