"""OpenGL setup: the context (EGL, without a window), the compiled programs, the uniform block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from vepe.errors import VepeError, missing_extra, one_line
from vepe_synth import shaders
from vepe_synth.stage import Light
from vepe_synth.view import View

if TYPE_CHECKING:
    import moderngl

_BACKEND: dict[str, Any] = {"backend": "egl"}
PACKAGES = "apt-get install libegl1 libgl1-mesa-dri"


def open_context() -> moderngl.Context:
    """Opens an OpenGL 3.3 context: on the GPU if its driver supports EGL, else Mesa on the CPU.

    Mesa reads the number of its threads from the environment variable `LP_NUM_THREADS` when the
    first context of a process opens; 0 renders in the calling thread.

    Raises:
        VepeError: if moderngl or a driver is missing; the message says what to install.
    """
    try:
        import moderngl
    except ImportError:
        raise missing_extra("Rendering people", "moderngl", "synth") from None
    try:
        return moderngl.create_context(standalone=True, require=330, **_BACKEND)
    except Exception as error:  # glcontext raises a bare Exception for every failure
        raise VepeError(
            f"No OpenGL driver can be opened through EGL ({one_line(error)}); on Debian or Ubuntu: "
            f"{PACKAGES}."
        ) from error


FRAME_BYTES = (2 * 16 + 11 * 4) * 4
BONES_UNIT, SKIN_UNIT, SHADOW_UNIT, BACKDROP_UNIT, SURFACES_UNIT = range(5)
_SUN_REACH_M = 15.0

_SAMPLERS = {
    "bones": BONES_UNIT,
    "skin": SKIN_UNIT,
    "shadows": SHADOW_UNIT,
    "backdrop_image": BACKDROP_UNIT,
    "surface_images": SURFACES_UNIT,
}


def programs(context: moderngl.Context) -> dict[str, moderngl.Program]:
    """Compiles `shaders.PROGRAMS` and assigns their texture units."""
    compiled = {}
    for name, (vertex, fragment) in shaders.PROGRAMS.items():
        program = context.program(vertex_shader=vertex, fragment_shader=fragment)
        for sampler, unit in _SAMPLERS.items():
            if sampler in program:
                program[sampler] = unit
        compiled[name] = program
    return compiled


def frame_bytes(view: View, light: Light, shadow: Float[np.ndarray, "4 4"]) -> bytes:
    """The data of the shaders' uniform block `Frame` (std140 layout)."""
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
    """Orthographic clip matrix of the shadow map: a box around all people, along the sun."""
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
