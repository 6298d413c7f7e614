"""`vepe.linear_assignment` chooses exactly the pairs that SciPy chooses, also among equal ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize

from vepe import linear_assignment
from vepe.linear_assignment import linear_sum_assignment

Cost = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

COSTS: dict[str, Cost] = {
    "reals": lambda rng, shape: rng.normal(size=shape),
    "few integers, so many ties": lambda rng, shape: rng.integers(0, 3, shape).astype(float),
    "counts as integers": lambda rng, shape: rng.integers(0, 9, shape),
    "one decimal": lambda rng, shape: np.round(rng.random(shape), 1),
    "single precision": lambda rng, shape: rng.random(shape).astype(np.float32),
    "mostly zero": lambda rng, shape: np.where(rng.random(shape) < 0.7, 0, rng.random(shape)),
    "constant": lambda rng, shape: np.full(shape, 0.5),
    "forbidden pairs": lambda rng, shape: np.where(
        rng.random(shape) < 0.2, np.inf, rng.integers(0, 4, shape)
    ),
    "rounding": lambda rng, shape: 1e10 + rng.random(shape),
}


def _pairs(
    solve: Callable[..., tuple[np.ndarray, np.ndarray]], cost: np.ndarray, maximize: bool
) -> list[list[int]] | str:
    try:
        return [indices.tolist() for indices in solve(cost, maximize=maximize)]
    except ValueError:
        return "no assignment"


@pytest.mark.parametrize("columns_of_arrays", [0, 200], ids=["arrays", "lists"])
@pytest.mark.parametrize("costs", COSTS)
def test_pairs_are_those_of_scipy(
    costs: str, columns_of_arrays: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_assignment, "ARRAY_COLUMNS", columns_of_arrays)
    for case in range(60):
        shape = (int(rng.integers(0, 9)), int(rng.integers(0, 9))) if case else (14, 17)
        cost = COSTS[costs](rng, shape)
        for maximize in (False, True):
            cost = -cost if maximize and np.isinf(cost).any() else cost
            expected = _pairs(scipy.optimize.linear_sum_assignment, cost, maximize)
            assert _pairs(linear_sum_assignment, cost, maximize) == expected, (cost, maximize)


def test_many_columns_are_solved_alike(rng: np.random.Generator) -> None:
    cost = np.where(rng.random((40, 260)) < 0.9, 0.0, rng.integers(1, 9, (40, 260)))
    for table in (cost, cost.T):
        expected = _pairs(scipy.optimize.linear_sum_assignment, table, True)
        assert _pairs(linear_sum_assignment, table, True) == expected


@pytest.mark.parametrize(
    ("cost", "maximize"),
    [
        ([[np.nan, 0.0]], False),
        ([[-np.inf, 0.0]], False),
        ([[np.inf, 0.0]], True),
        ([[np.inf, np.inf], [0.0, 1.0]], False),
    ],
)
def test_costs_without_an_assignment_are_errors(cost: list[list[float]], maximize: bool) -> None:
    with pytest.raises(ValueError, match=r"numbers|allowed"):
        linear_sum_assignment(np.array(cost), maximize)
