"""SLEAP's `.slp` projects and Neurodata Without Borders (`.nwb`), through sleap-io.

The package is sleap-io (extra `sleap`); it also reads and writes many other formats, see its
documentation. People with a score are `PredictedInstance`s, others `Instance`s. NWB is only
written: sleap-io's reader of it moves poses to other frames where keypoints are missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError, missing_extra, one_line
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, Person, skeleton_named
from vepe.formats.files import replacing_named

MAX_FRAMES = 10_000_000
"""Most frames of an NWB file: four and a half days of video."""


def _sleap_io() -> Any:
    try:
        import sleap_io
    except ImportError:
        raise missing_extra("SLEAP's format", "sleap-io", "sleap") from None
    return sleap_io


def labels_of(sequence: AnnotatedSequence) -> Any:
    """The sequence as `sleap_io.Labels`, with a track for each id.

    Raises:
        VepeError: if sleap-io is missing.
    """
    sio = _sleap_io()
    names, own = sequence.skeleton.keypoints, sequence.skeleton
    skeleton = sio.Skeleton(
        nodes=list(names),
        edges=[(names[a], names[b]) for a, b in own.edges],
        symmetries=[(names[a], names[b]) for a, b in own.flip_pairs],
        name=own.name,
    )
    video = sio.Video(filename=str(sequence.source), open_backend=False)
    sizes = [(f.height, f.width) for f in sequence.frames if f.width and f.height]
    if sizes:
        video.backend_metadata["shape"] = (len(sequence), *sizes[0], 3)
    tracks: dict[int, Any] = {}
    frames = []
    for frame in sequence.frames:
        instances = []
        for person in frame.people:
            track = None
            if person.track_id is not None:
                track = tracks.setdefault(person.track_id, sio.Track(f"track_{person.track_id}"))
            instances.append(_instance(sio, person, skeleton, track))
        if instances:
            frames.append(sio.LabeledFrame(video=video, frame_idx=frame.index, instances=instances))
    return sio.Labels(
        labeled_frames=frames, videos=[video], skeletons=[skeleton], tracks=list(tracks.values())
    )


def _instance(sio: Any, person: Person, skeleton: Any, track: Any) -> Any:
    points = np.where(person.present[:, None], person.keypoints_px, np.nan)
    if person.score is None:
        return sio.Instance.from_numpy(points, skeleton=skeleton, track=track)
    return sio.PredictedInstance.from_numpy(
        points,
        skeleton=skeleton,
        point_scores=np.nan_to_num(person.keypoint_scores),
        score=person.score,
        track=track,
    )


def write_slp(path: Path, sequence: AnnotatedSequence) -> Path:
    """Writes one sequence as a SLEAP project and returns the path.

    Raises:
        VepeError: if sleap-io is missing, or `path` cannot be written.
    """
    return _write(path, sequence, ".slp")


def write_nwb(path: Path, sequence: AnnotatedSequence) -> Path:
    """Writes one sequence as NWB (ndx-pose) and returns the path; errors as `write_slp`."""
    return _write(path, sequence, ".nwb")


def _write(path: Path, sequence: AnnotatedSequence, suffix: str) -> Path:
    sio, labels = _sleap_io(), labels_of(sequence)
    with replacing_named(path, suffix) as named:
        if suffix == ".slp":
            sio.save_slp(labels, str(named), verbose=False)
        else:
            _save_nwb(labels, named, sequence)
    return path


def _save_nwb(labels: Any, path: Path, sequence: AnnotatedSequence) -> None:
    """As `sleap_io.save_nwb`, which takes no times and fails where a frame has no people.

    Frames without times get those of 25 frames per second.
    """
    from sleap_io.io.nwb_predictions import write_nwb as save

    last = max((f.index for f in sequence.frames), default=0)
    if last > MAX_FRAMES:
        raise VepeError(
            f"Frame {last} of '{sequence.name}' is too far for NWB, which has a time for each "
            f"frame from 0; number its frames up to {MAX_FRAMES}."
        )
    times = np.arange(1 + last) / 25.0
    timed = [f for f in sequence.frames if f.time_s is not None]
    if len(timed) == len(sequence) > 0:
        indices = [f.index for f in timed]
        times = np.interp(np.arange(len(times)), indices, [f.time_s or 0.0 for f in timed])
    save(labels, str(path), pose_estimation_metadata={"video_timestamps": times})


def read_slp(path: Path) -> tuple[AnnotatedSequence, ...]:
    """Reads a `.slp` file: one sequence for each of its videos.

    Track ids are the numbers that the tracks' names end in, or 0, 1, ... in order.

    Raises:
        VepeError: if sleap-io is missing, or cannot read the file.
    """
    sio = _sleap_io()
    if not path.is_file():
        raise VepeError(f"{path} does not exist; check the path.")
    try:
        labels = sio.load_slp(str(path))
        return sequences_of(labels, path)
    except VepeError:
        raise
    except Exception as error:  # sleap-io and its libraries raise anything for a broken file
        reason = one_line(error)
        raise VepeError(f"{path} cannot be read by sleap-io ({reason}); check the file.") from error


def sequences_of(labels: Any, source: Path) -> tuple[AnnotatedSequence, ...]:
    """The sequences in `sleap_io.Labels`; `source` is for messages and names a single one."""
    if not labels.skeletons:
        raise VepeError(f"{source} has no skeleton; it is no file of poses.")
    nodes = labels.skeletons[0].node_names
    skeleton = skeleton_named(nodes, labels.skeletons[0].edge_inds)
    names = [track.name for track in labels.tracks]
    digits = [name[len(name.rstrip("0123456789")) :] for name in names]
    numbers = [int(d) for d in digits if d and len(d) <= 15]
    unique = len(set(numbers)) == len(names)
    id_of = {id(t): numbers[i] if unique else i for i, t in enumerate(labels.tracks)}
    sequences = []
    for video in labels.videos:
        frames = sorted(
            (f for f in labels.labeled_frames if f.video is video), key=lambda f: f.frame_idx
        )
        name = Path(str(video.filename)).stem if len(labels.videos) > 1 else source.stem
        annotated = tuple(_frame(frame, id_of) for frame in frames)
        sequences.append(AnnotatedSequence(name, annotated, skeleton, source, "coco"))
    return tuple(sequences)


def _frame(frame: Any, id_of: dict[int, int]) -> AnnotatedFrame:
    people = []
    for instance in frame.instances:
        table = instance.numpy()
        present = np.isfinite(table).all(axis=1)
        predicted = hasattr(instance, "score")
        people.append(
            Person(
                keypoints_px=np.where(present[:, None], table, 0.0),
                present=present,
                visibility=np.where(present, 2.0, 0.0),
                keypoint_scores=np.asarray(instance.points["score"], float)
                if predicted
                else np.full(len(table), np.nan),
                score=float(instance.score) if predicted else None,
                track_id=None if instance.track is None else id_of.get(id(instance.track)),
            )
        )
    index = int(frame.frame_idx)
    return AnnotatedFrame(index, "", None, True, bool(people), tuple(people))
