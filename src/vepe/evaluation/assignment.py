"""Many small assignment problems at once: only those with a real choice reach the solver."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int


def choose_pairs(
    problem: Int[np.ndarray, "E"],
    row: Int[np.ndarray, "E"],
    column: Int[np.ndarray, "E"],
    cost: Float[np.ndarray, "E"],
    shape: Callable[[int], tuple[int, int]],
    fill: Callable[[Float[np.ndarray, "e"], tuple[int, int]], float],
) -> Bool[np.ndarray, "E"]:
    """Pairs that a minimum-cost assignment takes, in every problem.

    A problem in which no row and no column has two pairs needs no solver: all its pairs are
    taken. The rest go to SciPy one by one, as whole matrices in the original evaluators' order,
    so that even equal costs are settled as there.

    Args:
        problem: which problem a pair belongs to.
        row, column: its place in that problem's matrix.
        cost: its cost.
        shape: size of a problem's matrix.
        fill: cost of the other cells, from a problem's costs and size; it has to be such that
            an assignment takes every pair of a problem without choice.

    Returns:
        Mask over the pairs.
    """
    if not len(problem):
        return np.zeros(0, bool)
    crowded = _repeated(problem, row) | _repeated(problem, column)
    hard = np.zeros(int(problem.max()) + 1, bool)
    hard[problem[crowded]] = True
    chosen = ~hard[problem]
    rest = np.flatnonzero(~chosen)
    if not len(rest):
        return chosen
    rest = rest[np.argsort(problem[rest], kind="stable")]
    starts = np.flatnonzero(np.diff(problem[rest], prepend=-1))
    for part in np.split(rest, starts[1:]):
        size = shape(int(problem[part[0]]))
        chosen[part] = _solve(row[part], column[part], cost[part], size, fill(cost[part], size))
    return chosen


def _repeated(problem: Int[np.ndarray, "E"], line: Int[np.ndarray, "E"]) -> Bool[np.ndarray, "E"]:
    """Whether another pair of the same problem lies on the same row (or column)."""
    key = problem * (int(line.max()) + 1) + line
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    return counts[inverse] > 1


def _solve(
    row: Int[np.ndarray, "e"],
    column: Int[np.ndarray, "e"],
    cost: Float[np.ndarray, "e"],
    size: tuple[int, int],
    fill: float,
) -> Bool[np.ndarray, "e"]:
    from scipy.optimize import linear_sum_assignment

    matrix = np.full(size, fill)
    matrix[row, column] = cost
    rows, columns = linear_sum_assignment(matrix)
    partner = np.full(size[0], -1)
    partner[rows] = columns
    return partner[row] == column
