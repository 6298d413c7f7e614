"""What is drawn around people: surfaces, a backdrop, light. Fixed for a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vepe_synth.surfaces import SurfaceMesh

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """Where light comes from. Colours are linear RGB; 1 lights a white surface fully.

    Attributes:
        sun_direction: towards the sun (or the main lamp), of length 1.
        sun, sky, ground: direct light; light from above and from below.
        fill_direction, fill: a second direction, without shadows.
        lamp_m, lamp_reach_m, lamp: a lamp in the scene, without shadows.
        fog, fog_per_m: colour and density of haze.
        exposure: multiplies everything.
        shadow_softness: radius in texels of the shadow map.
        shadow_depth: 1 for full shadows, 0 for none.
        contact: how dark the floor is right under a body, 0..1.
    """

    sun_direction: tuple[float, float, float]
    sun: Colour
    sky: Colour
    ground: Colour
    fill_direction: tuple[float, float, float] = (0.0, 1.0, 0.0)
    fill: Colour = (0.0, 0.0, 0.0)
    lamp_m: tuple[float, float, float] = (0.0, 3.0, 0.0)
    lamp_reach_m: float = 3.0
    lamp: Colour = (0.0, 0.0, 0.0)
    fog: Colour = (0.5, 0.5, 0.5)
    fog_per_m: float = 0.0
    exposure: float = 1.0
    shadow_softness: float = 1.5
    shadow_depth: float = 1.0
    contact: float = 0.5


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A picture infinitely far away.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        rotation: (3, 3) rows are the picture's right, up and backward axes in the world.
        half_sizes: half its width and height at distance 1.
        gain: multiplies its colours.
    """

    picture: UInt8[np.ndarray, "H W 3"]
    rotation: Float[np.ndarray, "3 3"]
    half_sizes: tuple[float, float]
    gain: float = 1.0


@dataclass(frozen=True, eq=False)
class Stage:
    """Everything around the people of a clip.

    Attributes:
        surfaces: what stands and lies around.
        backdrop: what is seen where no surface is.
        light: the light.
        catcher_half_m: where larger than 0, an unseen floor of this half size takes shadows, for
            backdrops that have a floor of their own.
    """

    surfaces: SurfaceMesh
    backdrop: Backdrop
    light: Light
    catcher_half_m: float = 0.0
