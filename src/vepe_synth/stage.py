"""What surrounds the people of a clip: surfaces, a backdrop and light; constant over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vepe_synth.surfaces import SurfaceMesh

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """Light sources. Colours are linear RGB; 1 fully lights a white surface.

    Attributes:
        sun_direction: unit vector towards the sun (or the main lamp).
        sun, sky, ground: direct light; ambient light from above and from below.
        fill_direction, fill: a second directional light without shadows.
        lamp_m, lamp_reach_m, lamp: position, range and colour of a point light without shadows.
        fog, fog_per_m: colour and density of fog.
        exposure: factor of the final colour.
        shadow_softness: filter radius in texels of the shadow map.
        shadow_depth: 1 for full shadows, 0 for none.
        contact: strength of the contact shadow under a body, 0..1.
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
    """An image at infinity.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        rotation: (3, 3) rows are the image's right, up and backward axes in world coordinates.
        half_sizes: half of its width and height at distance 1.
        gain: factor of its colours.
    """

    image: UInt8[np.ndarray, "H W 3"]
    rotation: Float[np.ndarray, "3 3"]
    half_sizes: tuple[float, float]
    gain: float = 1.0


@dataclass(frozen=True, eq=False)
class Stage:
    """Everything around the people.

    Attributes:
        surfaces: the mesh of all objects, floors and walls.
        backdrop: what is visible where no surface is.
        light: the light sources.
        catcher_half_m: if positive, half the size of an invisible floor that receives shadows, for
            backdrops that show a floor.
    """

    surfaces: SurfaceMesh
    backdrop: Backdrop
    light: Light
    catcher_half_m: float = 0.0
