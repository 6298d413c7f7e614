"""Colours of people, and which ink is readable on them.

One colour per person, the same in every frame. Hues step by the golden angle in OKLCH
(Ottosson 2020, "A perceptual color space for image processing"), where equal steps look equally
different; lightness cycles, so that similar hues still differ after many people.
"""

from __future__ import annotations

import math
from functools import lru_cache

Colour = tuple[int, int, int]
"""Red, green, blue in 0..255."""

WHITE: Colour = (255, 255, 255)
DARK: Colour = (16, 18, 22)

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_FIRST_HUE = 0.55
_LIGHTNESS = (0.74, 0.66, 0.82)
_CHROMA = 0.19
_LEFT_TINT, _RIGHT_SHADE, _DOT_TINT = 0.42, 0.38, 0.35


@lru_cache(maxsize=4096)
def person_colour(number: int) -> Colour:
    """The colour of a track id, or of a person's index if there are no ids.

    Negative numbers are allowed; each number always has the same colour.
    """
    hue = _FIRST_HUE + number * _GOLDEN_ANGLE
    return _from_oklch(_LIGHTNESS[number % len(_LIGHTNESS)], _CHROMA, hue)


@lru_cache(maxsize=4096)
def side_tints(colour: Colour) -> dict[int, tuple[Colour, Colour]]:
    """Colours of a person's limbs and keypoints: -1 right (darker), 0 middle, 1 left (lighter)."""
    limbs = {
        -1: mix(colour, DARK, _RIGHT_SHADE),
        0: colour,
        1: mix(colour, WHITE, _LEFT_TINT),
    }
    return {side: (limb, mix(limb, WHITE, _DOT_TINT)) for side, limb in limbs.items()}


def mix(colour: Colour, other: Colour, weight: float) -> Colour:
    """The mean of two colours; `weight` (0..1) is that of the other one."""
    red, green, blue = (round(a + weight * (b - a)) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def readable_on(background: Colour) -> Colour:
    """Dark or white, whichever contrasts better with a background (WCAG relative luminance)."""
    red, green, blue = (_to_linear(c / 255) for c in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return DARK if luminance > 0.18 else WHITE


def _from_oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """OKLCH to sRGB; chroma is reduced until the colour lies in the sRGB gamut."""
    while True:
        linear = _oklab_to_linear(lightness, chroma * math.cos(hue), chroma * math.sin(hue))
        if all(-1e-4 <= c <= 1.0001 for c in linear) or chroma < 0.01:
            red, green, blue = (round(255 * _to_srgb(min(max(c, 0.0), 1.0))) for c in linear)
            return red, green, blue
        chroma -= 0.005


def _oklab_to_linear(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _to_srgb(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def _to_linear(srgb: float) -> float:
    return srgb / 12.92 if srgb <= 0.04045 else float(((srgb + 0.055) / 1.055) ** 2.4)
