"""Carried people: who is lent, where to, and that nobody is where there is nobody to lend."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from vepe.models.carried_people import CarriedPeople
from vepe.models.instance_consistency import InstanceConsistency, Matching
from vepe.models.pose_encoder import FrameQueries

DIM, KEYPOINTS = 8, 4
SHAPE = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 40.0], [10.0, 40.0]])


def people(places: dict[int, float], scores: dict[int, float] | None = None) -> FrameQueries:
    """Person i stands at x = places[i]; three queries a frame, the rest nobody, far away."""
    names = [*places, *range(100, 103)][:3]
    points = torch.stack([SHAPE + torch.tensor([places.get(i, 900.0 + i), 0.0]) for i in names])
    score = [(scores or {}).get(i, 0.9) if i in places else 0.01 for i in names]
    identity = torch.stack([F.one_hot(torch.tensor(i), 128).float() for i in names])
    return FrameQueries(
        torch.stack([torch.full((KEYPOINTS + 1, DIM), float(i)) for i in names])[None],
        torch.cat([points.mean(dim=1, keepdim=True), points], dim=1)[None],
        identity[None],
        torch.tensor([score]),
    )


def lent(
    window: list[FrameQueries],
    key: int,
    times_s: list[float],
    count: int = 1,
    matching: Matching = "identity",
) -> tuple[list[int], list[float]]:
    """Which people are lent to frame `key`, and the x at which they are put."""
    delta = torch.tensor([times_s]) - times_s[key]
    consistency = InstanceConsistency(matching)
    with torch.no_grad():
        consistency.log_temperature.fill_(-4.0)
    result = CarriedPeople(DIM, count)(window, key, delta, consistency)
    own = window[key].scores.shape[1]
    assert torch.equal(result.queries[:, :own], window[key].queries)
    behind = slice(own, None)
    names = result.queries[0, behind, 0, 0].int().tolist()
    return names, result.points_px[0, behind, 1, 0].tolist()


def test_a_window_of_one_lends_nobody() -> None:
    assert lent([people({1: 0.0})], 0, [0.0]) == ([], [])


def test_whom_the_key_frame_has_is_not_lent_first() -> None:
    window = [people({1: 0.0, 2: 100.0}), people({1: 1.0})]
    assert lent(window, 1, [0.0, 0.1]) == ([2], [100.0])


def test_the_surer_of_two_missed_people_comes_first() -> None:
    window = [people({1: 0.0, 2: 100.0, 3: 200.0}, {2: 0.5}), people({1: 0.0})]
    assert lent(window, 1, [0.0, 0.1], count=2)[0] == [3, 2]


def test_a_faint_query_in_the_same_place_does_not_stop_it() -> None:
    window = [people({1: 0.0, 2: 100.0}), people({1: 0.0, 2: 100.0}, {2: 0.05})]
    assert lent(window, 1, [0.0, 0.1])[0] == [2]


def test_they_are_moved_along_their_way() -> None:
    window = [people({1: 0.0, 2: 100.0}), people({1: 0.0, 2: 106.0}), people({1: 0.0})]
    names, places = lent(window, 2, [0.0, 0.2, 0.3])
    assert names == [2]
    assert places[0] == pytest.approx(109.0, abs=0.1)


def test_a_jump_is_somebody_else_and_moves_nobody() -> None:
    window = [people({1: 0.0, 2: 100.0}), people({1: 0.0, 2: 400.0}), people({1: 0.0})]
    assert lent(window, 2, [0.0, 0.1, 0.2]) == ([2], [400.0])


def test_without_identity_nobody_is_moved() -> None:
    window = [people({2: 100.0}), people({2: 106.0}), people({})]
    assert lent(window, 2, [0.0, 0.1, 0.2], matching="uniform") == ([2], [106.0])


def test_the_future_lends_to_a_first_frame() -> None:
    window = [people({1: 0.0}), people({1: 0.0, 2: 100.0}), people({1: 0.0, 2: 106.0})]
    names, places = lent(window, 0, [0.0, 0.1, 0.2])
    assert names == [2]
    assert places[0] == pytest.approx(94.0, abs=0.1)


def test_no_more_are_lent_than_there_are() -> None:
    assert len(lent([people({1: 0.0}), people({})], 1, [0.0, 0.1], count=9)[0]) == 3
