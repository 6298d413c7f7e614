"""Pairs the sequences and frames of labelled and predicted tracks, of any formats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vepe.errors import VepeError
from vepe.formats.annotations import AnnotatedFrame, AnnotatedSequence, frame_place
from vepe.formats.detect import read_any

TrackSource = str | Path | Sequence[str | Path] | Iterable[AnnotatedSequence]
"""A file, a folder, several of them, or sequences in memory."""

_FORMAT_ENDINGS = re.compile(r"(\.coco|\.mot|_openpose)$")
"""What `vepe track` adds to the names of its other formats."""


@dataclass(frozen=True, eq=False)
class FramePair:
    """A scored frame of the ground truth, and the frame of the prediction, None without one."""

    gt: AnnotatedFrame
    pred: AnnotatedFrame | None
    place: str


@dataclass(frozen=True, eq=False)
class SequencePair:
    """A sequence of the ground truth and its prediction, with the frames that are scored."""

    gt: AnnotatedSequence
    pred: AnnotatedSequence
    frames: tuple[FramePair, ...]


def read_tracks(source: TrackSource) -> list[AnnotatedSequence]:
    """All sequences of a source. Raises VepeError if something cannot be read."""
    if isinstance(source, str | Path):
        return list(read_any(Path(source)))
    sequences: list[AnnotatedSequence] = []
    for item in source:
        sequences += read_any(Path(item)) if isinstance(item, str | Path) else [item]
    return sequences


def pair_tracks(
    gt: Sequence[AnnotatedSequence], pred: Sequence[AnnotatedSequence], notes: list[str]
) -> list[SequencePair]:
    """Every sequence of the ground truth with its prediction.

    One sequence on both sides is a pair whatever the names are; several are paired by name.

    Args:
        notes: messages for the user are appended here.

    Raises:
        VepeError: if a prediction is missing, or frames cannot be paired.
    """
    if len(gt) == len(pred) == 1:
        return [_pair_frames(gt[0], pred[0], notes)]
    by_name: dict[str, AnnotatedSequence] = {}
    for sequence in pred:
        name = _FORMAT_ENDINGS.sub("", sequence.name)
        if name in by_name:
            raise VepeError(
                f"{by_name[name].source} and {sequence.source} both predict '{name}'; name one."
            )
        by_name[name] = sequence
    names = ", ".join(sorted(by_name)[:5])
    pairs = []
    for sequence in sorted(gt, key=lambda s: s.name):
        name = _FORMAT_ENDINGS.sub("", sequence.name)
        if name not in by_name:
            raise VepeError(
                f"Sequence '{name}' of {sequence.source} has no prediction; the prediction has "
                f"{names or 'no sequences'}."
            )
        pairs.append(_pair_frames(sequence, by_name.pop(name), notes))
    if by_name:
        extra = ", ".join(sorted(by_name)[:3]) + (" ..." if len(by_name) > 3 else "")
        notes.append(f"{len(by_name)} predicted sequences have no ground truth: {extra}.")
    return pairs


def is_scored(frame: AnnotatedFrame, sequence: AnnotatedSequence) -> bool:
    """Whether a frame of the ground truth counts: it is labelled.

    COCO has no flag for that: where a file does not state `is_labeled`, all its images count, also
    those without people.
    """
    return frame.is_labeled or (sequence.format == "coco" and not frame.states_labeled)


def _pair_frames(gt: AnnotatedSequence, pred: AnnotatedSequence, notes: list[str]) -> SequencePair:
    """Pairs frames by the first of these under which all have a partner, or else the most.

    The name of the image (without folder and ending), the number in it, the frame's number in the
    video, and the position in the file if both files have the same number of frames.
    """
    scored = [i for i, frame in enumerate(gt.frames) if is_scored(frame, gt)]
    if not scored:
        raise VepeError(f"{gt.source}: '{gt.name}' has no labelled frame, so nothing is scored.")
    best: dict[int, int] = {}
    rule = ""
    for name, (gt_keys, pred_keys) in _frame_keys(gt, pred).items():
        if len(set(gt_keys)) < len(gt_keys) or len(set(pred_keys)) < len(pred_keys):
            continue
        position = {key: i for i, key in enumerate(pred_keys)}
        pairs = {i: position[gt_keys[i]] for i in scored if gt_keys[i] in position}
        if len(pairs) > len(best):
            best, rule = pairs, name
        if len(best) == len(scored):
            break
    if not best and len(pred):
        raise VepeError(
            f"No frame of {pred.source} is a labelled frame of {gt.source}: neither the names of "
            "their images nor the numbers of their frames agree; correct one side."
        )
    if len(best) < len(scored):
        notes.append(
            f"{gt.name}: {len(scored) - len(best)} of {len(scored)} labelled frames have no "
            f"frame in {pred.source} (paired by {rule or 'name'}) and count as empty there."
        )
    frames = tuple(
        FramePair(
            gt.frames[i],
            pred.frames[best[i]] if i in best else None,
            frame_place(gt.source, i, gt.frames[i].file_name),
        )
        for i in scored
    )
    return SequencePair(gt, pred, frames)


def _frame_keys(
    gt: AnnotatedSequence, pred: AnnotatedSequence
) -> dict[str, tuple[Sequence[str | int], Sequence[str | int]]]:
    keys: dict[str, tuple[Sequence[str | int], Sequence[str | int]]] = {}
    gt_stems, pred_stems = ([PurePosixPath(f.file_name).stem for f in s.frames] for s in (gt, pred))
    if all(gt_stems) and all(pred_stems):
        keys["name"] = (gt_stems, pred_stems)
    gt_numbers, pred_numbers = (_last_numbers(stems) for stems in (gt_stems, pred_stems))
    indices = [f.index for f in pred.frames]
    if gt_numbers and pred_numbers:
        keys["the number in the name"] = (gt_numbers, pred_numbers)
    if gt_numbers:
        keys["the number in the name and that of the frame"] = (gt_numbers, indices)
    keys["the number of the frame"] = ([f.index for f in gt.frames], indices)
    if len(gt) == len(pred):
        keys["position"] = (range(len(gt)), range(len(pred)))
    return keys


def _last_numbers(stems: Sequence[str]) -> list[int] | None:
    """The numbers that the names end in, None if one has no number."""
    matches = [re.search(r"\d{1,15}$", stem) for stem in stems]
    return [int(m[0]) for m in matches if m] if all(matches) else None
