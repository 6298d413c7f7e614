"""The linear sum assignment problem without SciPy, which would be a fifth of an installation.

Shortest augmenting paths as in Crouse, "On implementing 2D rectangular assignment algorithms",
2016. Among equally good assignments it chooses the one that `scipy.optimize.linear_sum_assignment`
chooses, on which the original evaluators stand: scores and track ids are the same with both.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np
from jaxtyping import Float, Int

ARRAY_COLUMNS = 200
"""From so many columns on, NumPy's arrays are quicker than Python's lists."""


def linear_sum_assignment(
    cost: Float[np.ndarray, "N M"], maximize: bool = False
) -> tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
    """The one-to-one pairs of rows and columns with the lowest sum of costs.

    Args:
        cost: of every pair; inf forbids a pair.
        maximize: looks for the highest sum instead; -inf forbids a pair.

    Returns:
        Rows, in ascending order, and columns of the Q = min(N, M) pairs.

    Raises:
        ValueError: a cost is NaN or infinitely good, or no assignment is allowed.
    """
    table = np.asarray(cost, np.float64)
    table = -table if maximize else table
    if np.isnan(table).any() or (table == -inf).any():
        raise ValueError("costs must be numbers, and none may be infinitely good")
    if table.shape[1] >= table.shape[0]:
        return np.arange(len(table)), _column_of_each_row(table)
    rows = _column_of_each_row(table.T)
    order = np.argsort(rows)
    return rows[order], order


def _column_of_each_row(table: Float[np.ndarray, "N M"]) -> Int[np.ndarray, "N"]:
    """Solves for N <= M: gives one row after the other a column, at the cost of a shortest path.

    The path leads from the new row to a free column; on it, every row hands its column on.
    Lengths are costs less the prices of rows and columns, so that none is negative.
    """
    num_rows, num_columns = table.shape
    large = num_columns >= ARRAY_COLUMNS
    columns = _ColumnArrays(num_columns) if large else _Columns(num_columns)
    lines: Any = np.ascontiguousarray(table) if large else table.tolist()
    prices = [0.0] * num_rows
    column_of = [-1] * num_rows
    for new in range(num_rows):
        column = columns.start(new, lines[new])
        path = []  # the columns before the free one
        while True:
            length = columns.lengths[column]
            if length == inf:
                raise ValueError("no assignment is allowed")
            row = columns.row_of[column]
            if row < 0:
                break
            path.append((row, column))
            column = columns.nearest(row, lines[row], length, prices[row])
        prices[new] += length
        for row, seen in path:
            slack = length - columns.lengths[seen]
            prices[row] += slack
            columns.prices[seen] -= slack
        row = -1
        while row != new:
            row = columns.row_of[column] = columns.before[column]
            column_of[row], column = column, column_of[row]
    return np.array(column_of, np.int64)


class _Columns:
    """Columns in lists: prices, whose they are (-1: free), and the paths to them from a new row.

    Attributes:
        prices: of the columns.
        row_of: row that has the column, or -1.
        lengths: of the shortest path to the column, so far.
        before: last row on that path.
        unseen: columns whose shortest path is not known yet, in the order that breaks ties.
    """

    prices: Any
    row_of: Any
    lengths: Any
    before: Any
    unseen: list[int]

    def __init__(self, num_columns: int) -> None:
        self.prices = self._filled(num_columns, 0.0)
        self.row_of = self._filled(num_columns, -1)

    def _filled(self, size: int, value: float) -> Any:
        return [value] * size

    def start(self, row: int, line: Sequence[float]) -> int:
        """Forgets all paths but those of one step from a new row; takes the nearest column.

        Of equally near columns it takes the first free one, or the last if none is free.
        """
        self.lengths = [cost - price for cost, price in zip(line, self.prices, strict=True)]
        self.before = [row] * len(self.lengths)
        best = min(self.lengths)
        column = self.lengths.index(best)
        if self.lengths.count(best) > 1:
            ties = [i for i, length in enumerate(self.lengths) if length == best]
            column = next((i for i in ties if self.row_of[i] < 0), ties[-1])
        return self._first(column)

    def _first(self, column: int) -> int:
        if self.row_of[column] >= 0:  # the others are looked at, too
            self.unseen = list(range(len(self.prices) - 1, -1, -1))
            self._take(len(self.prices) - 1 - column)
        return column

    def nearest(self, row: int, line: Sequence[float], length: float, price: float) -> int:
        """Notes the paths through `row` that are shorter; takes the nearest unseen column.

        Of equally near columns it takes the last free one in the order of `unseen`, or the first
        if none is free.

        Args:
            row, line, price: a row, its costs and its price.
            length: of the path to the row.
        """
        prices, row_of, lengths, before = self.prices, self.row_of, self.lengths, self.before
        best, place = inf, 0
        for i, column in enumerate(self.unseen):
            # In this order: other roundings would break ties differently.
            through = length + line[column] - price - prices[column]
            known = lengths[column]
            if through < known:
                lengths[column] = known = through
                before[column] = row
            if known < best or (known == best and row_of[column] < 0):
                best, place = known, i
        return self._take(place)

    def _take(self, place: int) -> int:
        """Removes a column from the unseen ones; the last one comes to its place."""
        column, last = self.unseen[place], self.unseen.pop()
        if place < len(self.unseen):
            self.unseen[place] = last
        return column


class _ColumnArrays(_Columns):
    """The same in arrays, for many columns."""

    def _filled(self, size: int, value: float) -> Any:
        return np.full(size, value)

    def start(self, row: int, line: Sequence[float]) -> int:
        self.lengths = np.asarray(line) - self.prices
        self.before = self._filled(len(self.prices), row)
        ties = np.flatnonzero(self.lengths == self.lengths.min())
        free = ties[self.row_of[ties] < 0]
        return self._first(int(free[0] if len(free) else ties[-1]))

    def nearest(self, row: int, line: Sequence[float], length: float, price: float) -> int:
        unseen = np.array(self.unseen)
        through = length + np.asarray(line)[unseen] - price - self.prices[unseen]
        known = self.lengths[unseen]
        shorter = through < known
        self.before[unseen[shorter]] = row
        known[shorter] = through[shorter]
        self.lengths[unseen] = known
        places = np.flatnonzero(known == known.min())
        free = places[self.row_of[unseen[places]] < 0]
        return self._take(int(free[-1] if len(free) else places[0]))
