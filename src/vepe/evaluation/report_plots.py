"""The plots of the PoseTrack report, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from vepe.evaluation.average_precision import precision_recall
from vepe.evaluation.error_analysis import Timeline
from vepe.evaluation.posetrack import PoseTrackMatch
from vepe.evaluation.results import COLUMNS, PoseTrackResult
from vepe.skeleton import POSETRACK15
from vepe.viz.plots import BAD, GOOD, GRID, INK, LINES, MAIN, QUIET, SECOND, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def ap_plot(result: PoseTrackResult) -> Figure:
    """AP by joint on the left; AP and MOTA of the seven columns on the right."""
    fig, axes = figure(10, 4.4, 1, 2, width_ratios=[1, 1.15])
    left, right = axes[0]
    names = [name for joints in COLUMNS.values() for name in joints]
    values = [result.ap.joints[n] for n in names]
    _bars(left, [n.replace("_", " ") for n in names], [("AP", values, MAIN)], "AP by joint")
    series = [("AP", list(result.ap.columns().values()), MAIN)]
    if result.mota is not None:
        series.append(("MOTA", list(result.mota.columns().values()), SECOND))
    _bars(right, list(result.ap.columns()), series, "The seven columns and the total")
    return fig


def _bars(
    axis: Axes, names: list[str], series: list[tuple[str, list[float], str]], title: str
) -> None:
    height = 0.74 / len(series)
    y = np.arange(len(names))
    for k, (label, values, colour) in enumerate(series):
        y_bar = y + (k - (len(series) - 1) / 2) * height
        width = np.maximum(np.nan_to_num(values), -100)
        axis.barh(y_bar, width, height * 0.92, color=colour, label=label)
        for y_text, value in zip(y_bar, values, strict=True):
            text = "n/a" if np.isnan(value) else f"{value:.1f}"
            axis.text(max(0.0, np.nan_to_num(value)) + 1.5, y_text, text, va="center", fontsize=7.5,
                      color=INK)  # fmt: skip
    lowest = min(0.0, *(max(-100.0, float(np.nanmin(v))) for _, v, _ in series))
    axis.set(xlim=(lowest * 1.08, 112), ylim=(len(names) - 0.4, -0.6))
    axis.set_yticks(y, names, color=INK, fontsize=8.5)
    axis.set_xticks([t for t in (-100, -50, 0, 25, 50, 75, 100) if t >= lowest])
    axis.grid(axis="x", color=GRID)
    axis.spines["left"].set_visible(False)
    axis.set_title(title, loc="left", fontsize=10, color=INK)
    if len(series) > 1:
        axis.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2,
                    borderaxespad=0.1)  # fmt: skip


def curves_plot(match: PoseTrackMatch, result: PoseTrackResult) -> Figure:
    """Precision over recall, one small plot per column."""
    fig, axes = figure(10, 5, 2, 4, sharex=True, sharey=True)
    for axis, (column, joints) in zip(axes.flat, COLUMNS.items(), strict=False):
        for joint, colour in zip(joints, LINES, strict=False):
            index = POSETRACK15.keypoints.index(joint)
            curve = precision_recall(match.frames, match.labels, index, protocol=match.protocol)
            side = joint.split("_")[0] if column != "Head" else joint.replace("_", " ")
            label = f"{side}  {result.ap.joints[joint]:.1f}"
            if np.isfinite(curve.recall).all():
                axis.plot(curve.recall, curve.precision, color=colour, lw=1.4, label=label)
        axis.set(xlim=(0, 1.01), ylim=(0, 1.03))
        axis.grid(color=GRID)
        axis.set_title(column, loc="left", fontsize=9.5, color=INK)
        axis.legend(frameon=False, fontsize=7.5, loc="lower left", handlelength=1.2)
    for axis in axes[1]:
        axis.set_xlabel("recall", fontsize=8, color=QUIET)
    for axis in axes[:, 0]:
        axis.set_ylabel("precision", fontsize=8, color=QUIET)
    last = axes.flat[-1]
    last.set_axis_off()
    last.text(0, 0.9, "Numbers: AP of the joint.\nScores run from high (left)\nto low (right).",
              fontsize=8.5, color=QUIET, va="top", transform=last.transAxes)  # fmt: skip
    axes[0, -1].tick_params(labelbottom=True)
    return fig


def timeline_plot(timeline: Timeline) -> Figure:
    """Rows are ground truth people, colours predicted tracks; switches and gaps are marked."""
    rows, columns = timeline.present.shape
    fig, axes = figure(10, 0.75 + 0.24 * rows)
    axis = axes[0, 0]
    tracks = np.unique(timeline.partner[timeline.partner >= 0])
    colour_of = {int(t): _track_colour(k) for k, t in enumerate(tracks)}
    for r in range(rows):
        for c in np.flatnonzero(timeline.present[r]):
            partner = int(timeline.partner[r, c])
            colour = colour_of.get(partner, "#d3d8de")
            height = 0.62 if partner >= 0 else 0.14
            axis.barh(r, 1.0, height, left=c - 0.5, color=colour, linewidth=0)
    for marks, marker, colour in (
        (timeline.fragment & ~timeline.switch, "o", "white"),
        (timeline.switch, "D", BAD),
    ):
        row, column = np.nonzero(marks)
        axis.scatter(column - 0.5, row, marker=marker, s=26, color=colour, edgecolors=INK,
                     linewidths=0.8, zorder=3)  # fmt: skip
    axis.set(xlim=(-1, max(columns, 12)), ylim=(rows - 0.4, -0.6))
    axis.set_yticks(np.arange(rows), [f"person {i + 1}" for i in range(rows)], fontsize=8)
    ticks = np.unique(np.linspace(0, columns - 1, min(columns, 12)).astype(int))
    axis.set_xticks(ticks, [str(p) for p in timeline.position[ticks]])
    axis.set_xlabel("position in the file", fontsize=8, color=QUIET)
    axis.set_title(
        f"{timeline.sequence}: switches {int(timeline.switch.sum())}, "
        f"fragmentations {int(timeline.fragment.sum())}",
        loc="left", fontsize=9.5, color=INK,
    )  # fmt: skip
    return fig


def _track_colour(index: int) -> Any:
    """Distinct colours: the hue turns by the golden angle."""
    from matplotlib.colors import hsv_to_rgb

    return hsv_to_rgb([(0.58 + index * 0.381966) % 1, 0.5, 0.82 - 0.16 * (index % 3 == 1)])


def frame_plot(match: PoseTrackMatch, index: int, image: UInt8[np.ndarray, "H W 3"]) -> Figure:
    """A frame with the ground truth in white, correct joints in green, missed and wrong in red."""
    height, width = image.shape[:2]
    width_in = 9.0
    fig, axes = figure(width_in, max(1.5, width_in * height / width))
    axis = axes[0, 0]
    axis.set_axis_off()
    axis.imshow(image)
    frames, labels = match.frames, match.labels
    gt = np.arange(*frames.gt_first[index : index + 2])
    pred = np.arange(*frames.pred_first[index : index + 2])
    _limbs(axis, frames.gt.xy[gt], frames.gt.present[gt], "white", "-")
    _limbs(axis, frames.pred.xy[pred], frames.pred.present[pred], "#ffd166", ":")
    hit = labels.correct[pred] & frames.pred.present[pred]
    wrong = frames.pred.present[pred] & ~hit
    matched = np.zeros((len(gt), frames.gt.present.shape[1]), bool)
    for row, partner in zip(hit, labels.partner[pred], strict=True):
        if partner >= 0:
            matched[partner - frames.gt_first[index]] |= row
    missed = frames.gt.present[gt] & ~matched
    for xy, marker, colour in (
        (frames.pred.xy[pred][hit], "o", GOOD),
        (frames.pred.xy[pred][wrong], "x", BAD),
    ):
        axis.scatter(*xy.T, s=16, marker=marker, color=colour, linewidths=1.4, zorder=4)
    axis.scatter(*frames.gt.xy[gt][missed].T, s=38, marker="o", facecolors="none",
                 edgecolors=BAD, linewidths=1.3, zorder=4)  # fmt: skip
    axis.set(xlim=(0, width), ylim=(height, 0))
    return fig


def _limbs(axis: Axes, xy: np.ndarray, present: np.ndarray, colour: str, style: Any) -> None:
    lines: Sequence[Any] = [
        xy[i, [a, b]]
        for i in range(len(xy))
        for a, b in POSETRACK15.edges
        if present[i, a] and present[i, b]
    ]
    for line in lines:
        axis.plot(*np.asarray(line).T, color=colour, lw=1.3, ls=style, alpha=0.9)
