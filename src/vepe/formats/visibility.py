"""Visibility in PoseTrack's words (0 hidden, 1 seen) and in COCO's (0 none, 1 hidden, 2 seen)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from vepe.formats.annotations import FormatName, Person


def posetrack_visibility(person: Person, source: FormatName) -> Float[np.ndarray, "K"]:
    """1 seen, 0 hidden or absent, NaN where the source does not say."""
    if source != "coco":
        return person.visibility
    return np.where(person.present, person.visibility - 1, 0.0)


def coco_visibility(person: Person, source: FormatName) -> Float[np.ndarray, "K"]:
    """2 seen (or not said), 1 hidden, 0 absent."""
    if source == "coco":
        return np.where(np.isnan(person.visibility), 2.0, person.visibility)
    hidden = person.visibility == 0
    return np.where(person.present, np.where(hidden, 1.0, 2.0), 0.0)
