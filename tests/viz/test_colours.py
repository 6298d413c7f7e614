"""Colours of people differ, stay the same, and carry readable text."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest

from vepe.viz.colours import WHITE, Colour, mix, person_colour, readable_on


def lab(colour: Colour) -> np.ndarray:
    pixel = np.asarray(colour, np.float32).reshape(1, 1, 3) / 255
    return cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB)[0, 0]


def luminance(colour: Colour) -> float:
    c = np.asarray(colour) / 255
    linear = np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_first_colours_are_far_apart() -> None:
    distances = [
        np.linalg.norm(lab(person_colour(a)) - lab(person_colour(b)))
        for a, b in combinations(range(10), 2)
    ]
    assert min(distances) > 18


def test_consecutive_numbers_always_differ_strongly() -> None:
    for first in range(0, 3000, 7):
        a, b = lab(person_colour(first)), lab(person_colour(first + 1))
        assert np.linalg.norm(a - b) > 40


def test_all_colours_are_in_range_and_stable() -> None:
    colours = [person_colour(n) for n in range(-50, 2000)]
    assert all(0 <= channel <= 255 for colour in colours for channel in colour)
    assert all(max(colour) - min(colour) > 40 for colour in colours), "no greys"
    assert colours == [person_colour(n) for n in range(-50, 2000)]


def test_text_is_readable_on_every_colour() -> None:
    for n in range(200):
        ground = person_colour(n)
        a, b = sorted((luminance(ground), luminance(readable_on(ground))))
        assert (b + 0.05) / (a + 0.05) >= 4.0


@pytest.mark.parametrize(
    ("weight", "expected"), [(0.0, (10, 20, 30)), (1.0, WHITE), (0.5, (132, 138, 142))]
)
def test_mix(weight: float, expected: Colour) -> None:
    assert mix((10, 20, 30), WHITE, weight) == expected
