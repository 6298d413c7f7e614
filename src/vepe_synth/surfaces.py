"""Static textured surfaces: quads and boxes, joined into one mesh per clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

TEXTURE_PX = 256
"""Width and height of surface textures in pixels."""

VERTEX_DTYPE = np.dtype([
    ("position", "f4", 3), ("normal", "f4", 3), ("uv", "f4", 2),
    ("colour", "f4", 3), ("layer", "f4"),
])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Surface:
    """Quadrilateral faces that share a texture.

    Attributes:
        corners: (Q, 4, 3) metres, counter-clockwise from the front.
        uv: (Q, 4, 2) texture coordinates; values beyond 0..1 repeat the texture.
        texture: (S, S, 4) uint8 RGBA; transparent where alpha is below one half.
        colour: linear RGB factor of the texture.
        casts_shadow: whether it casts a shadow of the sun.
    """

    corners: Float[np.ndarray, "Q 4 3"]
    uv: Float[np.ndarray, "Q 4 2"]
    texture: UInt8[np.ndarray, "S S 4"]
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    casts_shadow: bool = True


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """All surfaces of a clip in one mesh.

    Attributes:
        vertices: of `VERTEX_DTYPE`.
        solid, cutout: (F, 3) triangles with opaque textures, and with textures that have holes;
            shadow casters come first.
        solid_casters, cutout_casters: number of shadow casters.
        images: (L, S, S, 4) texture array.
    """

    vertices: np.ndarray
    solid: Int[np.ndarray, "F 3"]
    cutout: Int[np.ndarray, "G 3"]
    solid_casters: int
    cutout_casters: int
    images: UInt8[np.ndarray, "L S S 4"]


def quad(
    corner: Sequence[float] | np.ndarray,
    along: Sequence[float] | np.ndarray,
    up: Sequence[float] | np.ndarray,
    *,
    metres_per_repeat: float | None = None,
) -> tuple[Float[np.ndarray, "1 4 3"], Float[np.ndarray, "1 4 2"]]:
    """Corners and texture coordinates of a parallelogram; the texture once, or repeated."""
    c, a, u = (np.asarray(v, np.float64) for v in (corner, along, up))
    corners = np.stack([c, c + a, c + a + u, c + u])[None]
    size = np.ones(2)
    if metres_per_repeat is not None:
        size = np.array([np.linalg.norm(a), np.linalg.norm(u)]) / metres_per_repeat
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float64) * size
    return corners, uv[None]


def box(
    centre: Sequence[float] | np.ndarray,
    size: Sequence[float] | np.ndarray,
    yaw: float = 0.0,
    *,
    metres_per_repeat: float | None = None,
) -> tuple[Float[np.ndarray, "6 4 3"], Float[np.ndarray, "6 4 2"]]:
    """The six faces of an upright box, rotated about the vertical by `yaw` radians."""
    w, h, d = np.asarray(size, np.float64)
    x, y, z = np.diag([w, h, d])
    low = -np.array([w, h, d]) / 2
    faces = [
        quad(low + z, x, y, metres_per_repeat=metres_per_repeat),
        quad(low + x, -x, y, metres_per_repeat=metres_per_repeat),
        quad(low, z, y, metres_per_repeat=metres_per_repeat),
        quad(low + x + z, -z, y, metres_per_repeat=metres_per_repeat),
        quad(low + y + z, x, -z, metres_per_repeat=metres_per_repeat),
        quad(low, x, z, metres_per_repeat=metres_per_repeat),
    ]
    corners = np.concatenate([f[0] for f in faces])
    uv = np.concatenate([f[1] for f in faces])
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return corners @ turn.T + np.asarray(centre, np.float64), uv


def join(surfaces: Sequence[Surface]) -> SurfaceMesh:
    """Joins surfaces into one mesh; textures that are the same array are stored once."""
    layers: dict[int, int] = {}
    images: list[np.ndarray] = []
    for surface in surfaces:
        if id(surface.texture) not in layers:
            layers[id(surface.texture)] = len(images)
            images.append(surface.texture)
    whole = [bool((image[..., 3] == 255).all()) for image in images]
    parts, faces = [], {key: [np.zeros((0, 3), np.int32)] for key in range(4)}
    first = 0
    for surface in surfaces:
        layer = layers[id(surface.texture)]
        corners = first + 4 * np.arange(len(surface.corners), dtype=np.int32)[:, None]
        triangles = np.concatenate([corners + np.array(half) for half in ((0, 1, 2), (0, 2, 3))])
        faces[2 * (not whole[layer]) + (not surface.casts_shadow)].append(triangles)
        parts.append(_vertices(surface, layer))
        first += len(parts[-1])
    solid, ground, cutout, screen = (np.concatenate(faces[key]) for key in range(4))
    return SurfaceMesh(
        vertices=np.concatenate(parts) if parts else np.zeros(0, VERTEX_DTYPE),
        solid=np.concatenate([solid, ground]),
        cutout=np.concatenate([cutout, screen]),
        solid_casters=len(solid),
        cutout_casters=len(cutout),
        images=np.stack(images) if images else np.zeros((1, 4, 4, 4), np.uint8),
    )


def _vertices(surface: Surface, layer: int) -> np.ndarray:
    corners = surface.corners
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    out = np.zeros(corners.shape[:2], VERTEX_DTYPE)
    out["position"], out["uv"] = corners, surface.uv
    out["normal"] = normals[:, None]
    out["colour"], out["layer"] = surface.colour, layer
    return out.reshape(-1)
