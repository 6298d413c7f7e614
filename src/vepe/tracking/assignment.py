"""One-to-one matching of tracks and people."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment


def assign(
    affinity: Float[np.ndarray, "M P"],
    allowed: Bool[np.ndarray, "M P"],
    threshold: float,
) -> tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
    """Rows and columns of the matching with the greatest sum of affinity above `threshold`.

    Only allowed pairs at or above the threshold are matched. A good pair is never given up to make
    two poor ones, as it would be with a large cost for forbidden pairs.
    """
    gain = np.where(allowed & (affinity >= threshold), affinity - threshold + 1e-6, 0.0)
    if not gain.any():
        none = np.zeros(0, np.int64)
        return none, none
    rows, columns = linear_sum_assignment(gain, maximize=True)
    good = gain[rows, columns] > 0
    return rows[good], columns[good]
