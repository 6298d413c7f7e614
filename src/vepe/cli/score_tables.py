"""Scores and warnings on the terminal, and scores in JSON files, for `vepe evaluate`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vepe.cli.output import echo
from vepe.errors import counted

if TYPE_CHECKING:
    from vepe.evaluation.results import JointTable, PoseTrackResult, PoseTrackScores
    from vepe.evaluation.tracks import TracksResult


def print_posetrack(result: PoseTrackResult, per_sequence: bool) -> None:
    """The table of joints, HOTA and, if asked for, a line for each sequence."""
    c = result.counts
    echo(
        f"{result.protocol}: {counted(c.sequences, 'sequence')}, "
        f"{counted(c.frames, 'labelled frame')}, {counted(c.people, 'person', 'people')}"
    )
    echo(" " * 10 + "".join(f"{n:>8s}" for n in result.ap.columns()))
    rows: dict[str, JointTable | None] = {
        "AP": result.ap, "precision": result.precision, "recall": result.recall,
        "MOTA": result.mota, "MOTP": result.motp, "MOT prec.": result.mot_precision,
        "MOT rec.": result.mot_recall, "MOTP mm.": result.motp_motmetrics,
    }  # fmt: skip
    for name, table in rows.items():
        if table is not None:
            values = "".join(f"{v:8.2f}" for v in table.columns().values())
            echo(f"{name:10s}{values}")
    if result.hota is not None:
        echo(f"HOTA ({result.hota_rule} rule)  {_hota_line(result)}")
    if per_sequence:
        for name, scores in result.sequences.items():
            mota = f"  MOTA {scores.mota.total:.2f}" if scores.mota else ""
            hota = f"  HOTA {scores.hota['HOTA']:.2f}" if scores.hota else ""
            numbers = (
                counted(scores.counts.frames, "frame"),
                counted(scores.counts.people, "person", "people"),
            )
            echo(f"{name}: {', '.join(numbers)}, AP {scores.ap.total:.2f}{mota}{hota}")


def _hota_line(scores: PoseTrackScores) -> str:
    names = ("HOTA", "DetA", "AssA", "LocA", "FA-HOTA")
    return "  ".join(f"{n} {scores.hota[n]:.2f}" for n in names) if scores.hota else ""


def print_tracks(result: TracksResult, per_sequence: bool, worst: int) -> None:
    """Scores of tracks, and the `worst` frames and people."""
    numbers = (result.gt_tracks, result.pred_tracks)
    tracks = [f" of {counted(n, 'track')}" if result.tracking else "" for n in numbers]
    kind = "boxes" if result.similarity == "box" else f"OKS of {len(result.joints)} keypoints"
    echo(
        f"{kind}: {counted(result.sequences, 'sequence')}, "
        f"{counted(result.frames, 'labelled frame')}, "
        f"{counted(result.people, 'person', 'people')}{tracks[0]}, "
        f"{counted(result.predictions, 'prediction')}{tracks[1]}"
    )
    echo(f"AP {result.ap:.2f}  AP50 {result.ap50:.2f}  AP75 {result.ap75:.2f}  AR {result.ar:.2f}")
    if result.tracking is not None:
        for names in _TRACKING_LINES:
            echo("  ".join(f"{n} {_shown(result.tracking[n.replace(' ', '_')])}" for n in names))
    if per_sequence:
        for name, scores in result.by_sequence.items():
            values = "  ".join(f"{n} {scores[n]:.2f}" for n in ("HOTA", "MOTA", "IDF1"))
            echo(f"{name}: {values}  switches {scores['switches']}")
    for frame in result.worst_frames[:worst]:
        echo(
            f"worst frame: {frame.place}: {frame.misses} missed, {frame.false_positives} false, "
            f"{frame.switches} switched"
        )
    for track in result.worst_tracks[:worst]:
        echo(
            f"worst track: {track.sequence}, id {track.track_id}: matched in {track.matched} of "
            f"{counted(track.frames, 'frame')}, {counted(track.switches, 'switch', 'switches')}"
        )


_TRACKING_LINES = (
    ("HOTA", "DetA", "AssA", "LocA", "DetRe", "DetPr", "AssRe", "AssPr"),
    ("MOTA", "MOTP", "recall", "precision", "IDF1", "IDR", "IDP"),
    ("matches", "misses", "false positives", "switches", "fragmentations"),
    ("mostly tracked", "partly tracked", "mostly lost"),
)


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def print_values(values: dict[str, Any], json_file: Path | None) -> None:
    """Prints a COCO or CrowdPose result, and writes it where asked."""
    for name, value in values.items():
        if name == "joints":
            value = f"{len(value)}: {', '.join(value)}"
        echo(f"{name:12s}{value:.3f}" if isinstance(value, float) else f"{name:12s}{value}")
    if json_file is not None:
        write_scores(values, json_file)


def check_scores_file(path: Path | None, *inputs: Path | list[Path] | None) -> None:
    """Raises VepeError, before the work, if scores would replace a file of the inputs.

    Args:
        path: of the scores, if they are written.
        inputs: files and folders that are read.
    """
    from vepe.formats.files import check_repeatable

    if path is not None and not path.exists():
        check_repeatable(path)
    elif path is not None:
        every = [entry if isinstance(entry, list) else [entry] for entry in inputs if entry]
        check_repeatable(path, [source for part in every for source in part])


def check_apart(json_file: Path | None, save_pred: Path | None, report: Path | None) -> None:
    """Raises VepeError, before the work, if one result would replace another, or lie in the report.

    Scores among saved predictions, which may be a folder, are possible.
    """
    from vepe.formats.files import check_apart, real_path

    files = [path for path in (json_file, save_pred) if path is not None]
    if len({real_path(path) for path in files}) < len(files):
        check_apart(files)
    if report is not None:
        for path in files:
            check_apart([report, path])


def write_scores(values: Any, path: Path) -> None:
    """Writes scores as JSON. Raises VepeError if `path` cannot be written."""
    from vepe.formats.files import replacing

    with replacing(path) as partial:
        partial.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Prints warnings as one line each on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        echo(f"warning: {warning.message}", err=True)
