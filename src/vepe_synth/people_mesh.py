"""An avatar as vertex data for the GPU: normals, body parts, and the bones in use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from vepe_synth.avatars import Avatar

VERTEX_DTYPE = np.dtype([
    ("position", "f4", 3), ("normal", "f4", 3), ("uv", "f4", 2),
    ("bones", "u2", 4), ("weights", "f4", 4), ("part", "f4"),
])  # fmt: skip

PARTS = (
    "head", "torso", "left_arm", "left_forearm", "right_arm", "right_forearm",
    "left_thigh", "left_shin", "right_thigh", "right_shin",
)  # fmt: skip
"""Body parts that can occlude each other; hands belong to forearms, feet to shins."""

_PART_OF_BONE = (
    ("Eye", "head"), ("Head", "head"), ("UpLeg", "thigh"), ("Leg", "shin"), ("Foot", "shin"),
    ("Toe", "shin"), ("ForeArm", "forearm"), ("Hand", "forearm"), ("Finger", "forearm"),
    ("Arm", "arm"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PeopleMesh:
    """An avatar in the bind pose.

    Attributes:
        vertices: (V,) of `VERTEX_DTYPE`; bone numbers index `bones`.
        triangles: per texture the (F, 3) faces that use it.
        bones: (U,) joints of the avatar with a non-zero weight anywhere.
    """

    vertices: np.ndarray
    triangles: tuple[Int[np.ndarray, "F 3"], ...]
    bones: Int[np.ndarray, "U"]


def people_mesh(avatar: Avatar) -> PeopleMesh:
    """The mesh of an avatar, with smooth normals."""
    used = np.unique(avatar.bone_indices[avatar.bone_weights > 0])
    within = np.zeros(len(avatar.joint_names), np.int64)
    within[used] = np.arange(len(used))
    out = np.zeros(len(avatar.vertices), VERTEX_DTYPE)
    out["position"], out["uv"] = avatar.vertices, avatar.uv
    out["normal"] = _normals(avatar.vertices, avatar.faces)
    out["bones"], out["weights"] = within[avatar.bone_indices], avatar.bone_weights
    out["part"] = vertex_parts(avatar)
    triangles = tuple(
        np.ascontiguousarray(avatar.faces[avatar.face_texture == i], np.int32)
        for i in range(len(avatar.textures))
    )
    return PeopleMesh(out, triangles, used)


def vertex_parts(avatar: Avatar) -> Int[np.ndarray, "V"]:
    """Index in `PARTS` of each vertex, by the bone that moves it most."""
    of_bone = _parts_of_bones(avatar.joint_names)
    strongest = np.take_along_axis(
        avatar.bone_indices, avatar.bone_weights.argmax(axis=1)[:, None], axis=1
    )[:, 0]
    return of_bone[strongest]


@lru_cache(maxsize=64)
def _parts_of_bones(names: tuple[str, ...]) -> Int[np.ndarray, "J"]:
    return np.array([PARTS.index(_part(name)) for name in names])


def _part(bone: str) -> str:
    for word, part in _PART_OF_BONE:
        if word in bone:
            if part == "head":
                return part
            return f"{'left' if bone.startswith('Left') else 'right'}_{part}"
    return "torso"


def _normals(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "V 3"]:
    """Area-weighted vertex normals; vertices at the same position (texture seams) share theirs."""
    corners = vertices[faces].astype(np.float64)
    of_face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # Positions in tenths of a millimetre, 21 bits per axis, so that they compare as integers.
    steps = np.round((vertices - vertices.min(axis=0)) * 1e4).astype(np.int64)
    _, place = np.unique(steps @ (1 << np.array([0, 21, 42])), return_inverse=True)
    corner_places = place[faces].ravel(order="F")
    weights = np.tile(of_face, (3, 1))
    total = np.stack([np.bincount(corner_places, weights[:, k]) for k in range(3)], axis=1)
    normals = total[place]
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
