"""The timeline of ids, as SVG for a page: who is seen when, how surely, and where to look."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from vepe.measures.quality import Finding, TrackQuality
from vepe.viz.plots import BAD, GRID, MAIN, QUIET, SECOND, as_svg, figure

MAX_ROWS = 60
"""More tracks than these are left out of the timeline, the shortest first."""

_LOW_SCORE = 0.5


def id_timeline(
    tracks: Sequence[TrackQuality], findings: Sequence[Finding], times_s: Float[np.ndarray, "N"]
) -> Markup:
    """A bar per track, one row each; parts with low scores have another colour, findings a dot."""
    shown = sorted(tracks, key=lambda track: -len(track.positions))[:MAX_ROWS]
    shown.sort(key=lambda track: (track.positions[0], track.track_id))
    rows = {track.track_id: row for row, track in enumerate(shown)}
    fig, axes = figure(10.6, 0.75 + 0.24 * max(len(shown), 1))
    axis = axes[0, 0]
    fig.patch.set_alpha(0)
    axis.patch.set_alpha(0)
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.04
    for row, track in enumerate(shown):
        for first, last in track.spans():
            bars = _bars(track, first, last, step_s)
            for low, colour in ((False, MAIN), (True, SECOND)):
                pieces = [bar for bar, is_low in bars if is_low is low]
                if pieces:
                    axis.broken_barh(pieces, (row - 0.32, 0.64), facecolors=colour, linewidth=0)
    dots = [(f.time_s, rows[i]) for f in findings for i in f.track_ids if i in rows]
    if dots:
        x, y = zip(*dots, strict=True)
        axis.plot(x, y, ls="", marker="o", ms=4, mfc=BAD, mec="white", mew=0.6, clip_on=False)
    axis.set_yticks(range(len(shown)), [f"id {track.track_id}" for track in shown])
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.set_xlim(float(times_s[0]), float(times_s[-1]) + step_s)
    axis.grid(axis="x", color=GRID)
    axis.set_xlabel("seconds", fontsize=8, color=QUIET)
    return as_svg(fig)


def _bars(
    track: TrackQuality, first: int, last: int, step_s: float
) -> list[tuple[tuple[float, float], bool]]:
    """Start and length of each part of a stretch, and whether its scores are low."""
    low = track.confidence[first : last + 1] < _LOW_SCORE
    cuts = [0, *(np.flatnonzero(np.diff(low)) + 1).tolist(), len(low)]
    times = track.times_s[first : last + 1]
    bars = []
    for a, b in pairwise(cuts):
        end_s = float(times[b]) if b < len(times) else float(times[b - 1]) + step_s
        bars.append(((float(times[a]), end_s - float(times[a])), bool(low[a])))
    return bars
