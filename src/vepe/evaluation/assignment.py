"""Solves many small assignment problems at once; only ambiguous ones are solved one by one.

MOTA and HOTA solve one problem per frame and joint. Nearly all of them have a single possible
solution, which is computed for all problems together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from vepe.linear_assignment import linear_sum_assignment


def choose_pairs(
    problem: Int[np.ndarray, "E"],
    row: Int[np.ndarray, "E"],
    column: Int[np.ndarray, "E"],
    cost: Float[np.ndarray, "E"],
    shape: Callable[[int], tuple[int, int]],
    fill: Callable[[Float[np.ndarray, "e"], tuple[int, int]], float],
) -> Bool[np.ndarray, "E"]:
    """Selects the pairs of a minimum-cost assignment in every problem.

    If no row and no column of a problem has two pairs, all its pairs are selected. The other
    problems are solved one by one, as full matrices in the original evaluators' order, so that
    ties are broken as in the originals.

    Args:
        problem: which problem each pair belongs to.
        row, column: position of each pair in the matrix of its problem.
        cost: cost of each pair.
        shape: matrix size of a problem.
        fill: cost of the remaining cells, from a problem's costs and size. It must be such that
            an assignment selects every pair of an unambiguous problem.

    Returns:
        A mask over the pairs.
    """
    if not len(problem):
        return np.zeros(0, bool)
    contested = _repeated(problem, row) | _repeated(problem, column)
    ambiguous = np.zeros(int(problem.max()) + 1, bool)
    ambiguous[problem[contested]] = True
    selected = ~ambiguous[problem]
    rest = np.flatnonzero(~selected)
    if not len(rest):
        return selected
    rest = rest[np.argsort(problem[rest], kind="stable")]
    starts = np.flatnonzero(np.diff(problem[rest], prepend=-1))
    for part in np.split(rest, starts[1:]):
        size = shape(int(problem[part[0]]))
        selected[part] = _solve(row[part], column[part], cost[part], size, fill(cost[part], size))
    return selected


def _repeated(problem: Int[np.ndarray, "E"], line: Int[np.ndarray, "E"]) -> Bool[np.ndarray, "E"]:
    """Whether another pair of the same problem lies in the same row (or column)."""
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
    matrix = np.full(size, fill)
    matrix[row, column] = cost
    rows, columns = linear_sum_assignment(matrix)
    partner = np.full(size[0], -1)
    partner[rows] = columns
    return partner[row] == column
