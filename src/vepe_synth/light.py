"""Invents light: sun, overcast, lamps indoors, evening, stage light; and its colours."""

from __future__ import annotations

import numpy as np

from vepe_synth.surroundings import Colour, Light


def random_light(rng: np.random.Generator, *, indoors: bool, middle_m: np.ndarray) -> Light:
    """Light for a scene around `middle_m` (x, y, z), exposed well on average, at times not."""
    azimuth, height = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(18, 85))
    sun_direction = _direction(azimuth, height)
    harsh = rng.beta(1.3, 1.3)  # 0: light from everywhere, 1: from one side alone
    if indoors:
        harsh *= 0.75
    sun = harsh * np.array(
        temperature(rng.uniform(2700, 6500) if indoors else rng.uniform(3800, 6500))
    )
    sky_colour = np.array(
        temperature(rng.uniform(3000, 7000) if indoors else rng.uniform(6000, 12000))
    )
    sky = (1.15 - harsh) * 0.75 * sky_colour
    ground = sky.mean() * rng.uniform(0.25, 0.8) * _tinted(rng, 0.25)
    lamp = np.zeros(3)
    if indoors and rng.random() < 0.6:
        lamp = rng.uniform(0.2, 1.2) * np.array(temperature(rng.uniform(2500, 6500)))
        if rng.random() < 0.15:
            lamp = lamp * _tinted(rng, 0.9)
    place = middle_m + np.array([rng.uniform(-3, 3), rng.uniform(1.2, 2.6), rng.uniform(-3, 3)])
    fill = rng.uniform(0, 0.35) * _tinted(rng, 0.4)
    # What falls on an upright surface on average, which a camera's exposure evens out.
    on_upright = float(np.mean(0.5 * (sky + ground) + 0.4 * sun + 0.3 * fill + 0.15 * lamp)) / 0.8
    fog = 0.0 if indoors or rng.random() < 0.5 else float(rng.uniform(0.002, 0.03))
    return Light(
        sun_direction=sun_direction,
        sun=_triple(1.3 * sun),
        sky=_triple(sky),
        ground=_triple(ground),
        fill_direction=_direction(rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.6)),
        fill=_triple(fill),
        lamp_m=_triple(place),
        lamp_reach_m=float(rng.uniform(1.0, 3.0)),
        lamp=_triple(lamp),
        fog=_triple(0.5 * on_upright * sky_colour),
        fog_per_m=fog,
        exposure=float(np.exp(rng.normal(0, 0.3)) / max(on_upright, 0.05)),
        shadow_softness=float(rng.uniform(0.7, 6.0)),
        shadow_depth=float(rng.uniform(0.75, 1.0)),
        contact=float(0.25 + 0.45 * (1 - harsh)),
    )


def temperature(kelvin: float) -> Colour:
    """Colour of a black body, brightest channel 1 (Tanner Helland's fit of CIE data)."""
    t = kelvin / 100
    red = 255 if t <= 66 else 329.7 * (t - 60) ** -0.1332
    green = 99.47 * np.log(t) - 161.1 if t <= 66 else 288.1 * (t - 60) ** -0.0755
    blue = 255 if t >= 66 else 0 if t <= 19 else 138.5 * np.log(t - 10) - 305.0
    rgb = np.clip([red, green, blue], 1, 255) / 255
    return _triple((rgb / rgb.max()) ** 2)


def _direction(azimuth: float, height: float) -> tuple[float, float, float]:
    flat = np.cos(height)
    return _triple(np.array([flat * np.sin(azimuth), np.sin(height), flat * np.cos(azimuth)]))


def _tinted(rng: np.random.Generator, strength: float) -> np.ndarray:
    tint = rng.uniform(1 - strength, 1, 3)
    return tint / tint.max()


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c
