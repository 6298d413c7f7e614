"""HDF5: one array over frames, people and keypoints, in the layout of SLEAP's analysis files.

Source: SLEAP's documentation, 'Export data for analysis', and the reader of sleap-io. `movement`,
sleap-io and SLEAP's own tools read it. Datasets: `tracks` (T, 2, K, F) with NaN for what is
missing, `point_scores` (T, K, F), `instance_scores` (T, F), `track_occupancy` (F, T),
`track_names`, `node_names`, `edge_names`, `edge_inds`; and two of our own, which others ignore:
`frame_index` and `time_s` (F,). The package is h5py (extra `hdf5`). Dimension letters: T tracks,
F frames, K keypoints.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vepe.errors import VepeError, missing_extra, one_line
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person, skeleton_named
from vepe.formats.files import write_bytes

MAX_CELLS = 100_000_000
"""Largest number of values in one array: a file of a few bytes can state as many."""


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise missing_extra("HDF5", "h5py", "hdf5") from None
    return h5py


def write_hdf5(path: Path, sequence: AnnotatedSequence) -> Path:
    """Writes one sequence and returns the path; people without a track id have no place in it.

    Raises:
        VepeError: if h5py is missing, the arrays would be too large, or `path` cannot be written.
    """
    h5py = _h5py()
    ids = sorted({p.track_id for f in sequence.frames for p in f.people if p.track_id is not None})
    column = {track_id: i for i, track_id in enumerate(ids)}
    shape = (len(ids), 2, len(sequence.skeleton), len(sequence))
    if np.prod(shape, dtype=float) > MAX_CELLS:
        raise VepeError(
            f"{path}: {len(ids)} tracks over {len(sequence)} frames are too many for one array; "
            "convert to parquet, or write shorter videos."
        )
    tracks = np.full(shape, np.nan)
    point_scores = np.full((shape[0], *shape[2:]), np.nan)
    scores = np.full((shape[0], shape[3]), np.nan)
    occupancy = np.zeros((shape[3], shape[0]), np.uint8)
    for f, frame in enumerate(sequence.frames):
        for person in frame.people:
            if person.track_id is None:
                continue
            t = column[person.track_id]
            tracks[t, :, person.present, f] = person.keypoints_px[person.present]
            point_scores[t, :, f] = person.keypoint_scores
            scores[t, f] = np.nan if person.score is None else person.score
            occupancy[f, t] = 1
    names, edges = sequence.skeleton.keypoints, sequence.skeleton.edges
    times = [np.nan if f.time_s is None else f.time_s for f in sequence.frames]
    content = io.BytesIO()  # on a full disk, HDF5 fails in ways that cannot be caught
    with h5py.File(content, "w") as file:
        for name, array in (
            ("tracks", tracks),
            ("point_scores", point_scores),
            ("instance_scores", scores),
            ("tracking_scores", np.full_like(scores, np.nan)),
            ("track_occupancy", occupancy),
        ):
            file.create_dataset(name, data=array, compression="gzip" if array.size else None)
        file["frame_index"] = np.array([f.index for f in sequence.frames], np.int64)
        file["time_s"] = np.array(times, np.float64)
        file["track_names"] = np.array([f"track_{i}".encode() for i in ids], "S")
        file["node_names"] = np.array([name.encode() for name in names], "S")
        file["edge_names"] = np.array(
            [[names[a].encode(), names[b].encode()] for a, b in edges], "S"
        ).reshape(-1, 2)
        file["edge_inds"] = np.array(edges, np.int64).reshape(-1, 2)
        file["labels_path"] = str(sequence.source)
        file["video_path"] = sequence.name
    write_bytes(path, content.getvalue())
    return path


def read_hdf5(path: Path) -> AnnotatedSequence:
    """Reads what `write_hdf5` wrote, or another analysis file of SLEAP.

    Track ids are the numbers that the names end in, or 0, 1, ...

    Raises:
        VepeError: if h5py is missing, or the file is missing or not of this layout.
    """
    h5py = _h5py()
    if not path.is_file():
        raise VepeError(f"{path} does not exist; check the path.")
    try:
        with h5py.File(path, "r") as file:
            _check_inside(file, h5py, path)
            return _sequence(file, path)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise VepeError(
            f"{path} is not an HDF5 file of tracks as SLEAP exports them ({one_line(error)}); "
            "check it."
        ) from error


def _sequence(file: Any, path: Path) -> AnnotatedSequence:
    tracks = _array(file, "tracks", path)
    if tracks is None or tracks.ndim != 4 or tracks.shape[1] != 2:
        raise VepeError(f"{path} has no dataset 'tracks' of x and y; it is no file of tracks.")
    num_tracks, _, num_keypoints, num_frames = tracks.shape
    names = [bytes(n).decode() for n in np.asarray(file["node_names"][:num_keypoints])]
    if len(names) != num_keypoints:
        raise VepeError(f"{path}: {len(names)} node_names for {num_keypoints} keypoints; fix it.")
    edges = np.asarray(file["edge_inds"][:1000] if "edge_inds" in file else [], int).reshape(-1, 2)
    edges = edges[((edges >= 0) & (edges < num_keypoints)).all(axis=1)]
    point_scores = _shaped(file, "point_scores", (num_tracks, num_keypoints, num_frames), path)
    scores = _shaped(file, "instance_scores", (num_tracks, num_frames), path)
    times = _shaped(file, "time_s", (num_frames,), path)
    index = _shaped(file, "frame_index", (num_frames,), path)
    numbers = np.arange(num_frames) if np.isnan(index).any() else index.astype(np.int64)
    ids = _track_ids(file, num_tracks)
    frames = []
    for f in range(num_frames):
        people = tuple(
            _person(tracks[t, :, :, f].T, point_scores[t, :, f], scores[t, f], ids[t])
            for t in np.flatnonzero(np.isfinite(tracks[..., f]).all(axis=1).any(axis=1))
        )
        time_s = None if np.isnan(times[f]) else float(times[f])
        frames.append(
            AnnotatedFrame(int(numbers[f]), "", None, True, bool(people), people, time_s=time_s)
        )
    skeleton = skeleton_named(names, [(int(a), int(b)) for a, b in edges])
    return AnnotatedSequence(path.stem, tuple(frames), skeleton, path, "coco")


def _check_inside(file: Any, h5py: Any, path: Path) -> None:
    """Raises VepeError where a dataset's values lie in another file, whichever that is."""
    for name in file:
        outside = isinstance(file.get(name, getlink=True), h5py.ExternalLink)
        item = None if outside else file.get(name)
        if isinstance(item, h5py.Dataset):
            outside = item.is_virtual or bool(item.external)
        if outside:
            raise VepeError(f"{path}: '{name}' lies in another file; write it into this one.")


def _array(file: Any, name: str, path: Path) -> Float[np.ndarray, "..."] | None:
    if name not in file:
        return None
    if file[name].size > MAX_CELLS:
        raise VepeError(f"{path}: '{name}' states {file[name].size} values, too many; split it.")
    return np.asarray(file[name][()], np.float64)


def _shaped(file: Any, name: str, shape: tuple[int, ...], path: Path) -> Float[np.ndarray, "..."]:
    """A dataset of this shape; NaN where it is missing or empty."""
    array = _array(file, name, path)
    if array is None or not array.size:
        return np.full(shape, np.nan)
    if array.shape != shape:
        raise VepeError(f"{path}: '{name}' has the shape {array.shape}, not {shape}; fix it.")
    return array


def _track_ids(file: Any, count: int) -> Int[np.ndarray, "T"]:
    names: Any = np.asarray(file["track_names"][:count]) if "track_names" in file else []
    matches = [re.search(rb"(\d{1,15})$", bytes(name)) for name in names]
    numbers = [int(m[1]) for m in matches if m]
    unique = len(set(numbers)) == len(numbers) == count
    return np.array(numbers if unique else range(count), np.int64)


def _person(
    xy: Float[np.ndarray, "K 2"], point_scores: Float[np.ndarray, "K"], score: float, track_id: int
) -> Person:
    present = np.isfinite(xy).all(axis=1)
    return Person(
        keypoints_px=np.where(present[:, None], xy, 0.0),
        present=present,
        visibility=np.where(present, 2.0, 0.0),
        keypoint_scores=point_scores,
        score=None if np.isnan(score) else float(score),
        track_id=int(track_id),
    )
