"""Measuring the people of a video, and writing tables, OpenSim's files and plots of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vepe import __version__
from vepe.errors import VepeError
from vepe.formats.columns import ENDINGS, write_columns
from vepe.formats.files import write_bytes
from vepe.formats.opensim import coordinate_names, write_mot, write_trc
from vepe.measures.motion import resample
from vepe.measures.person import MIN_SCORE, PersonMeasures, measure_person
from vepe.results.render import check_times
from vepe.types import PoseTracks
from vepe.viz.measure_plots import measures_image, measures_page, require_matplotlib

OPENSIM_ENDINGS = (".trc", ".mot")
PLOT_ENDINGS = (".html", ".png")

MAX_GAP_S = 0.2
"""Places are interpolated over gaps up to this long in files of even times."""


def measure_tracks(
    tracks: PoseTracks,
    *,
    ids: Iterable[int] | None = None,
    height_m: float | None = None,
    heights_m: Mapping[int, float] | None = None,
    min_score: float = MIN_SCORE,
) -> list[PersonMeasures]:
    """Measures of the people of a video, in the order of their ids.

    Args:
        tracks: the poses.
        ids: whom to measure; all people with an id if None.
        height_m: the height of everybody in metres, for lengths and speeds in metres.
        heights_m: heights by id, which go before `height_m`.
        min_score: keypoints below it are unknown.

    Raises:
        VepeError: if an id does not occur, nobody has one, times do not increase, or a height is
            impossible.
    """
    check_times(tracks)
    heights_m = heights_m or {}
    known = tracks.track_ids()
    if not known:
        raise VepeError(
            f"Nobody in '{tracks.video.name}' has a track id; measures need people over time."
        )
    wanted = known if ids is None else sorted(set(ids))
    for track_id in heights_m:
        tracks.person(track_id)  # raises where there is none
    return [
        measure_person(
            tracks.person(track_id),
            height_m=heights_m.get(track_id, height_m),
            min_score=min_score,
        )
        for track_id in wanted
    ]


def measure_paths(path: Path, ids: Sequence[int]) -> list[Path]:
    """The files that `write_measures` makes: of OpenSim's kinds one per person.

    Raises:
        VepeError: if the ending is unknown.
    """
    kind = path.suffix.lower()
    if kind not in (*ENDINGS, *OPENSIM_ENDINGS, *PLOT_ENDINGS):
        known = ", ".join((*ENDINGS, *OPENSIM_ENDINGS, *PLOT_ENDINGS))
        raise VepeError(f"The ending of '{path}' is unknown; known are {known}.")
    if kind in PLOT_ENDINGS:
        require_matplotlib()
    if kind in OPENSIM_ENDINGS and len(ids) > 1:
        return [path.with_name(f"{path.stem}_{track_id}{path.suffix}") for track_id in ids]
    return [path]


def write_measures(
    targets: Sequence[Path], people: Sequence[PersonMeasures], tracks: PoseTracks
) -> list[Path]:
    """Writes measures in the formats that the endings name, and returns the files.

    `.csv`, `.parquet`, `.json`: a table with a row per person and frame; `.json` and Parquet's
    metadata also have a summary per person. `.trc`, `.mot`: for OpenSim, one file per person, with
    its id in the name where there are several. `.html`, `.png`: plots. The content of all is made
    before the first file is written.

    Raises:
        VepeError: if a file cannot be written, or `.trc` is asked for without a known height.
    """
    plan = [step for target in targets for step in _plan(target, people, tracks)]
    for path, write in plan:
        write(path)
    return [path for path, _ in plan]


def _plan(
    path: Path, people: Sequence[PersonMeasures], tracks: PoseTracks
) -> list[tuple[Path, Callable[[Path], Path | None]]]:
    """The files of one target, each with the function that writes it."""
    kind = path.suffix.lower()
    paths = measure_paths(path, [person.track_id for person in people])
    if kind in OPENSIM_ENDINGS:
        prepare = _trc if kind == ".trc" else _mot
        return [(p, prepare(p, person, tracks)) for p, person in zip(paths, people, strict=True)]
    if kind in ENDINGS:
        columns, facts = table(people), about(people, tracks)
        return [(path, lambda target: write_columns(target, columns, facts))]
    title = f"Measures of {tracks.video.name}"
    content = measures_image(people) if kind == ".png" else measures_page(title, people).encode()
    return [(path, lambda target: write_bytes(target, content))]


def table(people: Sequence[PersonMeasures]) -> dict[str, np.ndarray]:
    """All measures as columns: `frame`, `time_s`, `track_id`, and the columns of the people."""
    names = dict.fromkeys(name for person in people for name in person.columns)
    parts: dict[str, list[np.ndarray]] = {"frame": [], "time_s": [], "track_id": []}
    parts |= {name: [] for name in names}
    for person in people:
        count = len(person.times_s)
        parts["frame"].append(person.frame_indices)
        parts["time_s"].append(person.times_s)
        parts["track_id"].append(np.full(count, person.track_id))
        for name in names:  # one person may be in metres, another in body heights
            parts[name].append(person.columns.get(name, np.full(count, np.nan)))
    return {name: np.concatenate(columns) for name, columns in parts.items()}


def about(people: Sequence[PersonMeasures], tracks: PoseTracks) -> dict[str, Any]:
    """What a table cannot say: of which video, and the summary of each person."""
    return {
        "vepe": __version__,
        "video": {"name": tracks.video.name, "fps": tracks.video.fps},
        "people": [
            {
                "track_id": person.track_id,
                "metres_per_px": _number(person.metres_per_px),
                **person.summary,
            }
            for person in people
        ],
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _rate(tracks: PoseTracks) -> float:
    """Frames per second with poses."""
    times = np.array([frame.time_s for frame in tracks.frames])
    steps = np.diff(times)
    return round(1 / float(np.median(steps)), 3) if len(steps) else tracks.video.fps


def _trc(path: Path, person: PersonMeasures, tracks: PoseTracks) -> Callable[[Path], Path]:
    """A function that writes the file; x to the right, y up from the lowest point, z is 0."""
    if not np.isfinite(person.metres_per_px):
        raise VepeError(
            f"'{path.name}' holds places in metres, and the scale of person {person.track_id} is "
            "not known; give the height in metres: --height 1.75."
        )
    rate = _rate(tracks)
    times, points = resample(person.points_px, person.times_s, rate, MAX_GAP_S)
    places = np.zeros((*points.shape[:2], 3))
    places[..., 0] = points[..., 0] * person.metres_per_px
    lowest = np.nanmax(points[..., 1])  # y grows downwards
    places[..., 1] = (lowest - points[..., 1]) * person.metres_per_px
    places[np.isnan(points).any(axis=-1)] = np.nan
    names = tracks.skeleton.keypoints
    return lambda target: write_trc(target, names, times, places, rate)


def _mot(path: Path, person: PersonMeasures, tracks: PoseTracks) -> Callable[[Path], Path]:
    """A function that writes the file; angles are interpolated over all gaps."""
    names = coordinate_names(list(person.columns))
    known = {
        ours: theirs for ours, theirs in names.items() if np.isfinite(person.columns[ours]).any()
    }
    if not known:
        raise VepeError(
            f"'{path.name}' would hold no angle: no joint of person {person.track_id} is known."
        )
    table = np.stack([person.columns[name] for name in known], axis=1)
    times, even = resample(table, person.times_s, _rate(tracks), np.inf)
    for column in range(even.shape[1]):
        sure = np.isfinite(even[:, column])
        even[:, column] = np.interp(times, times[sure], even[sure, column])
    columns = dict(zip(known.values(), even.T, strict=True))
    return lambda target: write_mot(target, times, columns)
