"""Speeds, repetitions, steps and even times of movements that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from vepe.measures.motion import count_cycles, count_steps, resample, velocity


@pytest.mark.parametrize("window_s", [0.05, 0.2, 1.0])
def test_velocity_of_even_motion_is_exact(rng: np.random.Generator, window_s: float) -> None:
    times = np.cumsum(rng.uniform(0.02, 0.05, 60))  # uneven frames
    places = np.stack([3.0 * times + 1, -2.0 * times], axis=1)
    places[20, 0] = np.nan
    np.testing.assert_allclose(velocity(places, times, window_s)[:, 0], 3.0, atol=1e-6)
    np.testing.assert_allclose(velocity(places, times, window_s)[:, 1], -2.0, atol=1e-6)


def test_velocity_does_not_bridge_gaps() -> None:
    times = np.array([0.0, 0.1, 0.2, 5.0, 8.0])
    rates = velocity(np.array([0.0, 1.0, 2.0, 50.0, 99.0]), times)
    np.testing.assert_allclose(rates, [10, 10, 10, np.nan, np.nan])


def test_velocity_of_a_wave() -> None:
    times = np.arange(100) / 50
    rates = velocity(np.sin(2 * np.pi * times), times)
    expected = 2 * np.pi * np.cos(2 * np.pi * times)
    assert np.abs(rates - expected)[5:-5].max() < 0.08 * 2 * np.pi


@pytest.mark.parametrize(("num_cycles", "noise"), [(1, 0.0), (5, 0.0), (5, 4.0), (12, 8.0)])
def test_count_squats(num_cycles: int, noise: float, rng: np.random.Generator) -> None:
    times = np.arange(num_cycles * 40 + 20) / 20  # two seconds each, and one second of standing
    knee = 45 * (1 - np.cos(2 * np.pi * times / 2.0)) * (times < 2 * num_cycles)
    knee += rng.normal(0, noise, len(times))
    knee[::7] = np.nan
    cycles = count_cycles(knee, times, 20.0)
    assert cycles.count == num_cycles
    np.testing.assert_allclose(cycles.times_s, 1 + 2 * np.arange(num_cycles), atol=0.35)


@pytest.mark.parametrize("signal", [np.zeros(50), np.full(50, np.nan), np.linspace(0, 90, 50)])
def test_no_cycles(signal: np.ndarray) -> None:
    assert count_cycles(signal, np.arange(50) / 10, 20.0).count == 0


@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0)], ids=["side", "front"])
def test_count_steps(direction: tuple[float, float], rng: np.random.Generator) -> None:
    times = np.arange(100) / 25  # four seconds, a stride (two steps) in each
    swing = 30 * np.cos(2 * np.pi * times)[:, None] * direction
    body = np.stack([40 * times, np.zeros(100)], axis=1)
    left, right = body + swing, body - swing + rng.normal(0, 1, (100, 2))
    steps = count_steps(left, right, times, 300.0)
    assert steps.count == 8
    assert steps.times_s[0] == pytest.approx(0.5, abs=0.12)
    assert count_steps(left, right, times, np.nan).count == 0
    assert count_steps(body, body + 1, times, 300.0).count == 0, "both feet stand"


def test_resample_keeps_gaps() -> None:
    times = np.array([0.0, 0.1, 0.2, 1.0, 1.1])
    values = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]])
    at, even = resample(values, times, 20.0, max_gap_s=0.3)
    assert len(at) == 23
    np.testing.assert_allclose(even[:5, 0], [0, 0.5, 1, 1.5, 2])
    assert np.isnan(even[5:20, 0]).all()
    np.testing.assert_allclose(even[20:, 0], [10, 10.5, 11])
    np.testing.assert_allclose(resample(values, times, 20.0, 2.0)[1][10, 0], 5.0)
