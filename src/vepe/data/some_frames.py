"""Which frames of a clip something happens in: what single frames lack, the others tell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool


def draw_some(rng: np.random.Generator, frames: int) -> Bool[np.ndarray, "T"]:
    """All frames of a clip, or (half of the time, where there are several) one to all but one."""
    some = np.ones(frames, bool)
    if frames > 1 and rng.random() < 0.5:
        some[rng.permutation(frames)[: int(rng.integers(1, frames))]] = False
    return some
