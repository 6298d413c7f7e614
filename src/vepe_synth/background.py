"""Invents what surrounds people: rooms, the outdoors, or a picture of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from vepe.errors import VepeError
from vepe_synth import clutter, textures
from vepe_synth.crowd import Crowd
from vepe_synth.light import random_light
from vepe_synth.scene import Performance
from vepe_synth.surfaces import Surface, join, quad
from vepe_synth.surroundings import Backdrop, Stage
from vepe_synth.textures import Palette
from vepe_synth.view import View, look_at

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_LONGEST_PX = 1280
_HALL_M = 14.0  # from farther away rooms look odd


def plan_stage(
    rng: np.random.Generator,
    palette: Palette,
    performance: Performance,
    crowd: Crowd,
    view: View,
    pictures: Sequence[Path] = (),
    occluders: Sequence[Surface] = (),
) -> Stage:
    """Surroundings and light for a performance that `view` sees at its middle.

    Args:
        rng: everything is a function of its state.
        palette: pictures for walls and things.
        performance: gives the things that people use.
        crowd: gives their places.
        view: the camera, for what must stand behind the people.
        pictures: the user's own backdrops; where there are any, they are what is seen.
        occluders: what stands in front.

    Raises:
        VepeError: where a picture cannot be read.
    """
    props = [clutter.prop(rng, palette, p) for p in performance.props]
    things = [*props, *occluders]
    if pictures:
        picture = _read(pictures[int(rng.integers(len(pictures)))])
        return _photo(rng, picture, view, crowd, things)
    low, high = crowd.bounds()
    things += clutter.around(rng, palette, crowd, view)
    far = float(np.linalg.norm((view.eye - (low + high) / 2)[[0, 2]]))
    if rng.random() < (0.6 if far < _HALL_M else 0.15):
        return _room(rng, palette, low, high, view, things)
    return _outdoors(rng, palette, (low + high) / 2, view, things)


def backdrop_pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures in a folder and below, by name. Raises VepeError where there are none."""
    if not folder.is_dir():
        raise VepeError(f"There is no folder {folder}; name a folder of background pictures.")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise VepeError(f"{folder} holds no picture; name a folder of background pictures.")
    return tuple(found)


def _read(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise VepeError(f"{path} cannot be read ({error.strerror}); check its rights.") from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise VepeError(f"{path} is no readable picture; remove it from the backgrounds.")
    scale = _LONGEST_PX / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _photo(
    rng: np.random.Generator,
    picture: UInt8[np.ndarray, "H W 3"],
    view: View,
    crowd: Crowd,
    things: list[Surface],
) -> Stage:
    """The picture fills the view with some room to pan; an unseen floor takes the shadows."""
    if rng.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
    width, height = view.half_sizes()
    aspect = picture.shape[1] / picture.shape[0]
    wide = max(width, height * aspect) * rng.uniform(1.08, 1.5)
    sizes = (wide, wide / aspect)
    if sizes[1] < 1.05 * height:
        sizes = (1.05 * height * aspect, 1.05 * height)
    light = random_light(rng, indoors=rng.random() < 0.5, middle_m=crowd.bounds().mean(axis=0))
    return Stage(join(things), Backdrop(picture, view.rotation, sizes), light, catcher_half_m=30.0)


def _room(
    rng: np.random.Generator,
    palette: Palette,
    low: np.ndarray,
    high: np.ndarray,
    view: View,
    things: list[Surface],
) -> Stage:
    """Walls, a floor and often a ceiling around people, and mostly around the camera too."""
    middle = (low + high) / 2
    around = [low, high, view.eye] if rng.random() < 0.8 else [low, high]
    start, end = np.min(around, axis=0), np.max(around, axis=0)
    x0, z0 = (start - rng.uniform(0.5, 4.0, 3))[[0, 2]]
    x1, z1 = (end + rng.uniform(0.5, 4.0, 3))[[0, 2]]
    height = max(float(rng.uniform(2.3, 4.5)), float(end[1]) + 0.4)
    wall, repeat = palette.material(rng), float(np.exp(rng.uniform(np.log(0.5), np.log(4))))
    tint = _tint(rng)
    corners = [np.array(c) for c in ((x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1))]
    for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
        inwards = np.array([-(b - a)[2], 0, (b - a)[0]])
        if inwards @ (view.eye - a) <= 0.1 * np.linalg.norm(inwards):
            continue  # a wall between the camera and the people
        picture = wall if rng.random() < 0.75 else palette.material(rng)
        face = quad(a, b - a, (0, height, 0), metres_per_repeat=repeat)
        things.append(Surface(*face, picture, tint, casts_shadow=False))
        things += clutter.on_wall(rng, palette, a, b, height)
    things.append(_floor(rng, palette.material(rng), max(x1 - x0, z1 - z0) + 20, middle))
    if view.eye[1] < height - 0.05 and rng.random() < 0.8:
        face = quad((x0, height, z0), (x1 - x0, 0, 0), (0, 0, z1 - z0), metres_per_repeat=repeat)
        things.append(Surface(*face, textures.plain(rng), _tint(rng), casts_shadow=False))
    light = random_light(rng, indoors=True, middle_m=middle)
    beyond = np.ascontiguousarray(palette.material(rng)[..., :3])
    return Stage(join(things), Backdrop(beyond, view.rotation, (2.0, 2.0), gain=0.7), light)


def _outdoors(
    rng: np.random.Generator,
    palette: Palette,
    middle: np.ndarray,
    view: View,
    things: list[Surface],
) -> Stage:
    """Ground to the horizon, a sky, and houses, trees and cars far and near."""
    things.append(_floor(rng, palette.material(rng), 160.0, middle))
    things += clutter.far_away(rng, palette, middle, view)
    light = random_light(rng, indoors=False, middle_m=middle)
    ahead = -view.rotation[2] * [1, 0, 1]
    level = ahead if np.linalg.norm(ahead) > 0.05 else view.rotation[1] * [1, 0, 1]
    axes = look_at(view.eye, view.eye + level)
    return Stage(join(things), Backdrop(_sky(rng), axes, (3.0, 1.5)), light)


def _floor(
    rng: np.random.Generator, picture: np.ndarray, size: float, middle: np.ndarray
) -> Surface:
    x, z = middle[0] - size / 2, middle[2] + size / 2
    repeat = float(np.exp(rng.uniform(np.log(0.6), np.log(5))))
    face = quad((x, 0, z), (size, 0, 0), (0, 0, -size), metres_per_repeat=repeat)
    return Surface(*face, picture, _tint(rng), casts_shadow=False)


def _tint(rng: np.random.Generator) -> tuple[float, float, float]:
    a, b, c = rng.uniform(0.75, 1.15, 3) ** 0.5 * rng.uniform(0.6, 1.1)
    return float(a), float(b), float(c)


def _sky(rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
    """A sky with clouds above the horizon in the middle, hills or woods at it."""
    height, width = 256, 512
    up = np.clip(1 - np.arange(height) / (height / 2), 0, 1)[:, None, None]
    horizon = 0.6 + 0.4 * textures.colour(rng, vivid=0.2)
    zenith = np.array([rng.uniform(0.2, 0.8), rng.uniform(0.4, 0.85), rng.uniform(0.6, 1.0)])
    sky = horizon * (1 - up**0.5) + zenith * up**0.5
    cover = cv2.resize(textures.noise(rng, 4), (width, height), interpolation=cv2.INTER_LINEAR)
    cloud = np.clip((cover - rng.uniform(0.3, 0.8)) * rng.uniform(2, 8), 0, 1)[..., None]
    sky = sky * (1 - cloud) + rng.uniform(0.7, 1.0) * cloud
    if rng.random() < 0.7:
        edge = textures.noise(rng, 8)[0]
        line = np.interp(np.arange(width), np.linspace(0, width, len(edge)), edge)
        top = height / 2 - line * rng.uniform(2, 40)
        hills = np.arange(height)[:, None] > top[None]
        sky = np.where(hills[..., None], textures.colour(rng, vivid=0.2) * 0.7, sky)
    return (np.clip(sky, 0, 1) * 255).astype(np.uint8)
