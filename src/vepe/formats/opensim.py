"""OpenSim's `.trc` (places of markers) and `.mot` (angles of joints), one file per person.

Sources: OpenSim's user guide, "Marker (.trc) Files"
(https://opensimconfluence.atlassian.net/wiki/spaces/OpenSim/pages/53089972) and "Motion (.mot)
Files" (https://opensimconfluence.atlassian.net/wiki/spaces/OpenSim/pages/53089415). Both hold even
times; an unknown place in `.trc` is an empty cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vepe.errors import VepeError, check_name
from vepe.formats.files import replacing

COORDINATES = {
    "{side}_hip_flexion_deg": "hip_flexion_{s}",
    "{side}_knee_flexion_deg": "knee_angle_{s}",
    "{side}_ankle_dorsiflexion_deg": "ankle_angle_{s}",
    "{side}_shoulder_flexion_deg": "arm_flex_{s}",
    "{side}_elbow_flexion_deg": "elbow_flex_{s}",
}
"""Names of our angles in OpenSim's full-body model of Rajagopal et al. (2016), with its signs."""


def write_trc(
    path: Path,
    markers: Sequence[str],
    times_s: Float[np.ndarray, "F"],
    places_m: Float[np.ndarray, "F M 3"],
    rate_hz: float,
) -> Path:
    """Writes places of markers in metres and returns the path.

    Args:
        path: the file; replaced at the end.
        markers: M names.
        times_s: even, `1 / rate_hz` apart.
        places_m: x, y (up) and z; NaN where unknown.
        rate_hz: frames per second.

    Raises:
        VepeError: if there are no frames or the file cannot be written.
    """
    _check(path, times_s)
    num_frames, num_markers = len(times_s), len(markers)
    rate = f"{rate_hz:.6g}"
    axes = [f"{axis}{i}" for i in range(1, num_markers + 1) for axis in "XYZ"]
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame"
        "\tOrigNumFrames",
        f"{rate}\t{rate}\t{num_frames}\t{num_markers}\tm\t{rate}\t1\t{num_frames}",
        "Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t",
        "\t\t" + "\t".join(axes),
        "",
    ]
    rows = [
        f"{i}\t{time_s:.6f}\t" + "\t".join("" if np.isnan(v) else f"{v:.6f}" for v in row)
        for i, (time_s, row) in enumerate(
            zip(times_s.tolist(), places_m.reshape(num_frames, -1).tolist(), strict=True), start=1
        )
    ]
    return _write(path, [*head, *rows])


def write_mot(
    path: Path, times_s: Float[np.ndarray, "F"], columns: Mapping[str, Float[np.ndarray, "F"]]
) -> Path:
    """Writes angles in degrees and returns the path.

    Args:
        path: the file; replaced at the end.
        times_s: even.
        columns: finite values by the name of a coordinate.

    Raises:
        VepeError: if there are no frames or columns, or the file cannot be written.
    """
    _check(path, times_s)
    if not columns:
        raise VepeError(f"'{path}' would hold no angle: none of the joints is known.")
    head = [
        "Coordinates",
        "version=1",
        f"nRows={len(times_s)}",
        f"nColumns={len(columns) + 1}",
        "inDegrees=yes",
        "",
        "Units are S.I. units (second, meters, Newtons, ...)",
        "Angles are in degrees.",
        "",
        "endheader",
        "time\t" + "\t".join(columns),
    ]
    table = np.stack([times_s, *columns.values()], axis=1)
    return _write(path, [*head, *("\t".join(f"{v:.6f}" for v in row) for row in table.tolist())])


def coordinate_names(columns: Sequence[str]) -> dict[str, str]:
    """OpenSim's name of each of our columns that it has one for."""
    names = {}
    for side, letter in (("right", "r"), ("left", "l")):
        for ours, theirs in COORDINATES.items():
            if (name := ours.format(side=side)) in columns:
                names[name] = theirs.format(s=letter)
    return names


def _check(path: Path, times_s: Float[np.ndarray, "F"]) -> None:
    check_name(path.name)
    if not len(times_s):
        raise VepeError(f"'{path}' would hold no frame; measure a person who is seen.")


def _write(path: Path, lines: Sequence[str]) -> Path:
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
