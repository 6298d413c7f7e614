"""Compiled programs, and the block of values that all of them read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from vepe_synth import shaders
from vepe_synth.surroundings import Light
from vepe_synth.view import View

if TYPE_CHECKING:
    import moderngl

FRAME_BYTES = (2 * 16 + 11 * 4) * 4
BONES_UNIT, SKIN_UNIT, SHADOW_UNIT, BACKDROP_UNIT, SURFACES_UNIT = range(5)
_SUN_REACH_M = 15.0

_SAMPLERS = {
    "bones": BONES_UNIT,
    "skin": SKIN_UNIT,
    "shadows": SHADOW_UNIT,
    "picture": BACKDROP_UNIT,
    "pictures": SURFACES_UNIT,
}


def programs(context: moderngl.Context) -> dict[str, moderngl.Program]:
    """All of `shaders.PROGRAMS`, compiled, with their textures' units set."""
    compiled = {}
    for name, (vertex, fragment) in shaders.PROGRAMS.items():
        program = context.program(vertex_shader=vertex, fragment_shader=fragment)
        for sampler, unit in _SAMPLERS.items():
            if sampler in program:
                program[sampler] = unit
        compiled[name] = program
    return compiled


def frame_bytes(view: View, light: Light, shadow: Float[np.ndarray, "4 4"]) -> bytes:
    """The uniform block `Frame` of the shaders (std140)."""
    rows: list[Sequence[float] | np.ndarray] = [
        view.eye,
        light.sun_direction,
        light.sun,
        light.sky,
        light.ground,
        light.fill_direction,
        light.fill,
        (*light.lamp_m, light.lamp_reach_m),
        light.lamp,
        (*light.fog, light.fog_per_m),
        (light.exposure, light.shadow_softness, light.shadow_depth),
    ]
    block = np.zeros((19, 4), np.float32)
    block[:4], block[4:8] = view.clip_from_world().T, shadow.T
    for i, row in enumerate(rows):
        block[8 + i, : len(row)] = row
    return block.tobytes()


def shadow_from_world(
    places: Float[np.ndarray, "P 3"], sun_direction: tuple[float, float, float]
) -> Float[np.ndarray, "4 4"]:
    """A box along the sun's direction around everybody, as OpenGL's clip coordinates."""
    back = np.asarray(sun_direction, np.float64)
    hint = np.array([0.0, 1.0, 0.0]) if abs(back[1]) < 0.99 else np.array([0.0, 0.0, 1.0])
    right = np.cross(hint, back)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(back, right), back])
    low, high = (places.min(axis=0), places.max(axis=0)) if len(places) else (np.zeros(3),) * 2
    middle = (low + high) / 2
    reach = float(np.linalg.norm(high - low)) / 2 + 1.8
    matrix = np.eye(4)
    matrix[:2, :3] = axes[:2] / reach
    matrix[2, :3] = -axes[2] / _SUN_REACH_M
    matrix[:3, 3] = -matrix[:3, :3] @ middle
    return matrix
