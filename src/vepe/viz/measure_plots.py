"""Measures over time, one chart per joint and person: an HTML page or a PNG image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from jaxtyping import Float

from vepe.errors import missing_extra
from vepe.measures.person import PersonMeasures
from vepe.viz.html_page import render_page
from vepe.viz.plots import GRID, LINES, QUIET, figure, line_chart

MAX_PEOPLE = 12
"""More people than these are left out of a plot, those with the fewest frames first."""

_PANELS = (
    ("Knee flexion, degrees", "{side}_knee_flexion_deg"),
    ("Hip flexion, degrees", "{side}_hip_flexion_deg"),
    ("Ankle dorsiflexion, degrees", "{side}_ankle_dorsiflexion_deg"),
    ("Shoulder flexion, degrees", "{side}_shoulder_flexion_deg"),
    ("Elbow flexion, degrees", "{side}_elbow_flexion_deg"),
    ("Trunk from the horizontal, degrees", "trunk_segment_deg"),
    ("Speed of the body, m/s", "body_speed_m_per_s"),
    ("Speed of the body, heights/s", "body_speed_heights_per_s"),
)

_PAGE = """
<h1>{{ title }}</h1>
<p class=quiet>{{ note }}</p>
{% for name, facts, charts in people %}
<h2>{{ name }}</h2>
{{ cards(facts) }}
<div class=pair>
{% for chart in charts %}<figure>{{ chart }}</figure>{% endfor %}
</div>
{% endfor %}
"""

_NOTE = (
    "Angles are those of the image plane and true only where a person moves in a plane parallel "
    "to the image. Gaps are frames in which a keypoint is not sure."
)

Curve = tuple[Float[np.ndarray, "F"], Float[np.ndarray, "F"]]


def require_matplotlib() -> None:
    """Raises VepeError where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise missing_extra("Plotting", "matplotlib", "report")


def measures_page(title: str, people: Sequence[PersonMeasures]) -> str:
    """An HTML page with the charts of each person, those with the most frames.

    Raises:
        VepeError: where matplotlib is missing.
    """
    require_matplotlib()
    sections = []
    for person in longest(people):
        span = (float(person.times_s[0]), float(person.times_s[-1]))
        charts = [
            line_chart(name, _as_lists(curves), x_label="seconds", x_range=_widened(span))
            for name, curves in _panels(person)
        ]
        sections.append((f"Person {person.track_id}", _facts(person), charts))
    return render_page(_PAGE, title=title, note=_NOTE, people=sections)


def measures_image(people: Sequence[PersonMeasures]) -> bytes:
    """The same charts as a PNG: one row per measure, one column per person.

    Raises:
        VepeError: where matplotlib is missing.
    """
    require_matplotlib()
    chosen = longest(people)
    panels = {person.track_id: dict(_panels(person)) for person in chosen}
    names = [name for name, _ in _PANELS if any(name in of for of in panels.values())]
    rows, columns = max(len(names), 1), max(len(chosen), 1)
    fig, axes = figure(3.6 * columns + 0.6, 1.7 * rows + 0.4, rows, columns, sharex="col")
    for column, person in enumerate(chosen):
        axes[0, column].set_title(f"person {person.track_id}", fontsize=9, loc="left")
        for row, name in enumerate(names):
            axis, curves = axes[row, column], panels[person.track_id].get(name, {})
            axis.set_visible(bool(curves) or column == 0)
            for k, (side, (x, y)) in enumerate(curves.items()):
                axis.plot(x, y, color=LINES[k], lw=1.2, label=side)
            axis.grid(axis="y", color=GRID)
            if column == 0:
                axis.set_ylabel(name.replace(", ", "\n"), fontsize=7, color=QUIET)
        axes[-1, column].set_xlabel("seconds", fontsize=8, color=QUIET)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if len(labels) > 1:
        axes[0, 0].legend(handles, labels, frameon=False, fontsize=7, ncols=2)
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def longest(people: Sequence[PersonMeasures]) -> list[PersonMeasures]:
    """Those with the most frames, `MAX_PEOPLE` at most, in the order of their ids."""
    by_length = sorted(people, key=lambda person: -len(person.times_s))[:MAX_PEOPLE]
    return sorted(by_length, key=lambda person: person.track_id)


def _panels(person: PersonMeasures) -> list[tuple[str, dict[str, Curve]]]:
    """The charts of a person: titles, and curves by side, without those that are not known."""
    panels = []
    for title, column in _PANELS:
        sides = ("left", "right") if "{side}" in column else ("",)
        curves = {
            side or "person": with_gaps(person.times_s, person.columns[name])
            for side in sides
            if (name := column.format(side=side)) in person.columns
            and np.isfinite(person.columns[name]).any()
        }
        if curves:
            panels.append((title, curves))
    return panels


def with_gaps(times_s: Float[np.ndarray, "F"], values: Float[np.ndarray, "F"]) -> Curve:
    """The curve with NaN in every gap between frames, so that no line crosses it."""
    steps = np.diff(times_s)
    if not len(steps):
        return times_s, values
    gaps = np.flatnonzero(steps > 3 * np.median(steps)) + 1
    return np.insert(times_s, gaps, times_s[gaps - 1]), np.insert(values, gaps, np.nan)


def _as_lists(curves: dict[str, Curve]) -> dict[str, tuple[list[float], list[float]]]:
    return {name: (x.tolist(), y.tolist()) for name, (x, y) in curves.items()}


def _widened(span: tuple[float, float]) -> tuple[float, float]:
    return span if span[1] > span[0] else (span[0] - 0.5, span[1] + 0.5)


def _facts(person: PersonMeasures) -> list[tuple[str, str]]:
    """The most important numbers of a person, for the cards."""
    summary = person.summary
    facts = [
        ("seconds", f"{summary['start_s']:g} to {summary['end_s']:g}"),
        ("frames", str(summary["frames"])),
    ]
    if summary.get("steps") is not None:
        facts.append(("steps", str(summary["steps"])))
    if summary["height_px"] is not None:
        facts.append(("height in px", f"{summary['height_px']:.0f}"))
    for side in ("left", "right"):
        name = f"{side}_knee_flexion"
        low, high = summary.get(f"{name}_deg_p5"), summary.get(f"{name}_deg_p95")
        if low is not None and high is not None:
            facts.append((f"{side} knee, degrees", f"{low:.0f} to {high:.0f}"))
    return facts
