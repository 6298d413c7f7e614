"""Body shapes and clothes colours for avatars, so that a few avatars become many people."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from jaxtyping import UInt8

from vepe_synth.avatars import Avatar
from vepe_synth.config import PeopleSettings
from vepe_synth.retarget import BodyShape

_SKIN, _UPPER, _LOWER, _FEET = range(4)
_REGIONS: WeakKeyDictionary[Avatar, tuple[np.ndarray, ...]] = WeakKeyDictionary()
_SKIN_DISTANCE = 14.0
"""Distance in Lab's a and b to the face colour below which a clothes texel counts as skin."""


def draw_shape(rng: np.random.Generator, avatar: Avatar, settings: PeopleSettings) -> BodyShape:
    """A random body shape: an adult of 1.5 to 2.0 m or, with probability `child_share`, a child.

    Children are 1.0 to 1.5 m tall, with larger heads and shorter legs.
    """
    child = rng.random() < settings.child_share
    legs, arms, torso = rng.normal(1.0, [0.025, 0.03, 0.025]).clip(0.92, 1.08)
    girth = float(np.clip(rng.normal(1.0, 0.07), 0.86, 1.2))
    head = float(np.clip(rng.normal(1.0, 0.03), 0.93, 1.08))
    if child:
        height = rng.uniform(1.0, 1.5)
        young = (1.6 - height) / 0.6
        legs, head = legs * (1.0 - 0.08 * young), head * (1.0 + 0.30 * young)
    else:
        height = float(np.clip(rng.normal(1.70, 0.10), 1.5, 2.0))
    hips = avatar.bind_world()[avatar.joint("RightUpLeg"), 1, 3]
    neck = avatar.bind_world()[avatar.joint("Neck"), 1, 3]
    top = float(avatar.vertices[:, 1].max())
    usual = hips * legs + (neck - hips) * torso + (top - neck) * head
    return BodyShape(
        size=float(height / usual),
        legs=float(legs),
        arms=float(arms),
        torso=float(torso),
        head=head,
        girth=girth,
    )


def dressed(rng: np.random.Generator, avatar: Avatar) -> Avatar:
    """The avatar with recoloured clothes; its name gets a suffix. Skin and hair stay.

    Trousers, tops and shoes are recoloured separately; texels close to the face colour count as
    skin.
    """
    mark = int(rng.integers(1 << 32))
    changes = {part: _draw_change(rng) for part in (_UPPER, _LOWER, _FEET)}
    if avatar not in _REGIONS:
        _REGIONS[avatar] = tuple(_regions(avatar, i) for i in range(len(avatar.textures)))
    skin_ab = _skin_ab(avatar)
    textures = tuple(
        _recoloured(texture, regions, skin_ab, changes)
        for texture, regions in zip(avatar.textures, _REGIONS[avatar], strict=True)
    )
    return replace(avatar, name=f"{avatar.name}~{mark:08x}", textures=textures)


def _draw_change(rng: np.random.Generator) -> tuple[float, float, float, float, float]:
    """Hue rotation in radians, chroma factor, offsets of a and b, target lightness (0: none)."""
    if rng.random() < 0.2:
        return (0.0, 1.0, 0.0, 0.0, 0.0)
    hue = rng.uniform(-np.pi, np.pi)
    tint_angle, tint = rng.uniform(-np.pi, np.pi), rng.exponential(16.0)
    return (
        float(hue),
        float(rng.uniform(0.3, 1.3)),
        float(min(tint, 50.0) * np.cos(tint_angle)),
        float(min(tint, 50.0) * np.sin(tint_angle)),
        float(rng.uniform(20.0, 225.0)),
    )


def _recoloured(
    texture: UInt8[np.ndarray, "H W 3"],
    regions: UInt8[np.ndarray, "H W"],
    skin_ab: np.ndarray,
    changes: dict[int, tuple[float, float, float, float, float]],
) -> UInt8[np.ndarray, "H W 3"]:
    lab = cv2.cvtColor(texture, cv2.COLOR_RGB2LAB)
    for part, (hue, chroma, add_a, add_b, lightness) in changes.items():
        rows, columns = np.nonzero(regions == part)
        if not lightness or not len(rows):
            continue
        values = lab[rows, columns].astype(np.float32)
        cloth = np.square(values[:, 1:] - skin_ab).sum(axis=1) > _SKIN_DISTANCE**2
        if not cloth.any():
            continue
        rows, columns, values = rows[cloth], columns[cloth], values[cloth]
        # Scale the contrast with the lightness, so that folds stay visible on dark cloth.
        centre = float(np.median(values[:, 0]))
        goal = centre + 0.6 * (lightness - centre)
        values[:, 0] = goal + (values[:, 0] - centre) * np.clip(goal / max(centre, 8.0), 0.6, 1.4)
        a, b = values[:, 1] - 128.0, values[:, 2] - 128.0
        values[:, 1] = 128.0 + chroma * (np.cos(hue) * a - np.sin(hue) * b) + add_a
        values[:, 2] = 128.0 + chroma * (np.sin(hue) * a + np.cos(hue) * b) + add_b
        lab[rows, columns] = values.clip(0, 255).astype(np.uint8)
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _vertex_parts(avatar: Avatar) -> np.ndarray:
    """Garment of each vertex, by the bone that moves it most."""
    part = np.full(len(avatar.joint_names), _UPPER)
    for i, name in enumerate(avatar.joint_names):
        if name.startswith(("Head", "Neck", "LeftEye", "RightEye")) or "Hand" in name:
            part[i] = _SKIN
        elif name.endswith(("Foot",)) or "Toe" in name:
            part[i] = _FEET
        elif name.endswith("Leg") or name == "Hips":
            part[i] = _LOWER
        elif "Finger" in name:
            part[i] = _SKIN
    strongest = avatar.bone_weights.argmax(axis=1)
    return part[avatar.bone_indices[np.arange(len(strongest)), strongest]]


def _regions(avatar: Avatar, texture: int) -> UInt8[np.ndarray, "H W"]:
    """Garment of each texel; skin (never recoloured) where no face maps to it."""
    height, width = avatar.textures[texture].shape[:2]
    image = np.full((height, width), _SKIN, np.uint8)
    faces = avatar.faces[avatar.face_texture == texture]
    parts = np.median(_vertex_parts(avatar)[faces], axis=1).astype(int)
    corners = np.round(avatar.uv[faces] * [width, height]).astype(np.int32)
    for part in (_UPPER, _LOWER, _FEET, _SKIN):
        chosen = corners[parts == part]
        if len(chosen):
            for triangle in chosen:
                cv2.fillConvexPoly(image, triangle, part)
    return image


def _skin_ab(avatar: Avatar) -> np.ndarray:
    """Colour of the face (Lab's a and b, 0..255), sampled around the nose."""
    from vepe_synth.body import face_vertices

    near = face_vertices(avatar)
    faces = np.nonzero(np.isin(avatar.faces, near).any(axis=1))[0]
    texture = avatar.textures[int(np.bincount(avatar.face_texture[faces]).argmax())]
    height, width = texture.shape[:2]
    spots = np.clip((avatar.uv[near] * [width, height]).astype(int), 0, [width - 1, height - 1])
    colours = texture[spots[:, 1], spots[:, 0]][None]
    return np.median(cv2.cvtColor(colours, cv2.COLOR_RGB2LAB)[0, :, 1:], axis=0)
