"""`vepe measure`: joint angles, lengths, speeds, repetitions and steps from saved poses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vepe.cli.options import Poses, Sequence, split, whole
from vepe.cli.output import Quiet, echo, note
from vepe.errors import VepeError, counted

if TYPE_CHECKING:
    from vepe.measures.person import PersonMeasures


def measure(
    poses: Poses,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="File to write (repeatable): .csv, .parquet or .json for a table with a row per "
            "person and frame; .trc or .mot for OpenSim, one file per person.",
            show_default="only print",
        ),
    ] = None,
    plot: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Plot over time: .html or .png (repeatable).", show_default=False
        ),
    ] = None,
    ids: Annotated[
        list[str] | None,
        typer.Option(metavar="ID,...", help="Measure only these people.", show_default="all"),
    ] = None,
    height: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRES|ID=METRES,...",
            help="How tall people are, of all or of single ones: --height 1.80, or "
            "--height 1=1.80,2=1.65. Lengths and speeds are in metres then, else in body heights.",
            show_default=False,
        ),
    ] = None,
    keypoint_conf: Annotated[
        float, typer.Option(metavar="SCORE", help="Keypoints with a lower score are unknown.")
    ] = 0.3,
    sequence: Sequence = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    quiet: Quiet = False,
) -> None:
    """Measure joint angles, segment lengths, speeds, repetitions and steps of tracked people.

    Angles are those in the image: right for people who move in a plane parallel to it. Their
    definitions are in docs/measures.md. Prints a line per person.
    """
    wanted = [whole(text, "--ids") for text in split(ids)] if ids else None
    of_all, of_single = _heights(height)
    if not 0 <= keypoint_conf <= 1:
        raise VepeError(f"--keypoint-conf is {keypoint_conf:g}; give 0 to 1.")
    targets = [*(output or []), *(plot or [])]
    from vepe.formats.files import check_targets
    from vepe.results.measuring import (
        PLOT_ENDINGS,
        measure_paths,
        measure_tracks,
        write_measures,
    )
    from vepe.results.video import read

    for target in targets:
        measure_paths(target, [])  # endings and packages, before any work
        is_plot = target.suffix.lower() in PLOT_ENDINGS
        if is_plot != (target in (plot or [])):
            option = "--plot" if is_plot else "-o"
            raise VepeError(f"'{target}' is written with {option}; use it in place of the other.")
    tracks = read(poses, sequence=sequence)
    people = measure_tracks(
        tracks, ids=wanted, height_m=of_all, heights_m=of_single, min_score=keypoint_conf
    )
    measured = [person.track_id for person in people]
    files = [file for target in targets for file in measure_paths(target, measured)]
    check_targets(files, [poses], overwrite=overwrite)
    written = write_measures(targets, people, tracks)
    for person in people:
        echo(_line(person)) if not targets else note(_line(person))
    if written:
        shown = ", ".join(map(str, written[:6])) + (", ..." if len(written) > 6 else "")
        note(f"{counted(len(written), 'file')}: {shown}")


def _heights(values: list[str] | None) -> tuple[float | None, dict[int, float]]:
    """The height of everybody, and of single people by id."""
    of_all, of_single = None, {}
    for text in split(values):
        track_id, equals, metres = text.rpartition("=")
        try:
            number = float(metres)
        except ValueError:
            raise VepeError(
                f"--height takes metres, or ids with metres such as 1=1.80; '{text}' is neither."
            ) from None
        if equals:
            of_single[whole(track_id, "--height")] = number
        else:
            of_all = number
    return of_all, of_single


def _line(person: PersonMeasures) -> str:
    """The summary of a person in one line."""
    summary = person.summary
    parts = [f"{counted(int(summary['frames'] or 0), 'frame')} from {summary['start_s']:.2f} to "
             f"{summary['end_s']:.2f} s"]  # fmt: skip
    if summary["height_px"] is not None:
        parts.append(f"{summary['height_px']:.0f} px tall")
    if summary.get("steps"):
        parts.append(counted(int(summary["steps"] or 0), "step"))
    for name in ("knee_flexion", "hip_flexion", "elbow_flexion"):
        ranges = [
            f"{low:.0f} to {high:.0f}"
            for side in ("left", "right")
            if (low := summary.get(f"{side}_{name}_deg_p5")) is not None
            and (high := summary.get(f"{side}_{name}_deg_p95")) is not None
        ]
        if ranges:
            parts.append(f"{name.replace('_', ' ')} {' | '.join(ranges)} deg")
    for unit, text in (("m_per_s", "m/s"), ("heights_per_s", "heights/s")):
        speed = summary.get(f"body_speed_{unit}_mean")
        if speed is not None:
            parts.append(f"{speed:.2f} {text}")
    return f"id {person.track_id}: " + ", ".join(parts)
