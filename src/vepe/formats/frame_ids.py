"""PoseTrack's coded frame ids, TSSSSSSFFFF, made from the names of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable

FIRST_CODED_ID = 10**10
"""The smallest coded id: 11 digits."""

_KINDS = {"mpii": 1, "bonn": 2, "mpiinew": 3, "synth": 9}
_NAME = re.compile(r"(?:^|/)(\d{6})_(mpiinew|mpii|bonn|synth)[^/]*/(\d+)\.\w+$")


def coded_frame_id(file_name: str) -> int | None:
    """The id of a picture such as 'images/val/012834_mpii_test/000003.jpg', or None.

    T is 1 for mpii, 2 for bonn, 3 for mpiinew, 9 for synthetic video; S the sequence's six
    digits; F the frame.
    """
    found = _NAME.search(file_name)
    if found is None or len(found[3].lstrip("0")) > 4:
        return None
    return _KINDS[found[2]] * FIRST_CODED_ID + int(found[1]) * 10_000 + int(found[3])


def video_id(file_name: str) -> str | None:
    """The six digits of the sequence in a picture's name, or None."""
    found = _NAME.search(file_name)
    return found[1] if found else None


def frame_ids(file_names: Iterable[str], indices: Iterable[int]) -> list[int]:
    """An id for every frame: coded where all names allow it, else the frames' numbers."""
    coded = [coded_frame_id(name) for name in file_names]
    if None not in coded and len(set(coded)) == len(coded):
        return [i for i in coded if i is not None]
    return list(indices)
