"""Repairing track ids after the fact: merge, split, swap and drop, with a log in the info block."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Int

from vepe import __version__
from vepe.errors import VepeError
from vepe.types import FramePoses, PoseTracks

Kind = Literal["swap", "split", "merge", "drop"]
Tracks = TypeVar("Tracks", bound=PoseTracks)

_NUMBER = r"[0-9]{1,15}"
_TIME = r"@(?P<time>[0-9]{1,9}(?:\.[0-9]{0,9})?)s?"
_PATTERNS: dict[Kind, tuple[re.Pattern[str], str]] = {
    "swap": (re.compile(rf"(?P<a>{_NUMBER}),(?P<b>{_NUMBER}){_TIME}"), "1,2@3.0s"),
    "split": (re.compile(rf"(?P<a>{_NUMBER}){_TIME}(?:=(?P<b>{_NUMBER}))?"),
              "5@12.4s or 5@12.4s=9"),
    "merge": (re.compile(rf"(?P<a>{_NUMBER}(?:,{_NUMBER})*):(?P<b>{_NUMBER})"), "3:2 or 3,4:2"),
    "drop": (re.compile(rf"(?P<a>{_NUMBER}(?:,{_NUMBER})*)"), "7 or 7,8"),
}  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """One change of ids.

    Attributes:
        kind: "swap": from `time_s` on, both ids change places. "split": from `time_s` on, the id
            becomes `target`, a new one if None. "merge": the ids become `target`. "drop": the
            people with these ids are removed.
        ids: whom it is about.
        target: the id that they get.
        time_s: when it begins; None for the whole video.
        text: how it was written, for the log.
    """

    kind: Kind
    ids: tuple[int, ...]
    target: int | None = None
    time_s: float | None = None
    text: str = ""

    @staticmethod
    def parse(kind: Kind, text: str) -> Edit:
        """Reads what the options of `vepe edit` take, such as "1,2@3.0s" for a swap.

        Raises:
            VepeError: if it is written in another way.
        """
        pattern, example = _PATTERNS[kind]
        match = pattern.fullmatch(text.replace(" ", ""))
        if match is None:
            raise VepeError(f"--{kind} takes {example}; '{text}' is written in another way.")
        parts = match.groupdict()
        ids = tuple(int(number) for number in parts["a"].split(","))
        target = None if parts.get("b") is None else int(parts["b"])
        if kind == "swap":
            assert target is not None
            ids, target = (ids[0], target), None
        if kind in ("swap", "merge") and len({*ids, target}) < len(ids) + 1:
            raise VepeError(f"--{kind} {text} names an id twice; name different ones.")
        time_s = None if parts.get("time") is None else float(parts["time"])
        return Edit(kind, ids, target, time_s, match[0])


def apply_edits(tracks: Tracks, edits: Iterable[Edit]) -> Tracks:
    """The tracks with changed ids, and a record of each edit in `info["edits"]`.

    Swaps and splits come first, in the order of their times; then merges, then people are dropped.
    So all but swaps and splits are about ids as they are after these.

    Raises:
        VepeError: if an id does not occur (from that time on), a new id is taken, or two people
            would have the same id in a frame. The sentence says where.
    """
    order = {"swap": 0, "split": 0, "merge": 1, "drop": 2}
    ordered = sorted(edits, key=lambda e: (order[e.kind], e.time_s if e.time_s is not None else 0))
    log: list[dict[str, Any]] = []
    for edit in ordered:
        tracks, record = _applied(tracks, edit)
        log.append(record)
    before = tracks.info.get("edits")
    info = {**tracks.info, "edits": [*(before if isinstance(before, list) else []), *log]}
    return replace(tracks, info=info)


def _applied(tracks: Tracks, edit: Edit) -> tuple[Tracks, dict[str, Any]]:
    """The tracks after one edit, and its record."""
    from_s = -math.inf if edit.time_s is None else edit.time_s
    for track_id in edit.ids:
        _require(tracks, track_id, from_s)
    record: dict[str, Any] = {"edit": f"{edit.kind} {edit.text}", "vepe": __version__}
    mapping: dict[int, int] = {}
    if edit.kind == "swap":
        mapping = {edit.ids[0]: edit.ids[1], edit.ids[1]: edit.ids[0]}
    elif edit.kind == "split":
        known = tracks.track_ids()
        target = max(known) + 1 if edit.target is None else edit.target
        if target in known:
            raise VepeError(f"--split {edit.text}: {target} is the id of another track.")
        mapping = {edit.ids[0]: target}
        record["new_id"] = target
    elif edit.kind == "merge":
        assert edit.target is not None
        _require(tracks, edit.target, from_s)
        mapping = dict.fromkeys(edit.ids, edit.target)
        _refuse_overlap(tracks, (*edit.ids, edit.target))
    frames, changed = [], 0
    for frame in tracks.frames:
        affected = np.isin(frame.track_ids, edit.ids) & (frame.time_s >= from_s)
        changed += int(affected.any())
        frames.append(_changed(frame, affected, mapping) if affected.any() else frame)
    return replace(tracks, frames=tuple(frames)), {**record, "frames": changed}


def _changed(
    frame: FramePoses, affected: Bool[np.ndarray, "P"], mapping: dict[int, int]
) -> FramePoses:
    """The frame with new ids, or without those people where there is no mapping."""
    if not mapping:
        return frame.select(~affected)
    ids: Int[np.ndarray, "P"] = frame.track_ids.copy()
    ids[affected] = [mapping[int(i)] for i in frame.track_ids[affected]]
    return replace(frame, track_ids=ids)


def _require(tracks: PoseTracks, track_id: int, from_s: float) -> None:
    """Raises VepeError where nobody has that id from a time on."""
    times = tracks.person(track_id).times_s
    if times[-1] < from_s:
        raise VepeError(
            f"Track {track_id} is not seen from {from_s:g} s on; it ends at {times[-1]:.2f} s."
        )


def _refuse_overlap(tracks: PoseTracks, ids: Sequence[int]) -> None:
    for frame in tracks.frames:
        here = frame.track_ids[np.isin(frame.track_ids, ids)]
        if len(here) > 1:
            a, b = sorted(here.tolist())[:2]
            raise VepeError(
                f"Tracks {a} and {b} are both in the frame at {frame.time_s:.2f} s, so they cannot "
                "be one person; split one of them there first, and drop the part that is wrong."
            )


def parse_edits(options: Mapping[Kind, Sequence[str] | None]) -> list[Edit]:
    """All edits of a call, by kind. Raises VepeError if there is none, or one is malformed."""
    edits = [Edit.parse(kind, text) for kind, texts in options.items() for text in texts or []]
    if not edits:
        raise VepeError("There is nothing to do; give --merge, --split, --swap or --drop.")
    return edits
