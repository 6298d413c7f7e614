"""Where a track must not be smoothed across; the one rule of both smoothers."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from vepe.config.tracking import SmoothingSettings


def breaks(
    before_px: Float[np.ndarray, "M K 2"],
    before_weights: Float[np.ndarray, "M K"],
    after_px: Float[np.ndarray, "M K 2"],
    after_weights: Float[np.ndarray, "M K"],
    sizes_px: Float[np.ndarray, "M"],
    gap_s: Float[np.ndarray, "M"],
    settings: SmoothingSettings,
) -> Bool[np.ndarray, "M"]:
    """True where a track must not be smoothed across: a long gap, or a jump of the whole person."""
    shares = np.sqrt(before_weights * after_weights)
    shares = shares / shares.sum(axis=1, keepdims=True)
    jump = np.linalg.norm(np.einsum("mk,mkc->mc", shares, after_px - before_px), axis=1)
    reach = settings.reset_sizes + settings.reset_sizes_per_s * gap_s
    return (gap_s > settings.reset_gap_s) | (jump > reach * sizes_px)
