"""What is odd about the names of a folder of frames: duplicates and gaps."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path


def listing_notes(paths: list[Path]) -> list[str]:
    """Sentences about names that are odd in a folder of frames: duplicates, and gaps."""
    notes = []
    by_stem: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_stem[path.stem.lower()].append(path.name)
    pairs = [names for names in by_stem.values() if len(names) > 1]
    if pairs:
        others = f" (and {len(pairs) - 1} more such names)" if len(pairs) > 1 else ""
        notes.append(
            f"'{pairs[0][0]}' and '{pairs[0][1]}' differ in their ending only{others}; each is a "
            "frame of its own, so remove one where they are the same image."
        )
    gaps = _gaps(paths)
    if gaps:
        others = f" ({len(gaps)} such gaps)" if len(gaps) > 1 else ""
        notes.append(
            f"The numbering has a gap between '{gaps[0][0].name}' and '{gaps[0][1].name}'{others}; "
            "the next image is taken as the next frame."
        )
    return notes


def _gaps(paths: list[Path]) -> list[tuple[Path, Path]]:
    """Neighbours whose numbers differ by more than is usual in a regular numbering."""
    matches = [re.fullmatch(r"(.*?)(\d{1,18})", path.stem) for path in paths]
    numbered = [(m[1], int(m[2]), p) for m, p in zip(matches, paths, strict=True) if m]
    steps = [
        (after[1] - before[1], before[2], after[2])
        for before, after in pairwise(numbered)
        if before[0] == after[0] and after[1] > before[1]
    ]
    if not steps:
        return []
    usual, count = Counter(step for step, _, _ in steps).most_common(1)[0]
    if 2 * count < len(steps):  # no regular numbering, such as times
        return []
    return [(before, after) for step, before, after in steps if step > usual]
